// SPDX-License-Identifier: Apache-2.0

internal import Synchronization
internal import SystemCalls

/// Identities of callers, looked up while their requests are unanswered, so that they can neither end nor exec.
///
/// A thread that is known by its start time, and runs the same file, is not looked up again for a second.
package final class IdentityCache: Sendable {
    private struct Known {
        let startTime: UInt64
        let file: ProcessIdentity.Executable?
        let identity: ProcessIdentity
        let end: ContinuousClock.Instant
    }

    private static let time = Duration.seconds(1)
    private static let maximumCount = 1024

    private let known = Mutex<[Int32: Known]>([:])

    package init() {}

    /// The process that a thread belongs to; with process 0 where it cannot be seen from here.
    package func identity(of thread: Int32) -> ProcessIdentity {
        guard thread > 0, let stat = ProcessStat.of(thread) else { return ProcessIdentity(process: 0) }
        let file = ProcessIdentity.executable(of: thread)
        let now = ContinuousClock.now
        if let found = known.withLock({ $0[thread] }), found.startTime == stat.startTime, found.file == file,
            now < found.end
        {
            return found.identity
        }
        let identity = ProcessIdentity.of(ProcessTree.leader(of: thread) ?? thread)
        known.withLock { known in
            if known.count >= Self.maximumCount { known.removeAll() }
            known[thread] = Known(startTime: stat.startTime, file: file, identity: identity, end: now + Self.time)
        }
        return identity
    }
}
