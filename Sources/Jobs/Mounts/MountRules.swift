// SPDX-License-Identifier: Apache-2.0

package import SecretFileSystem
package import SecretStore
package import SystemCalls

/// Owner, allow_other and caller policy of a mount.
package struct MountRules: Sendable {
    /// Owner and group of the files.
    package var ownership: Ownership
    /// Option allow_other: processes of other users are let in; the rules still apply.
    package var allowsOther = false
    /// Callers that may open a secret; nil is the usual: the job's processes, or the owner's.
    package var callers: ReadPolicy.Callers?
    /// Observing: policies of secrets refuse nobody, and what they would refuse is recorded.
    package var observes = false
    /// Observer of every open.
    package var monitor = OpenMonitor()

    /// Makes the usual rules for a user.
    package init(ownership: Ownership) {
        self.ownership = ownership
    }

    /// Options for mount(2).
    ///
    /// Without `allow_other` the kernel lets in the user who mounts, whoever the files belong to.
    package func options(maximumReadByteCount: Int) -> FuseMount.Options {
        var options = FuseMount.Options(
            user: ProcessAttributes.effectiveUser,
            group: ProcessAttributes.effectiveGroup,
            maximumReadByteCount: maximumReadByteCount
        )
        options.allowOther = allowsOther
        return options
    }

    /// The rules at every open of a job's mount.
    ///
    /// A namespace of its own hides the mount from others, but who may look into the job finds it there.
    package func access(supervisor: Int32) -> AccessRules {
        let members = ProcessTreePolicy(supervisor: supervisor)
        let mount: any AccessPolicy =
            switch callers ?? .job {
            case .any: AllowEveryone()
            case .owner: ownerRule
            case .job: allowsOther ? AllOf(first: ownerRule, second: members) : members
            }
        return AccessRules(mount: mount, job: members, owner: ownerRule, observes: observes, monitor: monitor)
    }

    /// The rules at every open of a mount that belongs to no job.
    package var accessWithoutJob: AccessRules {
        let mount: any AccessPolicy = callers == .any ? AllowEveryone() : ownerRule
        return AccessRules(mount: mount, owner: ownerRule, observes: observes, monitor: monitor)
    }

    private var ownerRule: AllowOwner { AllowOwner(ownership) { SupplementaryGroups.ofThread($0) } }
}
