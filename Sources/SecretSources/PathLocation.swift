// SPDX-License-Identifier: Apache-2.0

internal import SecretStore
internal import SecureFiles
internal import SystemCalls
internal import SystemPackage

/// Location of a file or directory, with the name of the secret that the file is: `[NAME=]PATH`.
struct PathLocation {
    /// The name, if one was given.
    let name: SecretName?
    let path: String

    init(_ name: SecretName?, _ path: String) {
        self.name = name
        self.path = path
    }

    /// Reads a location.
    ///
    /// A path with `=` in its first part is written with `./` before it.
    ///
    /// - Throws: class `usage`, without the text.
    init(_ text: String) throws(StoreError) {
        let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[0].contains("/") else {
            self.init(nil, text)
            return
        }
        guard let name = SecretName(String(parts[0])), !parts[1].isEmpty else {
            throw StoreError(.usage, "a name, '=' and a path are expected", hint: SecretReference.rule)
        }
        self.init(name, String(parts[1]))
    }

    /// The location as it is written.
    var text: String { name.map { "\($0.text)=\(path)" } ?? path }

    /// The path leads to a directory.
    var isDirectory: Bool { (try? FileStatus.ofPath(path, followingLink: true).kind) == .directory }
}
