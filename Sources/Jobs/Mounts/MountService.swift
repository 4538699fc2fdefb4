// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import ProcessControl
package import Sealing
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
    /// The same for a mount that is kept, as many as the next server has time to come.
    private static let keptRequestTimeout: UInt16 = 30
    private let runtime: RuntimeDirectory
    private let signals: SignalQueue
    private let ownsDirectory: Bool
    /// The identifier of the mount.
    package let id: String
    private var mount: SharedMount?
    private var events: MountEvents?
    /// Mount of another server that is to be taken over.
    private let predecessor: LiveMount?
    private let isKept: Bool
    private var keeping: Keeping?
    private var isLeft = false

    /// Prepares a mount: from here on signals are collected.
    ///
    /// - Parameters:
    ///   - directory: where; nil makes a directory.
    ///   - runtime: where what is mounted is recorded.
    ///   - user: who mounts.
    ///   - isKept: another server may take it over; and where there is such a mount, it is taken over.
    /// - Throws: class `place` where the directory cannot be used.
    package init(
        at directory: String?,
        in runtime: RuntimeDirectory,
        user: UInt32,
        keeping isKept: Bool = false
    ) throws(MountError) {
        self.runtime = runtime
        self.isKept = isKept
        if let directory, isKept {
            predecessor = try Self.kept(at: directory, in: runtime)
        } else {
            predecessor = nil
        }
        id = predecessor?.id ?? RuntimeDirectory.newID()
        if let predecessor {
            path = predecessor.path
            ownsDirectory = path == "\(runtime.path)/\(id)"
        } else if let directory {
            path = try MountPlace.check(directory, user: user, in: runtime)
            ownsDirectory = false
        } else {
            path = "\(runtime.path)/\(id)"
            ownsDirectory = true
        }
        do throws(Errno) {
            signals = try SignalQueue([SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGCHLD, SIGUSR2])
        } catch { throw MountError.system(.failed, "collect signals", error) }
    }

    /// Mount of another server at a directory that can be taken over.
    private static func kept(at directory: String, in runtime: RuntimeDirectory) throws(MountError) -> LiveMount? {
        let path = try MountPlace.resolved(directory)
        // One that is detached, or mounted in another namespace, is not what a caller would find here.
        guard MountTable.has(path) else { return nil }
        let found = FoundMount.all(in: runtime).first { $0.mount.path == path && $0.isWithinReach }
        guard let found, found.mount.kept != nil else { return nil }
        if let end = found.mount.end.flatMap({ Timestamp($0) }), end <= .now() {
            // Its time was over while nobody served.
            try Unmounting.end(found, in: runtime)
            return nil
        }
        return found.mount
    }

    /// Prepares the ledger of a mount that is kept, and takes over one that is there; before its first snapshot is made.
    ///
    /// - Parameters:
    ///   - rules: whom the mount is for.
    ///   - token: derives from the key of the store what only its servers know of this mount; nil where there is no key.
    /// - Returns: the ledger; nil for a mount that is not kept.
    /// - Throws: class `mount`; then the other server serves on, if it lives.
    package func prepareLedger(
        _ rules: MountRules,
        _ token: ((_ mount: String) throws -> Key256)?
    ) throws -> MountLedger? {
        guard isKept else { return nil }
        // Before the other server is asked to go.
        if let kept = predecessor?.kept, kept.allowsOther != rules.allowsOther {
            throw MountError(
                .mount,
                "\(path) was mounted \(kept.allowsOther ? "with" : "without") --allow-other, which cannot be changed",
                hint: "unmount it first: credfs unmount \(quoted(path))"
            )
        }
        guard let token else {
            guard predecessor == nil else {
                throw MountError(.mount, "without the key of its store \(path) cannot be taken over")
            }
            return nil
        }
        if let predecessor {
            keeping = try Keeping(takingOver: predecessor, in: runtime, proving: token(id))
        } else {
            keeping = try Keeping()
        }
        return keeping?.ledger
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
    /// - Throws: class `mount`; then nothing is mounted that was not before.
    package func begin(
        _ snapshot: Snapshot,
        _ rules: MountRules,
        store: StoreID?,
        auth: AuthMode,
        live: LiveOptions,
        served: (any ServedStore)?,
        recording: @escaping OpenRecording
    ) throws(MountError) {
        var live = live
        let options = options(rules, &live)
        let mount = SharedMount(
            SecretFileSystem(snapshot, ownership: rules.ownership, access: rules.accessWithoutJob),
            options,
            path: path,
            making: ownsDirectory ? OwnDirectory(runtime: runtime, name: id, mode: 0o700) : nil,
            requestTimeout: keeping == nil ? Self.requestTimeout : Self.keptRequestTimeout,
            keeping: keeping,
            audit: { [id] () throws(MountError) in try recording(id) }
        )
        self.mount = mount
        do throws(MountError) {
            try mount.prepare()
            var description = description(snapshot, store, auth)
            if keeping != nil { description.kept = KeptMount(options) }
            let events = try MountEvents(description, live, served, in: runtime, continuing: keeping?.takeRecord())
            self.events = events
            if case .command(let command) = live.onChange {
                let environment = live.hookEnvironment + ["CREDENTIALS_DIRECTORY=\(path)"]
                events.follow(
                    with: try ChangeHook(command, environment: environment, job: nil, .none, speaks: false)
                )
            }
            if predecessor == nil { try keeping?.start(path, id, in: runtime) }
            try mount.begin(signalling: nil, record: events.recordNumber)
            if keeping?.ledger.isLocked == true { events.lock(mount.served) }
            try events.begin(refusing: nil, status: mount.status, asking: true)
            try MountError.wrapping(.mount, "list \(path)") { () throws(Errno) in
                _ = try OwnedDescriptor.open(path, O_RDONLY | O_DIRECTORY).entryNames()
            }
        } catch {
            giveBack()
            end()
            throw error
        }
    }

    /// What mount(2) is told; of a mount that is taken over what it was told.
    private func options(_ rules: MountRules, _ live: inout LiveOptions) -> FuseMount.Options {
        guard let predecessor, let kept = predecessor.kept else {
            return rules.options(maximumReadByteCount: ServedMount.maximumReadByteCount())
        }
        // A server that comes later has no right to more time.
        if let end = predecessor.end.flatMap({ Timestamp($0) }) {
            live.notAfter = [live.notAfter, end].compactMap(\.self).min()
        }
        return rules.options(maximumReadByteCount: kept.maximumReadByteCount)
    }

    /// Lets the next server take the mount over, one that has the key of the store.
    ///
    /// - Returns: false where this kernel has no way to it: then the mount ends with its server.
    package func acceptSuccessor(_ token: borrowing Key256) -> Bool {
        guard let keeping else { return true }
        if keeping.accept(token) { return true }
        keeping.keeper?.acceptNobody()
        events?.noteUnkept()
        return false
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
        /// Another server takes it over.
        case replaced
        /// SIGUSR2: it is left to a server that comes later.
        case left
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
    /// - Parameters:
    ///   - onGeneration: told often which generation is served.
    ///   - onReload: told of each step of a reload.
    /// - Returns: why it ends.
    /// - Throws: class `failed` where signals cannot be waited for.
    package func serve(
        onGeneration: (UInt64) -> Void = { _ in },
        onReload: (Reload) -> Void
    ) throws(MountError) -> End {
        do throws(Errno) {
            while true {
                while let arrival = try signals.next() {
                    switch arrival.signal {
                    case SIGHUP:
                        onReload(.begins)
                        onReload(events?.reload(mount?.served) == true ? .succeeded : .failed)
                    case SIGTERM, SIGINT, SIGQUIT: return .asked
                    case SIGUSR2 where canBeLeft:
                        isLeft = true
                        return .left
                    default: break
                    }
                }
                guard let events, events.act(on: mount?.served) else { return .timeOver }
                guard let served = mount?.served, served.isServing else {
                    return MountTable.has(path) ? .aborted : .asked
                }
                if let keeper = keeping?.keeper, keeper.notice >= 0 {
                    if keeper.isAskedToLeave() {
                        isLeft = true
                        return .replaced
                    }
                    // Somebody killed it.
                    if keeper.notice < 0 { events.noteUnkept() }
                }
                onGeneration(served.snapshot.generation)
                try signals.wait(or: [served.endNotice, keeping?.keeper?.notice ?? -1] + events.numbers)
            }
        } catch { throw MountError.system(.failed, "wait for signals", error) }
    }

    /// Leaves a mount that was taken over to the server that comes next, since this one cannot serve it.
    package func giveBack() { isLeft = isLeft || predecessor != nil }

    /// Signals that came while a mount was being taken over ask for its end: they were meant for this command.
    package func isInterrupted() -> Bool {
        guard predecessor != nil else { return false }
        var isAsked = false
        while let arrival = try? signals.next() {
            if [SIGTERM, SIGINT, SIGQUIT].contains(arrival.signal) { isAsked = true }
        }
        return isAsked
    }

    /// A process keeps it for the next server.
    private var canBeLeft: Bool { (keeping?.keeper?.notice ?? -1) >= 0 }

    /// Refuses, forgets, unmounts, and leaves nothing; or leaves it to the next server.
    package func end() {
        if isLeft {
            mount?.leave()
            mount = nil
            events?.end(leavingRecord: true)
            events = nil
            return
        }
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
