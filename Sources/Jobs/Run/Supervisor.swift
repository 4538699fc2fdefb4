// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import ProcessControl
internal import SystemCalls
internal import SystemPackage

/// Forwards signals and stops; reaps the job.
struct Supervisor: ~Copyable {
    /// The signals that are collected: all that can be, but for those of faults, of the stop that cannot be refused, and
    /// those of the C library.
    private static let collected: [Int32] =
        [
            SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGWINCH, SIGTSTP,
            SIGTTIN, SIGTTOU, SIGCONT, SIGCHLD, SIGURG, SIGIO, SIGPWR, SIGXCPU, SIGXFSZ,
        ] + Array(Int32(34)...64)

    private let signals: SignalQueue

    /// Collects the signals from now on; before the first thread is started.
    init() throws(Errno) {
        signals = try SignalQueue(Self.collected)
    }

    /// Signal mask that a child starts with.
    var maskForJob: SignalMask { signals.maskBefore }

    /// A signal that ended credfs before its job was there.
    struct Interruption: Error {
        let signal: Int32
    }

    /// Waits until something can be read that a process which will become the job writes.
    ///
    /// - Parameters:
    ///   - number: the descriptor.
    ///   - process: that process.
    ///   - isExecuting: whether it may be the job already, which signals are for then.
    /// - Throws: `Interruption` for a signal that would end credfs; the error of a system call.
    func waitForAnswer(on number: Int32, of process: Int32, isExecuting: Bool) throws {
        try signals.wait(for: number, of: process) { arrival in
            switch arrival.signal {
            case SIGCONT: break
            case _ where isExecuting:
                if Self.isForJob(arrival) { try? Children.send(arrival.signal, to: process) }
            case SIGHUP, SIGINT, SIGQUIT, SIGTERM: throw Interruption(signal: arrival.signal)
            case SIGTSTP, SIGTTIN, SIGTTOU:
                // The keys of a terminal stop the other process, too, if it was there already.
                Children.stopSelf()
                try? Children.send(SIGCONT, to: process)
            default: break
            }
        }
    }

    /// Events of a mount that are looked after while its job runs; -1 is none.
    struct Watched {
        /// Can be read once the secrets are not served any more.
        let endNotice: () -> Int32
        /// Called once nobody serves, though the job runs.
        let onEndOfServing: () -> Void
        /// Can be read when there is something to act on.
        let numbers: () -> [Int32]
        /// Acts on what has happened.
        let act: () -> Void
    }

    /// Waits for the end of a job, and hands on what it is sent.
    ///
    /// - Parameters:
    ///   - job: the id of its first process.
    ///   - mount: what else is looked after.
    /// - Returns: how its first process ended.
    /// - Throws: the error of a system call.
    func waitForEnd(
        of job: Int32,
        _ mount: Watched
    ) throws(Errno) -> ChildProcess.Exit {
        var isServed = true
        var suspicion: ContinuousClock.Instant?
        while true {
            while case .change(let change) = try Children.poll() {
                switch change {
                case .ended(job, let exit): return exit
                case .stopped(job):
                    // Whoever waits for credfs sees it stop with its job, and go on with it.
                    Children.stopSelf()
                    try? Children.send(SIGCONT, to: job)
                case .ended, .stopped: break
                }
            }
            let notice = isServed ? mount.endNotice() : -1
            try signals.wait(or: [notice] + mount.numbers(), timeout: suspicion.map { $0 - .now })
            while let arrival = try signals.next() {
                if Self.isForJob(arrival) { try? Children.send(arrival.signal, to: job) }
            }
            let hasEnded = notice >= 0 && SignalQueue.isReadable(notice)
            mount.act()
            if hasEnded {
                isServed = false
                // The mount goes with its namespace, a moment before the end of the job can be seen.
                suspicion = .now + .seconds(2)
            } else if let deadline = suspicion, deadline <= .now {
                suspicion = nil
                mount.onEndOfServing()
            }
        }
    }

    /// Waits for the descendants that outlive the first process of a job.
    ///
    /// A signal to end makes it stop waiting.
    ///
    /// - Parameters:
    ///   - limit: how long at most.
    ///   - helpers: processes of ours that are not waited for; -1 for none.
    ///   - mount: what else is looked after.
    /// - Throws: the error of a system call.
    func linger(_ limit: Duration, besides helpers: [Int32], _ mount: Watched) throws(Errno) {
        let deadline = ContinuousClock.now + limit
        while true {
            var outcome = try Children.poll()
            while case .change = outcome { outcome = try Children.poll() }
            let rest = deadline - ContinuousClock.now
            guard outcome != .noneLeft, rest > .zero, Children.ids().contains(where: { !helpers.contains($0) }) else {
                return
            }
            try signals.wait(or: mount.numbers(), timeout: rest)
            mount.act()
            while let arrival = try signals.next() {
                if [SIGINT, SIGTERM, SIGHUP, SIGQUIT].contains(arrival.signal) { return }
            }
        }
    }

    /// Decides whether a signal is forwarded: the terminal sends it to the job, too, which is in the same process
    /// group.
    ///
    /// But a hang-up is sent to the leader of the session alone, which may be us.
    private static func isForJob(_ arrival: SignalQueue.Arrival) -> Bool {
        !arrival.isOfChild && !arrival.isOwn && (!arrival.isFromKernel || arrival.signal == SIGHUP)
    }
}
