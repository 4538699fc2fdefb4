// SPDX-License-Identifier: Apache-2.0

internal import Synchronization
internal import SystemCalls

/// Identities of callers, looked up while their requests are unanswered, so that they can neither end nor exec.
///
/// A thread that is known, and runs the same file, is not looked up again for a second. It is known by its start time; one
/// that comes again by its directory in /proc, which stays open: that belongs to the process and not to its number.
package final class IdentityCache: Sendable {
    private final class Known: Sendable {
        let startTime: UInt64
        let file: ProcessIdentity.Executable?
        let identity: ProcessIdentity
        let end: ContinuousClock.Instant
        /// Directory of the thread in /proc; nil at its first request.
        let place: OwnedDescriptor?

        init(
            _ startTime: UInt64,
            _ file: ProcessIdentity.Executable?,
            _ identity: ProcessIdentity,
            until end: ContinuousClock.Instant,
            place: consuming OwnedDescriptor?
        ) {
            self.startTime = startTime
            self.file = file
            self.identity = identity
            self.end = end
            self.place = place
        }

        /// The thread lives and runs the file that it ran.
        var isUnchanged: Bool {
            guard let file, let now = try? place?.identity(of: "exe") else { return false }
            return now.device == file.device && now.inode == file.inode
        }

        var hasPlace: Bool { place != nil }
    }

    private struct State {
        var known: [Int32: Known] = [:]
        var placeCount = 0
    }

    private static let time = Duration.seconds(1)
    private static let maximumCount = 1024
    /// Descriptors are few (RLIMIT_NOFILE).
    private static let maximumPlaceCount = 64

    private let state = Mutex(State())

    package init() {}

    /// The process that a thread belongs to; with process 0 where it cannot be seen from here.
    package func identity(of thread: Int32) -> ProcessIdentity {
        guard thread > 0 else { return ProcessIdentity(process: 0) }
        let now = ContinuousClock.now
        let known = state.withLock { $0.known[thread] }
        if let known, now < known.end, known.isUnchanged { return known.identity }
        // Opened before it is looked at: whatever has the number later, this is who was looked at.
        let place = known == nil ? nil : try? OwnedDescriptor.openPath(directory: "/proc/\(thread)")
        guard let stat = ProcessStat.of(thread) else { return ProcessIdentity(process: 0) }
        let file = ProcessIdentity.executable(of: thread)
        if let known, known.startTime == stat.startTime, known.file == file, now < known.end {
            keep(Known(stat.startTime, file, known.identity, until: known.end, place: place), of: thread)
            return known.identity
        }
        let identity = ProcessIdentity.of(ProcessTree.leader(of: thread) ?? thread)
        keep(Known(stat.startTime, file, identity, until: now + Self.time, place: place), of: thread)
        return identity
    }

    private func keep(_ new: Known, of thread: Int32) {
        state.withLock { state in
            if state.known.count >= Self.maximumCount || state.placeCount >= Self.maximumPlaceCount {
                state = State()
            }
            if state.known[thread]?.hasPlace == true { state.placeCount -= 1 }
            if new.hasPlace { state.placeCount += 1 }
            state.known[thread] = new
        }
    }
}
