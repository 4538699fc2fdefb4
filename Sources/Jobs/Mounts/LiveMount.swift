// SPDX-License-Identifier: Apache-2.0

internal import Glibc
package import ProcessControl
package import SecretStore
internal import SecureJSON
internal import SystemCalls
internal import SystemPackage

/// Backend that shows the secrets.
package enum Backend: String, Sendable, CaseIterable {
    /// Every read is answered by credfs.
    case fuse
    /// Files in memory that is never swapped.
    case ramfs
    /// Files in memory.
    case tmpfs
    /// Files in a tmpfs that is there already.
    case shm
    /// There is nothing to show: an empty directory.
    case none

    /// Plain files, of which nobody tells who reads them.
    var isWeak: Bool { [.ramfs, .tmpfs, .shm].contains(self) }
}

/// Record of one mount; never anything secret.
package struct LiveMount: Sendable, Equatable {
    /// Command that made it.
    package enum Kind: String, Sendable {
        case run
        case mount
    }

    package let id: String
    package let kind: Kind
    package let path: String
    /// The server; while there is none the process that keeps the mount for the next one.
    package internal(set) var pid: Int32
    package let store: String?
    package var generation: UInt64
    package let authMode: String
    package let isolation: Isolation
    package let backend: Backend
    /// The namespace in which `pid` is a number of the server (pid_namespaces(7)).
    package let pidNamespace: UInt64
    /// Locked: opens and reads are refused.
    package var isLocked = false
    /// Time at which it ends by itself, RFC 3339; nil for one that is to be ended.
    package var end: String?
    /// Options of one that another server can take over; nil for one that ends with its server.
    var kept: KeptMount?
    /// Nobody serves: readers wait for the next server.
    package internal(set) var isWaiting = false

    /// The pid namespace of this process.
    package static func ownPidNamespace() -> UInt64 {
        (try? OwnedDescriptor.open("/proc/self/ns/pid", O_RDONLY).status().inode) ?? 0
    }

    /// Makes a record.
    package init(
        id: String,
        kind: Kind,
        path: String,
        pid: Int32,
        store: StoreID?,
        generation: UInt64,
        auth: AuthMode,
        isolation: Isolation,
        backend: Backend
    ) {
        self.id = id
        self.kind = kind
        self.path = path
        self.pid = pid
        self.store = store?.text
        self.generation = generation
        authMode = auth.text
        self.isolation = isolation
        self.backend = backend
        pidNamespace = Self.ownPidNamespace()
    }
}

// The text of a record.
extension LiveMount {
    fileprivate var json: JSONValue {
        var members: [String: JSONValue] = [
            "id": .string(id), "kind": .string(kind.rawValue), "path": .string(path), "pid": .integer(pid),
            "generation": .integer(generation), "authMode": .string(authMode),
            "isolation": .string(isolation.rawValue), "backend": .string(backend.rawValue),
            "pidNamespace": .integer(pidNamespace), "locked": .boolean(isLocked),
        ]
        if let store { members["store"] = .string(store) }
        if let end { members["end"] = .string(end) }
        if let kept { members.merge(kept.members) { _, new in new } }
        if isWaiting { members["waiting"] = .boolean(true) }
        return .object(members)
    }

    /// Reads a record; nil for anything else.
    fileprivate init?(_ text: String) {
        guard let members = JSONValue.members(text.utf8.span, maximumDepth: 1), let id = members["id"]?.text,
            let kind = members["kind"]?.text.flatMap(Kind.init), let path = members["path"]?.text,
            let pid: Int32 = members["pid"]?.integer(), let generation: UInt64 = members["generation"]?.integer(),
            let authMode = members["authMode"]?.text,
            let isolation = members["isolation"]?.text.flatMap(Isolation.init),
            let backend = members["backend"]?.text.flatMap(Backend.init),
            let pidNamespace: UInt64 = members["pidNamespace"]?.integer()
        else { return nil }
        self.id = id
        self.kind = kind
        self.path = path
        self.pid = pid
        self.store = members["store"]?.text
        self.generation = generation
        self.authMode = authMode
        self.isolation = isolation
        self.backend = backend
        self.pidNamespace = pidNamespace
        isLocked = members["locked"] == .boolean(true)
        end = members["end"]?.text
        kept = KeptMount(members)
        isWaiting = members["waiting"] == .boolean(true)
    }
}

