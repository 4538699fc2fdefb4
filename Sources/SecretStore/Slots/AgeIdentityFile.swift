// SPDX-License-Identifier: Apache-2.0

package import Sealing
package import SecureFiles
internal import SecureMemory

/// Identity file of age: one identity a line, comments behind `#`.
package struct AgeIdentityFile: Sendable {
    /// The largest identity file in bytes.
    package static let maximumByteCount = 64 << 10

    /// Identities that can be used.
    package let identities: [AgeIdentity]
    /// Kinds of others that are there and known by name only.
    package let unsupported: [AgeError.UnsupportedKind]

    /// Takes identities.
    package init(_ identities: [AgeIdentity]) {
        self.identities = identities
        unsupported = []
    }

    /// Reads the identities in the file at a path, which is checked like a key file.
    package init(at path: String, _ checker: PermissionChecker) throws(StoreError) {
        let text = try Store.readSecretFile(path, limit: Self.maximumByteCount, checker)
        self = try text.withBytes { (text) throws(StoreError) in try AgeIdentityFile(text, from: path) }
    }

    /// Puts several together.
    package init(merging files: [AgeIdentityFile]) {
        identities = files.flatMap(\.identities)
        unsupported = files.flatMap(\.unsupported)
    }

    /// Reads the content of an identity file or variable.
    ///
    /// - Parameters:
    ///   - text: the content.
    ///   - origin: where it came from, for the message.
    ///   - hint: what is said where it is empty.
    /// - Throws: class `authentication` for a line that is no identity, and where none can be used.
    package init(
        _ text: Span<UInt8>,
        from origin: String,
        ifEmpty hint: String = "make one with: age-keygen"
    ) throws(StoreError) {
        guard !text.starts(with: AgeHeaderMark.file) && !text.starts(with: AgeHeaderMark.armor) else {
            throw StoreError(
                .authentication,
                "\(origin) is itself encrypted",
                hint: "decrypt it with the age program into a private place, and name that file"
            )
        }
        var identities: [AgeIdentity] = []
        var unsupported: [AgeError.UnsupportedKind] = []
        var start = 0
        var number = 0
        while start < text.count {
            var end = start
            while end < text.count, text[end] != UInt8(ascii: "\n") { end += 1 }
            var line = text.extracting(start..<end)
            if !line.isEmpty, line[line.count - 1] == UInt8(ascii: "\r") { line = line.extracting(0..<line.count - 1) }
            start = end + 1
            number += 1
            if line.isEmpty || line[0] == UInt8(ascii: "#") { continue }
            do throws(AgeError) {
                identities.append(try AgeIdentity(line))
            } catch {
                switch error {
                case .unsupported(let kind): unsupported.append(kind)
                case .sealing(let error): throw .sealing(error)
                default:
                    throw StoreError(
                        .authentication,
                        "line \(number) of \(origin) is not an age identity",
                        hint: "an identity is AGE-SECRET-KEY-1 and 58 characters; age-keygen makes one"
                    )
                }
            }
        }
        guard !identities.isEmpty else {
            throw StoreError(
                .authentication,
                "\(origin) holds no identity that can be used",
                hint: unsupported.isEmpty
                    ? text.isEmpty ? hint : "make one with: age-keygen"
                    : "it has identities of these kinds, which are not supported: \(Self.names(unsupported))"
            )
        }
        self.identities = identities
        self.unsupported = unsupported
    }

    /// The names of kinds, each once.
    static func names(_ kinds: [AgeError.UnsupportedKind]) -> String {
        Set(kinds.map(\.rawValue)).sorted().joined(separator: ", ")
    }

    private enum AgeHeaderMark {
        static let file = "age-encryption.org/"
        static let armor = "-----BEGIN AGE"
    }
}
