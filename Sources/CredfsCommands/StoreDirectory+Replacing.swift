// SPDX-License-Identifier: Apache-2.0

internal import SecretStore
internal import SecureFiles
internal import SystemCalls
internal import SystemPackage

extension StoreDirectory {
    /// Refuses to replace a file that is none of those that are written here: a manifest or key would be lost.
    ///
    /// - Parameters:
    ///   - name: the name.
    ///   - beginning: what such a file begins with.
    ///   - kind: what it is, for the message.
    /// - Throws: class `failed`; nothing is thrown for no file and for an empty one.
    func refuseReplacing(
        _ name: String,
        unlessItBeginsWith beginning: String,
        as kind: String
    ) throws(StoreError) {
        guard let file = try file(name) else { return }
        let path = path(of: name)
        let start = try StoreError.wrapping("read", path) { () throws(Errno) in
            guard try file.status().kind == .regular else { return [UInt8(ascii: "-")] }
            return try file.readFully(upTo: beginning.utf8.count)
        }
        guard start.isEmpty || start.elementsEqual(beginning.utf8) else {
            throw StoreError(
                .failed,
                "\(path) is there already and is not \(kind)",
                hint: "name another file, or remove that one"
            )
        }
    }
}
