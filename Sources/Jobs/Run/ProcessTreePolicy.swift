// SPDX-License-Identifier: Apache-2.0

internal import FuseBridge
package import SecretFileSystem
internal import SystemCalls

/// Policy that grants the descendants of the process that supervises a job.
///
/// Orphans are adopted by the supervisor, so the chain of parents of a member always ends at it. It is asked while the
/// open is unanswered, when the caller cannot end.
package struct ProcessTreePolicy: AccessPolicy {
    private enum Descent {
        case member
        case stranger
        case unknown
    }

    private static let attempts = 16

    private let supervisor: Int32
    private let parent: @Sendable (Int32) -> Int32?

    /// Makes the rule.
    ///
    /// - Parameters:
    ///   - supervisor: the process that all members descend from.
    ///   - parent: the parent of a process; nil where it is gone.
    package init(
        supervisor: Int32,
        parent: @escaping @Sendable (Int32) -> Int32? = { ProcessTree.parent(of: $0) }
    ) {
        self.supervisor = supervisor
        self.parent = parent
    }

    /// Allows members.
    package func decide(on request: AccessRequest) -> AccessDecision {
        contains(request.caller.thread) ? .allow : .refuse
    }

    /// Finds out whether a process or thread is a member; one that has ended is none.
    package func contains(_ process: Int32) -> Bool {
        for _ in 0..<Self.attempts {
            switch descent(of: process) {
            case .member: return true
            case .stranger: return false
            // An ancestor ended between two looks, and its children have another parent now.
            case .unknown: continue
            }
        }
        return false
    }

    private func descent(of caller: Int32) -> Descent {
        var process = caller
        // No chain is longer than the table of processes.
        for _ in 0..<(1 << 16) {
            if process == supervisor { return .member }
            // 0: not to be seen from here, or above the first process.
            guard process > 0 else { return .stranger }
            guard let next = parent(process) else { return process == caller ? .stranger : .unknown }
            process = next
        }
        return .stranger
    }
}

/// Policy that grants what both of two policies grant.
struct AllOf: AccessPolicy {
    let first: any AccessPolicy
    let second: any AccessPolicy

    func decide(on request: AccessRequest) -> AccessDecision {
        let decision = first.decide(on: request)
        return decision == .allow ? second.decide(on: request) : decision
    }
}
