// SPDX-License-Identifier: Apache-2.0

internal import PlaintextDocuments
internal import SecretStore
internal import SecureFiles
internal import SystemCalls
internal import SystemPackage

/// Destination of exported plaintext: a file of mode 0600 that is there as a whole or not at all, or standard output.
final class ExportDestination {
    private let path: String?
    private let folder: StoreDirectory?

    /// Looks at the place.
    ///
    /// - Parameters:
    ///   - path: a file; nil for standard output.
    ///   - isForced: whether any place will do.
    ///   - overwrites: whether a file may be there.
    /// - Throws: class `unsealed` for a place in a git work tree, or that group or others can read.
    init(_ path: String?, isForced: Bool, overwriting overwrites: Bool) throws {
        self.path = path
        guard let path else {
            folder = nil
            if !isForced { try Self.checkStandardOutput() }
            return
        }
        let (folder, name) = try Store.place(ofNew: path)
        self.folder = folder
        if !isForced {
            if try folder.isReadableByOthers() { throw Self.refusal("the directory of \(path) can be read by others") }
            if try folder.isInGitWorkTree() { throw Self.refusal("\(path) would be in a git work tree") }
        }
        if try folder.file(name) != nil && !overwrites {
            throw CommandError(.failed, "\(path) is there already", hint: "--overwrite replaces it")
        }
    }

    /// Writes with a function.
    ///
    /// - Throws: its error, or what the system says; then no file was made or replaced.
    func write(_ body: (PlaintextWriter) throws -> Void) throws {
        guard let path, let folder else {
            return try Self.write(Console.standardOutput, "standard output", body)
        }
        try folder.replace(Store.split(path).name) { file in try Self.write(file.number, path, body) }
    }

    private static func write(_ number: Int32, _ place: String, _ body: (PlaintextWriter) throws -> Void) throws {
        let writer = try PlaintextWriter(number, place)
        try body(writer)
        try writer.flush()
    }

    /// A shell may have made a file of it.
    private static func checkStandardOutput() throws {
        let name = "standard output"
        let output = try StoreError.wrapping("examine", name) { () throws(Errno) in
            try OwnedDescriptor.openPath("/proc/self/fd/1")
        }
        let status = try StoreError.wrapping("examine", name) { () throws(Errno) in try output.status() }
        guard status.kind == .regular else { return }
        guard status.permissions & 0o044 == 0 else { throw refusal("\(name) is a file that others can read") }
        // One without a name is in no directory.
        guard status.linkCount > 0 else { return }
        let path = try StoreError.wrapping("examine", name) { () throws(Errno) in try output.resolvedPath() }
        guard let path, let folder = try StoreDirectory.open(Store.split(path).directory) else {
            throw refusal("\(name) is a file at a place that cannot be seen")
        }
        if try folder.isInGitWorkTree() { throw refusal("\(name) is a file in a git work tree") }
    }

    private static func refusal(_ message: String) -> CommandError {
        CommandError(
            .unsealed,
            message,
            hint: "choose a place that only you can read; --force writes it there all the same"
        )
    }
}
