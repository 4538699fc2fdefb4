// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import ProcessControl
package import SecretFileSystem
package import SecretStore
package import SecureMemory
internal import SystemCalls
internal import SystemPackage

/// A mount that serves whoever may read, until it is told to end.
package final class MountService {
    /// Request to a service.
    package enum Request: Sendable, Equatable {
        /// To serve what the store holds now.
        case reload
        /// To end.
        case end
    }

    /// Mount point.
    package let path: String
    private let runtime: RuntimeDirectory
    private let signals: SignalQueue
    private let ownsDirectory: Bool
    /// The identifier of the mount.
    package let id: String
    private var mount: SharedMount?
    private var record: MountRecord?
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
        } catch { throw MountError.system(.failed, "collect signals", error) }
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
        recording: @escaping OpenRecording
    ) throws(MountError) {
        let mount = SharedMount(
            SecretFileSystem(snapshot, ownership: rules.ownership, access: rules.accessWithoutJob),
            rules.options(maximumReadByteCount: ServedMount.maximumReadByteCount()),
            path: path,
            making: ownsDirectory ? OwnDirectory(runtime: runtime, name: id, mode: 0o700) : nil,
            audit: { [id] () throws(MountError) in try recording(id) }
        )
        self.mount = mount
        do throws(MountError) {
            try mount.prepare()
            let live = description(snapshot, store, auth)
            self.live = live
            // Before there is something to find, so that it is found whenever this process is killed.
            record = try MountRecord(live, in: runtime)
            try mount.begin(signalling: nil)
            try MountError.wrapping(.mount, "list \(path)") { () throws(Errno) in
                _ = try OwnedDescriptor.open(path, O_RDONLY | O_DIRECTORY).entryNames()
            }
        } catch {
            end()
            throw error
        }
    }

    /// The generation that is served.
    package var snapshot: Snapshot? { mount?.served?.snapshot }

    /// Serves another generation, and returns when the kernel has forgotten the old one.
    package func replace(with next: Snapshot) throws(MountError) {
        try mount?.served?.replace(with: next)
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
                guard let served = mount?.served, served.isServing else { return .end }
                try signals.wait(or: served.endNotice)
            }
        } catch { throw MountError.system(.failed, "wait for signals", error) }
    }

    /// Refuses, forgets, unmounts, and leaves nothing.
    package func end() {
        // What cannot be taken away stays recorded, for the next command to try.
        if mount?.end() == false { record?.leave() }
        mount = nil
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

/// The content of a mount that has no secrets.
package struct NoContent: ValueDecryptor {
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
