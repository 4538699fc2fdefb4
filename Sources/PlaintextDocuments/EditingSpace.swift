// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import ProcessControl
internal import SecretStore
internal import SecureFiles
internal import SystemCalls
internal import SystemPackage

/// Step of making the memory that a document is edited in.
package enum EditingStep: String, Sendable {
    case namespace
    case readOnly = "read-only"
    case memory

    /// Name of the step for people, after "cannot".
    package var action: String {
        switch self {
        case .namespace: "make a private namespace"
        case .readOnly: "make everything else read-only"
        case .memory: "make a file system in memory"
        }
    }
}

/// Memory that a document is edited in: a ramfs in a namespace of this process, in which nothing else can be
/// written.
final class EditingSpace {
    private static let fileName = "secrets.yaml"

    /// The directory of the document: below the root of the ramfs, so that its path leads nowhere outside of the
    /// namespace, for root, too.
    let path: String
    /// Variables that name the places for what the editor writes beside the document.
    let variables: [(name: String, value: String)]
    private let root: OwnedDescriptor
    private let work: OwnedDescriptor

    private init(
        path: String,
        variables: [(name: String, value: String)],
        root: consuming OwnedDescriptor,
        work: consuming OwnedDescriptor
    ) {
        self.path = path
        self.variables = variables
        self.root = root
        self.work = work
    }

    /// The document.
    var filePath: String { "\(path)/\(Self.fileName)" }

    /// Enters namespaces and mounts; before this process has a key.
    ///
    /// - Parameters:
    ///   - directory: an empty directory.
    ///   - editor: what will be run, as a shell takes it.
    /// - Returns: the memory.
    /// - Throws: the step that failed.
    static func enter(over directory: String, for editor: String) throws(StepFailure<EditingStep>) -> EditingSpace {
        try StepFailure<EditingStep>.attempt(.namespace, enterNamespaces)
        try StepFailure<EditingStep>.attempt(.readOnly) { () throws(Errno) in
            try Namespaces.separateMounts()
            try Namespaces.makeEveryMountReadOnly()
        }
        return try StepFailure<EditingStep>.attempt(.memory) { () throws(Errno) in
            let space = try mount(directory)
            if needsTemporary(editor) { try space.coverTemporary(directory) }
            return space
        }
    }

    /// Detects an editor that makes its temporary file with tmpfile(3), which knows no TMPDIR.
    private static func needsTemporary(_ editor: String) -> Bool {
        editor.split(separator: " ").first?.split(separator: "/").last == "ed"
    }

    /// Puts the place for temporary files over `/tmp`.
    ///
    /// Not for every editor: settings, sockets and pipes can be there.
    private func coverTemporary(_ directory: String) throws(Errno) {
        let place = "/tmp"
        let isBelow = directory.hasPrefix(place + "/")
        if isBelow {
            var parent = try root.open("temporary", O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
            for name in directory.dropFirst(place.utf8.count).split(separator: "/").map(String.init) {
                try parent.makeDirectory(name, mode: 0o700)
                parent = try parent.open(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
            }
        }
        try MemoryMount.bind("\(directory)/temporary", onto: place)
        // The document keeps its path.
        if isBelow { try MemoryMount.bind("/proc/self/fd/\(root.number)", onto: directory) }
    }

    private static func enterNamespaces() throws(Errno) {
        if ProcessAttributes.hasCapability(.sysAdmin), (try? Namespaces.unshare(users: false)) != nil { return }
        // A process that is not dumpable may not write its own user map.
        try ProcessAttributes.setDumpable(true)
        try Namespaces.unshare(users: true)
        try ProcessAttributes.setDumpable(false)
    }

    private static func mount(_ directory: String) throws(Errno) -> EditingSpace {
        try MemoryMount.mount(.ramfs, at: directory, mode: 0o700)
        let root = try OwnedDescriptor.open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        guard root.isInMemory else { throw .notSupported }
        var variables: [(name: String, value: String)] = []
        for (place, names) in [
            ("temporary", ["TMPDIR", "TMP", "TEMP"]), ("state", ["XDG_STATE_HOME"]),
            // The latter is where Emacs compiles to: without such a place it shows no document.
            ("cache", ["XDG_CACHE_HOME", "EMACSNATIVELOADPATH"]),
        ] {
            try root.makeDirectory(place, mode: 0o700)
            variables += names.map { ($0, "\(directory)/\(place)") }
        }
        try root.makeDirectory("document", mode: 0o700)
        let work = try root.open("document", O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        return EditingSpace(path: "\(directory)/document", variables: variables, root: root, work: work)
    }

    /// Puts a document there, in the place of one that is there.
    func write(_ text: [UInt8]) throws(StoreError) {
        try StoreError.wrapping("write", "the document") { () throws(Errno) in
            try? work.unlink(Self.fileName)
            let file = try work.open(Self.fileName, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
            try file.writeAll(text.span)
        }
    }

    /// The document as it is now.
    func read() throws(StoreError) -> PlaintextText {
        let file = try open()
        let status = try StoreError.wrapping("examine", "the document") { () throws(Errno) in try file.status() }
        guard status.kind == .regular else { throw StoreError(.invalid, "the editor left no regular file") }
        return try PlaintextText(descriptor: file)
    }

    private func open() throws(StoreError) -> OwnedDescriptor {
        do throws(Errno) {
            return try work.open(Self.fileName, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)
        } catch { throw StoreError(.invalid, "the editor left no document: \(error.message)") }
    }

    /// Overwrites and removes everything, whatever an editor left.
    func wipe() {
        Self.wipe(root, depth: 0)
    }

    private static func wipe(_ directory: borrowing OwnedDescriptor, depth: Int) {
        for name in (try? directory.entryNames()) ?? [] {
            let inner = depth < 64 ? number(directory, name, O_RDONLY | O_DIRECTORY) : -1
            if inner >= 0 {
                wipe(OwnedDescriptor(owning: inner), depth: depth + 1)
                try? directory.removeDirectory(name)
                continue
            }
            let file = number(directory, name, O_WRONLY | O_NONBLOCK | O_NOCTTY)
            if file >= 0 { overwrite(OwnedDescriptor(owning: file)) }
            try? directory.unlink(name)
        }
    }

    private static func number(_ directory: borrowing OwnedDescriptor, _ name: String, _ flags: Int32) -> Int32 {
        do throws(Errno) { return try directory.open(name, flags | O_NOFOLLOW).release() } catch { return -1 }
    }

    private static func overwrite(_ file: consuming OwnedDescriptor) {
        if (try? file.status().kind) == .regular { try? file.overwrite() }
    }
}
