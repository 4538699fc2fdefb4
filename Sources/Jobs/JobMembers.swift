// SPDX-License-Identifier: Apache-2.0

internal import FuseBridge
package import SecretFileSystem
internal import SystemCalls

/// Lets the processes of a job read: those that descend from the one that supervises it.
///
/// Orphans are adopted by the supervisor, so the chain of parents of a member always ends at it. It is asked while the
/// open is unanswered, when the caller cannot end; its ancestors can, which at worst refuses a member.
package struct JobMembers: AccessDecision {
    private let supervisor: Int32

    /// Makes the rule.
    package init(supervisor: Int32) {
        self.supervisor = supervisor
    }

    /// Allows members.
    package func verdict(on attempt: OpenAttempt) -> Verdict {
        var process = attempt.caller.thread
        // 0: not to be seen from here. No chain is longer than the table of processes.
        for _ in 0..<(1 << 16) where process > 1 {
            if process == supervisor { return .allow }
            guard let parent = ProcessTree.parent(of: process), parent != process else { return .refuse }
            process = parent
        }
        return .refuse
    }
}
