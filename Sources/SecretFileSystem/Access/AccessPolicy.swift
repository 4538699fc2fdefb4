// SPDX-License-Identifier: Apache-2.0

package import FuseBridge
package import SecretStore

/// An open that somebody asks for.
package struct AccessRequest: Sendable, Equatable {
    /// The secret.
    package let name: SecretName
    /// Caller of the open; its thread cannot end before it has an answer.
    package let caller: Caller
    /// The generation that is asked.
    package let generation: UInt64
    /// Mode 0440, which lets the group read.
    package let isForGroup: Bool

    /// Makes a request.
    package init(name: SecretName, caller: Caller, generation: UInt64, isForGroup: Bool = false) {
        self.name = name
        self.caller = caller
        self.generation = generation
        self.isForGroup = isForGroup
    }
}

/// Decision on a request.
package enum AccessDecision: Sendable, Equatable {
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
package protocol AccessPolicy: Sendable {
    /// Decides on a request.
    func decide(on request: AccessRequest) -> AccessDecision
}

/// Rules of a mount beside the policies of its secrets.
package struct AccessRules: Sendable {
    /// Decides at every open, before the policy of the secret.
    package var mount: any AccessPolicy
    /// Decides whether a caller is one of the job's processes; nil where there is no job.
    package var job: (any AccessPolicy)?
    /// Decides whether a caller is the owner.
    package var owner: any AccessPolicy
    /// Observing: policies of secrets refuse nobody, and what they would refuse is recorded (`--policy observe`).
    package var observes: Bool
    /// Observer of every open.
    package var monitor: OpenMonitor

    /// Makes rules; everybody may read unless they say otherwise.
    package init(
        mount: any AccessPolicy = AllowEveryone(),
        job: (any AccessPolicy)? = nil,
        owner: any AccessPolicy = AllowEveryone(),
        observes: Bool = false,
        monitor: OpenMonitor = OpenMonitor()
    ) {
        self.mount = mount
        self.job = job
        self.owner = owner
        self.observes = observes
        self.monitor = monitor
    }

    func isCaller(_ callers: ReadPolicy.Callers, _ request: AccessRequest) -> Bool {
        switch callers {
        case .any: true
        case .owner: owner.decide(on: request) == .allow
        case .job: job?.decide(on: request) == .allow
        }
    }
}

/// Decision on one open, by the rules of the mount and the policy of the secret.
package enum OpenDecision: Sendable, Equatable {
    /// It is granted.
    case allow
    /// It is refused: by a policy, or by the mount.
    case refuse(PolicyRefusal?)
    /// It is refused, and the caller is told that there is no such secret.
    case hide
    /// It is granted, and a policy that is only observed would refuse it.
    case observed(PolicyRefusal)
    /// The digest of the caller's executable has to be computed first.
    case needsDigest
}

/// Policy that grants everybody whom the kernel lets through.
package struct AllowEveryone: AccessPolicy {
    /// Makes the rule.
    package init() {}

    /// Allows.
    package func decide(on request: AccessRequest) -> AccessDecision { .allow }
}

/// Policy that grants the owner, and members of the owning group what has mode 0440; root only where it is the owner.
///
/// The kernel has asked the permission bits before (`default_permissions`), but capabilities pass those
/// (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH), so membership is looked up again. FUSE names the fsgid of a caller and none
/// of its supplementary groups. Those are asked for while the open is unanswered, when the thread can neither end nor
/// change them; where they cannot be told, they do not count.
package struct AllowOwner: AccessPolicy {
    private let ownership: Ownership
    private let groups: @Sendable (Int32) -> [UInt32]?

    /// Makes the rule.
    ///
    /// - Parameters:
    ///   - ownership: whom the files belong to.
    ///   - groups: the supplementary groups of a thread; nil where they cannot be told.
    package init(_ ownership: Ownership, groups: @escaping @Sendable (Int32) -> [UInt32]?) {
        self.ownership = ownership
        self.groups = groups
    }

    /// Allows the owner, and members of the group where the mode does.
    package func decide(on request: AccessRequest) -> AccessDecision {
        let caller = request.caller
        if caller.user == ownership.user { return .allow }
        guard ownership.admitsGroup, request.isForGroup, caller.user != 0 else { return .refuse }
        if caller.group == ownership.group { return .allow }
        // 0: a thread that cannot be seen from here.
        guard caller.thread > 0, let groups = groups(caller.thread) else { return .refuse }
        return groups.contains(ownership.group) ? .allow : .refuse
    }
}
