// SPDX-License-Identifier: Apache-2.0

internal import Glibc
package import SecretFileSystem
package import SecretStore
package import SecureMemory
internal import SystemCalls
internal import SystemPackage

/// A mount that serves whoever may read, until it is told to end.
package final class MountService {
    /// What asks it to do something.
    package enum Request: Sendable, Equatable {
        /// To serve what the store holds now.
        case reload
        /// To end.
        case end
    }

    /// Where it is mounted.
    package let path: String
    private let runtime: RuntimeDirectory
    private let signals: SignalQueue
    private let ownsDirectory: Bool
    /// The identifier of the mount.
    package let id: String
    private var served: ServedMount?
    private var keeper: Keeper.Handle?
    private var record: LiveRecord?
    private var live: LiveMount?

    /// Prepares a mount: from here on signals are collected.
    ///
    /// - Parameters:
    ///   - directory: where; nil makes a directory.
    ///   - runtime: where what is mounted is recorded.
    ///   - user: who mounts.
    /// - Throws: class `place` where the directory cannot be used.
    package init(at directory: String?, in runtime: RuntimeDirectory, user: UInt32) throws(MountError) {
        self.runtime = runtime
        id = RuntimeDirectory.newID()
        if let directory {
            path = try MountPlace.check(directory, user: user, in: runtime)
            ownsDirectory = false
        } else {
            path = "\(runtime.path)/\(id)"
            ownsDirectory = true
        }
        do throws(Errno) {
            signals = try SignalQueue([SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGCHLD])
        } catch { throw MountError(.failed, "cannot collect signals: \(error.message)") }
        if ownsDirectory { try runtime.makeDirectory(id, mode: 0o700) }
    }

    /// Mounts, serves, and returns when the directory can be listed.
    ///
    /// - Parameters:
    ///   - snapshot: what is served first.
    ///   - rules: whom it is for.
    ///   - store: the store it is from.
    ///   - auth: whether its secrets are there.
    ///   - recording: begins to record opens.
    /// - Throws: class `mount`; then nothing is mounted.
    package func begin(
        _ snapshot: Snapshot,
        _ rules: MountRules,
        store: StoreID?,
        auth: AuthMode,
        recording: OpenRecording
    ) throws(MountError) {
        let maximum = ServedMount.maximumReadByteCount()
        do throws(MountError) {
            let live = description(snapshot, store, auth)
            self.live = live
            // Both before there is something to find, so that it is found or taken away whenever we are killed.
            record = try LiveRecord(live, in: runtime)
            keeper = try Keeper.start(for: path)
            let device = try SharedMount.mount(at: path, rules.options(maximumReadByteCount: maximum))
            try MountError.wrapping(.failed, "give up rights") { () throws(Errno) in try ServingFilter.install() }
            let fileSystem = SecretFileSystem(
                snapshot,
                ownership: rules.ownership,
                decision: rules.decisionWithoutJob
            )
            served = try ServedMount(
                device,
                rules: fileSystem,
                maximumReadByteCount: maximum,
                audit: try recording(id)
            )
            try MountError.wrapping(.mount, "list \(path)") { () throws(Errno) in
                _ = try OwnedDescriptor.open(path, O_RDONLY | O_DIRECTORY).entryNames()
            }
        } catch {
            end()
            throw error
        }
    }

    /// The generation that is served.
    package var snapshot: Snapshot? { served?.snapshot }

    /// Serves another generation, and returns when the kernel has forgotten the old one.
    package func replace(with next: Snapshot) throws(MountError) {
        try served?.replace(with: next)
        live?.generation = next.generation
        if let live { record?.update(live) }
    }

    /// Waits until something is asked for, or the mount is gone.
    package func nextRequest() throws(MountError) -> Request {
        do throws(Errno) {
            while true {
                while let arrival = try signals.next() {
                    switch arrival.signal {
                    case SIGHUP: return .reload
                    case SIGTERM, SIGINT, SIGQUIT: return .end
                    default: break
                    }
                }
                guard let served, served.isServing else { return .end }
                try signals.wait(or: served.endNotice)
            }
        } catch { throw MountError(.failed, "cannot wait for signals: \(error.message)") }
    }

    /// Refuses, forgets, unmounts, and leaves nothing.
    package func end() {
        if let served {
            served.end { SharedMount.end(path, keeper) }
        } else {
            SharedMount.end(path, keeper)
        }
        served = nil
        keeper = nil
        // What cannot be taken away stays recorded, for the next command to try.
        if MountTable.has(path) { record?.leave() }
        if ownsDirectory { runtime.removeDirectory(id) }
        record = nil
    }

    private func description(_ snapshot: Snapshot, _ store: StoreID?, _ auth: AuthMode) -> LiveMount {
        LiveMount(
            id: id,
            kind: .mount,
            path: path,
            pid: ProcessAttributes.processID,
            store: store,
            generation: snapshot.generation,
            auth: auth,
            isolation: .none,
            backend: .fuse
        )
    }
}

