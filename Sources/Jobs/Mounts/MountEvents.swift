// SPDX-License-Identifier: Apache-2.0

internal import ProcessControl
internal import SecretFileSystem
internal import SecretStore
internal import SystemCalls
internal import SystemPackage

/// Everything that happens to a live mount beside its readers: requests on its control socket, changes of its manifest, and
/// its time being over.
///
/// Used on the main thread, which waits for signals at the same time.
final class MountEvents {
    private let store: (any ServedStore)?
    private let control: MountControl
    private var record: MountRecord?
    private var timers: [Timer] = []
    private var watches: [PlaceWatch] = []
    private var generation: UInt64
    /// Called on the main thread when readers see another generation.
    private let onChange: () -> Void
    private var hook: ChangeHook?
    private var hasBegun = false

    private final class Timer {
        let timer: DeadlineTimer

        init(_ timer: consuming DeadlineTimer) {
            self.timer = timer
        }
    }

    /// Writes the record of a mount, or goes on with that of the server before, listens, and starts the timers; before this process is bound by `ServingFilter`.
    ///
    /// - Throws: class `place` or `failed`.
    init(
        _ mount: LiveMount,
        _ options: LiveOptions,
        _ store: (any ServedStore)?,
        in runtime: RuntimeDirectory,
        continuing file: consuming OwnedDescriptor? = nil,
        onChange: @escaping () -> Void = {}
    ) throws(MountError) {
        self.store = store
        self.onChange = onChange
        generation = mount.generation
        var mount = mount
        mount.end = options.end(from: .now())?.text
        // Before there is something to find, so that it is found whenever this process is killed.
        if let file {
            record = try MountRecord(mount, continuing: file, in: runtime)
            MountControl.removeSocket(of: mount.id, in: runtime)
        } else {
            record = try MountRecord(mount, in: runtime)
        }
        control = try MountControl(of: mount.id, in: runtime)
        do throws(Errno) {
            if let time = options.timeToLive { timers.append(Timer(try DeadlineTimer(after: time))) }
            if let time = options.notAfter { timers.append(Timer(try DeadlineTimer(atEpochSecond: time.seconds))) }
        } catch { throw MountError(.failed, "cannot start the timer of the mount: \(error.message)") }
        for place in options.watched where store != nil {
            watches.append(
                try MountError.wrapping(.failed, "watch \(place.path)") { () throws(Errno) in try PlaceWatch(place) }
            )
        }
    }

    /// Descriptor of the record, or -1.
    var recordNumber: Int32 { record?.number ?? -1 }

    /// Refuses opens and reads and wipes the keys, as the server before had done.
    func lock(_ served: ServedMount?) {
        guard let served, let store else { return }
        served.lock(store, record)
    }

    /// Lets the record say that the mount ends with its server.
    func noteUnkept() { record?.update { $0.kept = nil } }

    /// The process that runs a command when readers see another generation, or -1.
    var helper: Int32 { hook?.id ?? -1 }

    /// Has a process run a command whenever readers see another generation, until the mount ends.
    func follow(with hook: ChangeHook) { self.hook = hook }

    /// Starts to answer clients.
    ///
    /// - Parameters:
    ///   - job: the processes that may ask for nothing; nil for a mount that belongs to no job.
    ///   - status: what is served, asked for on the thread of the socket.
    ///   - asksSources: whether sources are asked again when their values are due.
    /// - Throws: class `failed`.
    func begin(
        refusing job: ProcessTreePolicy?,
        status: @escaping @Sendable () -> ControlAnswer,
        asking asksSources: Bool
    ) throws(MountError) {
        hasBegun = true
        if asksSources, let store {
            try MountError.wrapping(.failed, "start the thread that asks sources") { () throws(Errno) in
                try store.begin()
            }
        }
        try control.begin(refusing: job, status: status, refresh: store?.refresh, health: store?.health)
    }

    /// Descriptors of which one can be read when there is something to act on.
    var numbers: [Int32] {
        control.numbers + [store?.notice ?? -1] + timers.map { $0.timer.number } + watches.flatMap(\.numbers)
    }

    /// Acts on what has happened.
    ///
    /// - Returns: false once the time of the mount is over.
    func act(on served: ServedMount?) -> Bool {
        if timers.contains(where: { SignalQueue.isReadable($0.timer.number) }) { return false }
        control.answer(served, store, record)
        follow(served)
        takeChange(served)
        tell(served)
        return true
    }

    /// Lets others know where readers see another generation than before.
    private func tell(_ served: ServedMount?) {
        guard let now = served?.snapshot.generation, now != generation else { return }
        generation = now
        onChange()
        hook?.ring()
    }

    /// Serves what manifest and sources hold now where one has changed; says once of each state that it is not accepted.
    private func follow(_ served: ServedMount?) {
        // Each is asked, which takes what woke this thread.
        let due = watches.filter { (try? $0.isDue()) == true }
        guard !due.isEmpty, let served, let store, !served.isLocked else { return }
        do {
            try served.reload(store, record)
            for watch in due { _ = watch.note(isAccepted: true) }
            store.reportReload(of: served.snapshot.generation)
        } catch {
            if due.filter({ $0.note(isAccepted: false) }).isEmpty { return }
            store.reportSkipped(error)
        }
    }

    /// Serves what sources have told since.
    private func takeChange(_ served: ServedMount?) {
        guard let store, store.notice >= 0, SignalQueue.isReadable(store.notice) else { return }
        store.takeNotice()
        // A mount that is locked reads everything again when it is unlocked.
        guard let served, !served.isLocked else { return }
        do {
            try served.reload(store, record)
            store.reportReload(of: served.snapshot.generation)
        } catch { store.reportSkipped(error) }
    }

    /// Reads the store again since a signal asks for it.
    ///
    /// - Returns: whether what it holds is served now.
    func reload(_ served: ServedMount?) -> Bool {
        guard let served, let store else { return false }
        defer { tell(served) }
        do {
            try served.reload(store, record)
            store.reportReload(of: served.snapshot.generation)
            return true
        } catch {
            store.report(error)
            return false
        }
    }

    /// Listens no more and removes the record; one that is left says that something has to be taken away.
    func end(leavingRecord isLeft: Bool) {
        // A request that waits for a source ends with it. A mount that never began may be followed by one of another kind.
        if hasBegun { store?.end() }
        control.end()
        if isLeft { record?.leave() }
        record = nil
        timers = []
        watches = []
        hook?.finish()
        hook = nil
    }
}