/// The record of a mount while it lives: a file that its server holds a lock on, so that the lock tells whether it lives.
package final class MountRecord {
    private let directory: OwnedDescriptor
    private let file: OwnedDescriptor
    private let name: String
    private var mount: LiveMount
    private var isLeft = false

    /// Writes a record.
    package init(_ mount: LiveMount, in runtime: RuntimeDirectory) throws(MountError) {
        name = mount.id
        self.mount = mount
        do throws(Errno) {
            let directory = try runtime.descriptor.open("live", O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
            file = try Self.make(mount, in: directory)
            self.directory = directory
        } catch { throw MountError.system(.place, "write \(runtime.path)/live/\(mount.id)", error) }
    }

    /// Goes on with the record of the server before.
    init(_ mount: LiveMount, continuing file: consuming OwnedDescriptor, in runtime: RuntimeDirectory)
        throws(MountError)
    {
        name = mount.id
        self.mount = mount
        do throws(Errno) {
            let directory = try runtime.descriptor.open("live", O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
            try Self.write(mount, to: file)
            self.file = file
            self.directory = directory
        } catch { throw MountError.system(.place, "write \(runtime.path)/live/\(mount.id)", error) }
    }

    /// Descriptor of the file, every copy of which holds the lock.
    var number: Int32 { file.number }

    /// Changes a record that somebody else wrote.
    static func update(_ file: borrowing OwnedDescriptor, _ change: (inout LiveMount) -> Void) {
        guard (try? file.seek(to: 0)) != nil, let text = try? file.readText(limit: 1 << 16), var mount = LiveMount(text)
        else { return }
        change(&mount)
        try? write(mount, to: file)
    }

    /// Makes the file, under another name until it is locked, so that nobody takes it for what a dead server left.
    private static func make(
        _ mount: LiveMount,
        in directory: borrowing OwnedDescriptor
    ) throws(Errno) -> OwnedDescriptor {
        let draft = ".\(mount.id)"
        var attempt = 1
        while true {
            let file = try directory.open(draft, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
            do throws(Errno) {
                guard try file.lock(wait: false) else { throw .wouldBlock }
                try write(mount, to: file)
                try directory.rename(draft, to: mount.id)
                return file
            } catch {
                try? directory.unlink(draft)
                // Another process that cleans up looked before it was locked, and took it for a draft of one that ended: it holds
                // a lock on it, or has removed it.
                guard [.wouldBlock, .noSuchFileOrDirectory].contains(error), attempt < mostAttempts else { throw error }
                attempt += 1
            }
        }
    }

    private static let mostAttempts = 100

    deinit {
        if !isLeft { try? directory.unlink(name) }
    }

    /// Leaves the record behind, which says then that something has to be taken away.
    package func leave() {
        isLeft = true
    }

    /// Writes what has changed.
    func update(_ change: (inout LiveMount) -> Void) {
        change(&mount)
        try? Self.write(mount, to: file)
    }

    // A reader may see a part of a longer record that is being replaced: it is shorter than a page, so one write.
    private static func write(_ mount: LiveMount, to file: borrowing OwnedDescriptor) throws(Errno) {
        let bytes = Array(mount.json.text(.line).utf8)
        try file.seek(to: 0)
        try file.writeAll(bytes.span)
        try file.truncate(to: bytes.count)
    }
}

/// A mount that was found, and whether its server lives.
package struct FoundMount: Sendable {
    /// Record of the mount.
    package let mount: LiveMount
    /// Liveness of its server, by the lock of the record.
    package let isLive: Bool

    /// Every record in a runtime directory, in the order of the identifiers.
    package static func all(in runtime: RuntimeDirectory) -> [FoundMount] {
        guard let directory = try? runtime.descriptor.open("live", O_RDONLY | O_DIRECTORY | O_NOFOLLOW),
            let names = try? directory.entryNames()
        else { return [] }
        return names.sorted().compactMap { name in
            guard !name.hasPrefix("."), let file = try? directory.openFile(name),
                let text = try? file.readText(limit: 1 << 16),
                let mount = LiveMount(text), mount.id == name
            else { return nil }
            return FoundMount(mount: mount, isLive: (try? file.lockShared()) != true)
        }
    }

    /// Server in our pid namespace, to which a signal can be sent by its number.
    var isWithinReach: Bool { isLive && mount.pidNamespace == LiveMount.ownPidNamespace() }

    /// Removes what was written of records by processes that ended meanwhile.
    static func removeDrafts(in runtime: RuntimeDirectory) {
        guard let directory = try? runtime.descriptor.open("live", O_RDONLY | O_DIRECTORY | O_NOFOLLOW),
            let names = try? directory.entryNames()
        else { return }
        for name in names where name.hasPrefix(".") {
            guard let file = try? directory.openFile(name), (try? file.lockShared()) == true else { continue }
            try? directory.unlink(name)
        }
    }

    /// Forgets the record of a mount whose server is dead.
    package func forget(in runtime: RuntimeDirectory) {
        guard !isLive, let directory = try? runtime.descriptor.open("live", O_RDONLY | O_DIRECTORY | O_NOFOLLOW) else {
            return
        }
        try? directory.unlink(mount.id)
        MountControl.removeSockets(of: mount.id, in: runtime)
    }
}
