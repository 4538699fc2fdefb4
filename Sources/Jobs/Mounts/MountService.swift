// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import ProcessControl
package import SecretFileSystem
package import SecretStore
internal import SystemCalls
internal import SystemPackage

/// A mount that serves whoever may read, until it is told to end.
package final class MountService {
    /// Mount point.
    package let path: String
    /// Seconds for an answer, three times as many as any request is parked.
    private static let requestTimeout: UInt16 = 15
    private let runtime: RuntimeDirectory
    private let signals: SignalQueue
    private let ownsDirectory: Bool
    /// The identifier of the mount.
    package let id: String
    private var mount: SharedMount?
    private var events: MountEvents?

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
    ///   - live: when it ends by itself.
    ///   - served: where other generations come from; nil for a mount that shows no secrets.
    ///   - recording: begins to record opens.
    /// - Throws: class `mount`; then nothing is mounted.
    package func begin(
        _ snapshot: Snapshot,
        _ rules: MountRules,
        store: StoreID?,
        auth: AuthMode,
        live: LiveOptions,
        served: (any ServedStore)?,
        recording: @escaping OpenRecording
    ) throws(MountError) {
        let mount = SharedMount(
            SecretFileSystem(snapshot, ownership: rules.ownership, access: rules.accessWithoutJob),
            rules.options(maximumReadByteCount: ServedMount.maximumReadByteCount()),
            path: path,
            making: ownsDirectory ? OwnDirectory(runtime: runtime, name: id, mode: 0o700) : nil,
            requestTimeout: Self.requestTimeout,
            audit: { [id] () throws(MountError) in try recording(id) }
        )
        self.mount = mount
        do throws(MountError) {
            try mount.prepare()
            let events = try MountEvents(description(snapshot, store, auth), live, served, in: runtime)
            self.events = events
            if case .command(let command) = live.onChange {
                let environment = live.hookEnvironment + ["CREDENTIALS_DIRECTORY=\(path)"]
                events.follow(
                    with: try ChangeHook(command, environment: environment, job: nil, .none, speaks: false)
                )
            }
            try mount.begin(signalling: nil)
            try events.begin(refusing: nil, status: mount.status, asking: true)
            try MountError.wrapping(.mount, "list \(path)") { () throws(Errno) in
                _ = try OwnedDescriptor.open(path, O_RDONLY | O_DIRECTORY).entryNames()
            }
        } catch {
            end()
            throw error
        }
    }

    /// Reason for the end of a mount.
    package enum End: Sendable, Equatable {
        /// A signal asked for it, or the mount is gone.
        case asked
        /// Its time is over.
        case timeOver
        /// The kernel has ended the connection of a mount that is still there: a request was not answered in time, or
        /// somebody aborted it.
        case aborted
    }

    /// Step of reading the store again since SIGHUP asks for it.
    package enum Reload: Sendable, Equatable {
        case begins
        /// Readers see what the store holds now.
        case succeeded
        /// Readers see what they saw before.
        case failed
    }

    /// Acts on signals and requests until a signal asks for the end, the time is over or the mount is gone.
    ///
    /// - Parameter onReload: told of each step of a reload.
    /// - Returns: why it ends.
    /// - Throws: class `failed` where signals cannot be waited for.
    package func serve(onReload: (Reload) -> Void) throws(MountError) -> End {
        do throws(Errno) {
            while true {
                while let arrival = try signals.next() {
                    switch arrival.signal {
                    case SIGHUP:
                        onReload(.begins)
                        onReload(events?.reload(mount?.served) == true ? .succeeded : .failed)
                    case SIGTERM, SIGINT, SIGQUIT: return .asked
                    default: break
                    }
                }
                guard let events, events.act(on: mount?.served) else { return .timeOver }
                guard let served = mount?.served, served.isServing else {
                    return MountTable.has(path) ? .aborted : .asked
                }
                try signals.wait(or: [served.endNotice] + events.numbers)
            }
        } catch { throw MountError.system(.failed, "wait for signals", error) }
    }

    /// Refuses, forgets, unmounts, and leaves nothing.
    package func end() {
        // What cannot be taken away stays recorded, for the next command to try.
        let isGone = mount?.end() ?? true
        mount = nil
        events?.end(leavingRecord: !isGone)
        events = nil
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
