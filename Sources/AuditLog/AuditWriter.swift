// SPDX-License-Identifier: Apache-2.0

internal import Synchronization
internal import SystemCalls
package import SystemPackage

/// Long-lived writer of a log: entries come from any thread and are written by its own, many under one lock.
///
/// Nobody waits in `record`. It must be ended.
package final class AuditWriter: Sendable {
    /// Durability and folding.
    package struct Settings: Sendable {
        /// Refusal of what cannot be recorded (`audit: required`).
        package var isRequired = false
        /// fsync before an entry counts as written (`audit: sync`).
        package var synchronizes = false
        /// Time for which repeats of an entry are counted before they are written.
        package var foldingTime = Duration.seconds(1)
        /// Longest time of an entry in the page cache only.
        package var synchronizationTime = Duration.seconds(1)

        package init() {}
    }

    /// Events with the same key within the folding time are repeats of the first one.
    package struct FoldingKey: Hashable, Sendable {
        let process: Int32
        let startTime: UInt64
        let device: UInt64
        let inode: UInt64
        let user: UInt32
        let secret: String

        /// Makes the key of a process, as the program that it is now, and a secret.
        package init(process: Int32, startTime: UInt64, device: UInt64, inode: UInt64, user: UInt32, secret: String) {
            self.process = process
            self.startTime = startTime
            self.device = device
            self.inode = inode
            self.user = user
            self.secret = secret
        }
    }

    private struct Fold {
        let entry: AuditEntry
        let end: ContinuousClock.Instant
        /// Before that nobody may take the first event for recorded.
        var isWritten = false
        var repeats: AuditEntry.Repeat?
    }

    private struct Item {
        let entry: AuditEntry
        let key: FoldingKey?
        let done: @Sendable (Bool) -> Void
        let start = ContinuousClock.now
    }

    private struct State {
        var queue: [Item] = []
        var folds: [FoldingKey: Fold] = [:]
        /// Ends of the folds in their order, which is that of their beginnings; those before `firstEnd` are over.
        var ends: [(time: ContinuousClock.Instant, key: FoldingKey)] = []
        var firstEnd = 0
        var isEnding = false
        /// Failures that were reported.
        var said: Set<String> = []
    }

    /// The most entries under one lock.
    private static let maximumBatchCount = 64
    /// The most processes and secrets whose repeats are counted at once.
    private static let maximumFoldCount = 4096

    private let settings: Settings
    private let bell: Doorbell
    private let state = Mutex(State())
    private let log: Mutex<AuditLog?>
    private let forwarder: AuditForwarder?
    private let report: @Sendable (AuditError) -> Void
    private let onLoss: @Sendable () -> Void
    private let thread = Mutex<OwnThread?>(nil)

    /// Starts the thread.
    ///
    /// - Parameters:
    ///   - log: the log, used by the thread alone; nil where entries are only forwarded.
    ///   - settings: durability and folding.
    ///   - forwarder: gets a copy of each entry, whether it is written or not.
    ///   - onLoss: called for each entry that is not written, on the thread.
    ///   - report: gets each kind of failure once, on the thread.
    /// - Throws: the error of pipe2(2) or pthread_create(3).
    package init(
        _ log: sending AuditLog?,
        _ settings: Settings = Settings(),
        forwarder: AuditForwarder? = nil,
        onLoss: @escaping @Sendable () -> Void = {},
        report: @escaping @Sendable (AuditError) -> Void
    ) throws(Errno) {
        self.settings = settings
        self.report = report
        self.onLoss = onLoss
        self.forwarder = forwarder
        self.log = Mutex(log)
        bell = try Doorbell.make()
        let thread = try OwnThread { self.work() }
        self.thread.withLock { $0 = thread }
    }

    /// Counts an event as a repeat of one that is written; nothing else is to be done then.
    ///
    /// - Returns: false where it is the first one within the folding time.
    package func fold(_ key: FoldingKey, at time: () -> String) -> Bool {
        let now = ContinuousClock.now
        return state.withLock { state in
            guard let fold = state.folds[key], fold.isWritten, now < fold.end, !state.isEnding else { return false }
            let time = time()
            let repeats = fold.repeats ?? AuditEntry.Repeat(count: 0, first: time, last: time)
            state.folds[key]?.repeats = .init(count: repeats.count + 1, first: repeats.first, last: time)
            return true
        }
    }

    /// Takes an entry to be written.
    ///
    /// - Parameters:
    ///   - entry: what it says.
    ///   - key: what makes later events repeats of it; nil for what is never folded.
    ///   - done: called once, on the thread of the writer, when it is written, with true, or cannot be; then with whether
    ///     that is to be put up with.
    package func record(_ entry: AuditEntry, folding key: FoldingKey?, done: @escaping @Sendable (Bool) -> Void) {
        let isTaken = state.withLock { state in
            guard !state.isEnding else { return false }
            state.queue.append(Item(entry: entry, key: key, done: done))
            return true
        }
        if isTaken { bell.ring() } else { done(!settings.isRequired) }
    }

    /// Decides on an event that cannot wait for its entry, and says that once.
    ///
    /// - Parameter reason: why it cannot.
    /// - Returns: whether that is to be put up with.
    package func isAdmittedUnrecorded(_ reason: AuditError) -> Bool {
        say(reason)
        return !settings.isRequired
    }

    /// Writes everything that is waiting or was folded, brings it onto the disk and ends the thread.
    package func end() {
        state.withLock { $0.isEnding = true }
        bell.ring()
        thread.withLock { $0.take() }?.join()
    }

    private func work() {
        log.withLock { log in
            var unsynchronizedSince: ContinuousClock.Instant?
            var lost: UInt64 = 0
            while true {
                var (batch, isEnding, wake) = collect()
                if !batch.isEmpty {
                    do throws(AuditError) {
                        guard let log else { throw .noLog }
                        try log.append(batch.map(\.entry), lost: lost, synchronizing: settings.synchronizes)
                        lost = 0
                        if !settings.synchronizes { unsynchronizedSince = unsynchronizedSince ?? .now }
                        finish(batch, isWritten: true)
                    } catch {
                        // The log counts what it has no room for; whoever has the lock keeps us from that.
                        let others = error == .busy ? takeOverdue(log) : []
                        if error == .busy { lost += UInt64(batch.count + others.count) }
                        say(error)
                        batch += others
                        finish(batch, isWritten: false)
                    }
                    // Whoever waited has an answer already.
                    if let forwarder { for item in batch { forwarder.forward(item.entry) } }
                }
                let end = unsynchronizedSince.map { $0 + settings.synchronizationTime }
                if let due = end, isEnding || due <= .now {
                    try? log?.synchronize()
                    unsynchronizedSince = nil
                }
                guard batch.isEmpty else { continue }
                if isEnding { return }
                let next = [wake, unsynchronizedSince == nil ? nil : end].compactMap(\.self).min()
                bell.wait(until: next)
            }
        }
    }

    /// Reports each kind of failure once.
    private func say(_ error: AuditError) {
        if state.withLock({ $0.said.insert(error.message).inserted }) { report(error) }
    }

    /// Takes the entries that waited for the lock as long as those for which it was waited.
    private func takeOverdue(_ log: AuditLog?) -> [Item] {
        let end = ContinuousClock.now - .milliseconds(log?.limits.lockMilliseconds ?? 0)
        return state.withLock { state in
            let overdue = Array(state.queue.prefix { $0.start <= end })
            state.queue.removeFirst(overdue.count)
            return overdue
        }
    }

    /// Collects entries to write now, folded events whose time is over first, and the time of the next ones.
    private func collect() -> (batch: [Item], isEnding: Bool, wake: ContinuousClock.Instant?) {
        let now = ContinuousClock.now
        return state.withLock { state in
            var batch: [Item] = []
            while state.firstEnd < state.ends.count, batch.count < Self.maximumBatchCount {
                let (end, key) = state.ends[state.firstEnd]
                guard end <= now || state.isEnding else { break }
                state.firstEnd += 1
                // One that could not be written is gone, and may have begun anew.
                guard let fold = state.folds[key], fold.end == end else { continue }
                state.folds[key] = nil
                guard let repeats = fold.repeats else { continue }
                var entry = fold.entry
                entry.timestamp = repeats.last
                entry.repeated = repeats
                batch.append(Item(entry: entry, key: nil) { _ in })
            }
            let taken = state.queue.prefix(max(0, Self.maximumBatchCount - batch.count))
            state.queue.removeFirst(taken.count)
            for item in taken {
                guard let key = item.key, state.folds.count < Self.maximumFoldCount else { continue }
                if state.folds[key] == nil {
                    let end = now + settings.foldingTime
                    state.folds[key] = Fold(entry: item.entry, end: end)
                    state.ends.append((end, key))
                }
            }
            batch += taken
            if state.firstEnd > state.ends.count / 2 {
                state.ends.removeFirst(state.firstEnd)
                state.firstEnd = 0
            }
            let wake = state.ends.indices.contains(state.firstEnd) ? state.ends[state.firstEnd].time : nil
            return (batch, state.isEnding, wake)
        }
    }

    private func finish(_ batch: [Item], isWritten: Bool) {
        state.withLock { state in
            for item in batch {
                guard let key = item.key else { continue }
                if isWritten { state.folds[key]?.isWritten = true } else { state.folds[key] = nil }
            }
        }
        if !isWritten { for _ in batch { onLoss() } }
        for item in batch { item.done(isWritten || !settings.isRequired) }
    }
}
