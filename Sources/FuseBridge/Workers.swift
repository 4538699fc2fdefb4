// SPDX-License-Identifier: Apache-2.0

internal import CFuse3
internal import Glibc
internal import Synchronization
internal import SystemPackage

/// Threads of a session: one at first, and one more whenever all are at work, up to a limit.
///
/// So one is in reserve, that no reader waits for another, and a job that reads one file after the other has two, wherever
/// there are many processors: the kernel wakes every thread that waits, at each request.
final class Workers: Sendable {
    private struct Threads {
        /// Those that were not waited for.
        var all: [pthread_t] = []
        var startedCount = 0
    }

    private let limit: Int
    private let prepare: @Sendable (WorkerNumber) -> Bool
    private let threads = Mutex(Threads())
    private let joining = Mutex<Void>(())
    /// Workers that wait for a request, those included that are about to.
    private let waitingCount = Atomic<Int>(0)
    private let isComplete: Atomic<Bool>

    /// Makes a group without threads; `prepare` is called before one that is not the first, which is left out where it is false.
    init(limit: Int, _ prepare: @escaping @Sendable (WorkerNumber) -> Bool) {
        self.limit = limit
        self.prepare = prepare
        isComplete = Atomic(limit < 2)
    }

    /// Starts the first.
    ///
    /// - Throws: the error of pthread_create(3).
    func start(_ loop: ReceiveLoop) throws(Errno) {
        try threads.withLock { (threads) throws(Errno) in try add(to: &threads, loop) }
    }

    /// Notes that a worker has a request, and starts another one where none waits for the next.
    func beginWork(growing mayGrow: Bool, _ loop: ReceiveLoop) {
        let others = waitingCount.subtract(1, ordering: .relaxed).newValue
        guard mayGrow, others == 0, !isComplete.load(ordering: .relaxed) else { return }
        threads.withLock { threads in
            let nobodyWaits = waitingCount.load(ordering: .relaxed) == 0
            guard nobodyWaits, threads.startedCount < limit, !loop.hasEnded else { return }
            let isStarted = prepare(WorkerNumber(threads.startedCount)) && (try? add(to: &threads, loop)) != nil
            // What the system refuses once it would refuse again, at every request.
            if !isStarted || threads.startedCount == limit { isComplete.store(true, ordering: .relaxed) }
        }
    }

    /// Notes that a worker waits again.
    func endWork() { waitingCount.add(1, ordering: .relaxed) }

    /// Waits until no worker is left.
    func join() {
        // Held while waiting: another caller needs the same, and no worker needs this lock.
        joining.withLock { _ in
            while let thread = threads.withLock({ $0.all.popLast() }) { pthread_join(thread, nil) }
        }
    }

    /// The time that those spent on a processor that were not waited for.
    var processorTime: Duration {
        threads.withLock { threads in
            threads.all.reduce(.zero) { sum, thread in
                var clock = clockid_t()
                var time = timespec()
                guard unsafe pthread_getcpuclockid(thread, &clock) == 0, unsafe clock_gettime(clock, &time) == 0 else {
                    return sum
                }
                return sum + .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
            }
        }
    }

    private func add(to threads: inout Threads, _ loop: ReceiveLoop) throws(Errno) {
        let work = Work(loop: loop, number: WorkerNumber(threads.startedCount))
        var thread = pthread_t()
        // SAFETY: retained for the thread, which releases it; released here where there is none.
        let argument = unsafe Unmanaged.passRetained(work).toOpaque()
        let result = unsafe pthread_create(&thread, nil, { unsafe Work.run($0) }, argument)
        guard result == 0 else {
            unsafe Unmanaged<Work>.fromOpaque(argument).release()
            throw Errno(rawValue: result)
        }
        waitingCount.add(1, ordering: .relaxed)
        threads.all.append(thread)
        threads.startedCount += 1
    }
}

/// Work of the thread of a worker.
private final class Work: Sendable {
    private let loop: ReceiveLoop
    private let number: WorkerNumber

    init(loop: ReceiveLoop, number: WorkerNumber) {
        self.loop = loop
        self.number = number
    }

    static func run(_ data: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
        guard let data = unsafe data else { return nil }
        let work = unsafe Unmanaged<Work>.fromOpaque(data).takeRetainedValue()
        work.loop.run(as: work.number)
        return nil
    }
}
