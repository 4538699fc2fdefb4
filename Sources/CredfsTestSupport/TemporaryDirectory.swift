// SPDX-License-Identifier: Apache-2.0

internal import Foundation

/// A new directory with mode 0700, removed with all it holds when the value ends.
package struct TemporaryDirectory: ~Copyable, Sendable {
    /// Its absolute path, without a slash at the end.
    package let path: String

    /// Makes the directory.
    package init() throws {
        path = FileManager.default.temporaryDirectory.appending(component: "credfs-test-" + UUID().uuidString)
            .path(percentEncoded: false)
        try FileManager.default.createDirectory(
            atPath: path,
            withIntermediateDirectories: false,
            attributes: [.posixPermissions: 0o700]
        )
    }

    deinit {
        try? FileManager.default.removeItem(atPath: path)
    }

    /// The path of a name in the directory.
    package func path(_ name: String) -> String { path + "/" + name }

    /// Writes a file.
    ///
    /// - Parameters:
    ///   - bytes: its content.
    ///   - name: its name in the directory.
    ///   - permissions: its mode, whatever the umask.
    /// - Returns: its path.
    /// - Throws: the error of the file system.
    @discardableResult
    package func write(_ bytes: some Sequence<UInt8>, to name: String, permissions: Int = 0o600) throws -> String {
        try Data(bytes).write(to: URL(filePath: path(name), directoryHint: .notDirectory))
        try FileManager.default.setAttributes([.posixPermissions: permissions], ofItemAtPath: path(name))
        return path(name)
    }

    /// Writes an executable file through another process.
    ///
    /// A file that a process of tests has open for writing while it forks for another test stays open in that child until
    /// its exec: the program would be "text file busy" (ETXTBSY).
    package func writeProgram(_ text: String, to name: String) async throws -> String {
        let script = #"cat >"$1" && chmod 755 "$1""#
        let written = try await ChildProcess.run(
            "/bin/sh",
            ["-c", script, "sh", path(name)],
            environment: ["PATH": "/usr/bin:/bin"],
            standardInput: Array(text.utf8)
        )
        guard written.status == .exited(0) else { throw CocoaError(.fileWriteUnknown) }
        return path(name)
    }

    /// The content of a file.
    package func read(_ name: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: URL(filePath: path(name), directoryHint: .notDirectory)))
    }
}
