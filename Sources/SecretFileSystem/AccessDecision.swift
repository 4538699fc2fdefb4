// SPDX-License-Identifier: Apache-2.0

package import FuseBridge
package import SecretStore

/// An open that somebody asks for.
package struct OpenAttempt: Sendable, Equatable {
    /// The secret.
    package let name: SecretName
    /// Who asks; the thread cannot end before it has an answer.
    package let caller: Caller
    /// The generation that is asked.
    package let generation: UInt64

    /// Makes an attempt.
    package init(name: SecretName, caller: Caller, generation: UInt64) {
        self.name = name
        self.caller = caller
        self.generation = generation
    }
}

/// What becomes of an attempt.
package enum Verdict: Sendable, Equatable {
    /// The secret may be opened.
    case allow
    /// It may not.
    case refuse
    /// It may not, and the caller is told that there is no such secret.
    case hide
}

/// The rule that is asked at every open, before anything of the secret is decrypted.
///
/// It must not wait.
package protocol AccessDecision: Sendable {
    /// Decides on an attempt.
    func verdict(on attempt: OpenAttempt) -> Verdict
}

/// Lets everybody read whom the kernel lets through.
package struct AllowEveryone: AccessDecision {
    /// Makes the rule.
    package init() {}

    /// Allows.
    package func verdict(on attempt: OpenAttempt) -> Verdict { .allow }
}

/// Lets one user read, root only where root is that user: the kernel asks permission bits, which root passes.
package struct AllowOwner: AccessDecision {
    private let user: UInt32

    /// Makes the rule.
    package init(user: UInt32) {
        self.user = user
    }

    /// Allows the owner.
    package func verdict(on attempt: OpenAttempt) -> Verdict {
        attempt.caller.user == user ? .allow : .refuse
    }
}
