// SPDX-License-Identifier: Apache-2.0

internal import Synchronization
internal import SystemCalls
internal import SystemPackage

/// Request that waits for something else than a worker, and is answered in time whatever becomes of that.
protocol DelayedRequest: AnyObject, Sendable {
    /// It has an answer.
    var isAnswered: Bool { get }

    /// Answers it unless that was done.
    func expire()
}

/// Ends the waiting of requests after a time that is the same for all: an executable on a file system that does not answer,
/// a log on a disk that hangs.
final class Deadlines: Sendable {
    /// Time that a request may wait.
    static let time = Duration.seconds(5)

    private struct State {
        /// In the order of their ends.
        var waiting: [(end: ContinuousClock.Instant, request: any DelayedRequest)] = []
        /// The thread wakes up by itself before anything that is added now is due.
        var isAwake = false
        var isEnding = false
    }

    private let bell: Doorbell
    private let state = Mutex(State())
    private let thread = Mutex<OwnThread?>(nil)

    /// Starts the thread.
    ///
    /// - Throws: the error of pipe2(2) or pthread_create(3).
    init() throws(Errno) {
        bell = try Doorbell.make()
        let thread = try OwnThread { self.work() }
        self.thread.withLock { $0 = thread }
    }

    /// Adds a request; costs no system call while others were added within the last seconds.
    func add(_ request: any DelayedRequest) {
        let isAsleep = state.withLock { state in
            let answered = state.waiting.prefix { $0.request.isAnswered }.count
            state.waiting.removeFirst(answered)
            state.waiting.append((.now + Self.time, request))
            defer { state.isAwake = true }
            return !state.isAwake
        }
        if isAsleep { bell.ring() }
    }

    /// Ends the thread; what waits is left to whoever else has it.
    func end() {
        state.withLock { $0.isEnding = true }
        bell.ring()
        thread.withLock { $0.take() }?.join()
    }

    private func work() {
        while true {
            let (due, next, isEnding) = collect()
            if isEnding { return }
            for request in due { request.expire() }
            guard due.isEmpty else { continue }
            bell.wait(until: next)
        }
    }

    /// Collects what is due, and the time of the next look; nil where nothing waits.
    private func collect() -> (due: [any DelayedRequest], next: ContinuousClock.Instant?, isEnding: Bool) {
        let now = ContinuousClock.now
        return state.withLock { state in
            let count = state.waiting.prefix { $0.request.isAnswered || $0.end <= now }.count
            let due = state.waiting.prefix(count).map(\.request).filter { !$0.isAnswered }
            state.waiting.removeFirst(count)
            let next = state.waiting.first?.end
            state.isAwake = next != nil || !due.isEmpty
            return (due, next, state.isEnding)
        }
    }
}