/// Directories that something is to be mounted on.
enum MountPlace {
    /// Makes sure that a directory can be used, after taking away what a dead server of ours left there.
    ///
    /// - Returns: its absolute path without links.
    /// - Throws: class `place`.
    static func check(_ directory: String, user: UInt32, in runtime: RuntimeDirectory) throws(MountError) -> String {
        let path = try resolved(directory)
        if let entry = MountTable.entries().first(where: { $0.path == path }) {
            let isLive = FoundMount.all(in: runtime).contains { $0.isLive && $0.mount.path == path }
            // Asked only where no record says that it lives: a server that was stopped would let us wait.
            guard !isLive, entry.user == user, MountTable.isDead(path) else { throw isMounted(directory) }
            try SharedMount.detach(path)
        }
        do throws(Errno) {
            let place = try OwnedDescriptor.open(path, O_RDONLY | O_DIRECTORY)
            let status = try place.status()
            guard status.owner == user || user == 0 else { throw .notPermitted }
            guard try place.entryNames().isEmpty else { throw .directoryNotEmpty }
            return path
        } catch {
            switch error {
            case .notPermitted:
                throw MountError(.place, "\(directory) belongs to another user", hint: "use a directory of your own")
            case .directoryNotEmpty:
                throw MountError(.place, "\(directory) is not empty", hint: "use an empty directory")
            default: throw MountError(.place, "cannot use \(directory): \(error.message)")
            }
        }
    }

    /// The path of a directory, absolute and without links, found without asking whoever serves it.
    static func resolved(_ directory: String) throws(MountError) -> String {
        do throws(Errno) {
            let place = try OwnedDescriptor.startOfWalk(file: directory)
            guard let path = try place.resolvedPath() else { throw .illegalByteSequence }
            return path
        } catch {
            let hint = error == .noSuchFileOrDirectory ? "make it with: mkdir \(directory)" : nil
            throw MountError(.place, "cannot use \(directory): \(error.message)", hint: hint)
        }
    }
}

extension MountPlace {
    private static func isMounted(_ directory: String) -> MountError {
        MountError(
            .place,
            "\(directory) is mounted already",
            hint: "unmount it with: credfs unmount \(directory)"
        )
    }
}

/// The content of a mount that has no secrets.
package struct NoContent: ContentSource {
    /// Makes it.
    package init() {}

    /// Nothing authenticates.
    package func authenticate(
        _ value: SealedContent,
        as name: SecretName,
        scratch: inout SecureBuffer
    ) throws(FileSystemError) {
        throw .damaged
    }

    /// Nothing can be decrypted.
    package func decrypt(
        _ value: SealedContent,
        at offset: Int,
        into plaintext: inout MutableSpan<UInt8>
    ) throws(FileSystemError) {
        throw .damaged
    }
}
