// SPDX-License-Identifier: Apache-2.0

package import SecretFileSystem
package import SecretStore
package import SystemCalls

/// Whom a mount is for.
package struct MountRules: Sendable {
    /// Whom the files belong to.
    package var ownership: Ownership
    /// Whether processes of other users than the one who mounts get as far as the rules.
    package var allowsOther = false
    /// Whose processes may open a secret; nil is the usual: the job's, or the owner's.
    package var callers: ReadPolicy.Callers?

    /// Makes the usual rules for a user.
    package init(ownership: Ownership) {
        self.ownership = ownership
    }

    /// What the kernel is told.
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

    /// The rule at every open of a job's mount.
    ///
    /// A namespace of its own hides the mount from others, but who may look into the job finds it there.
    package func policy(supervisor: Int32) -> any AccessPolicy {
        let owner = ownerRule
        switch callers ?? .job {
        case .any: return AllowEveryone()
        case .owner: return owner
        case .job:
            let members = ProcessTreePolicy(supervisor: supervisor)
            return allowsOther ? AllOf(first: owner, second: members) : members
        }
    }

    /// The rule at every open of a mount that belongs to no job.
    package var policyWithoutJob: any AccessPolicy {
        callers == .any ? AllowEveryone() : ownerRule
    }

    private var ownerRule: AllowOwner { AllowOwner(ownership) { SupplementaryGroups.ofThread($0) } }
}
