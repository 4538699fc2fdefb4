// SPDX-License-Identifier: Apache-2.0

package import SecretStore

/// Key of a policy that refuses a caller, as the manifest spells it.
package enum PolicyKey: String, Sendable, CaseIterable {
    case notBefore = "not_before"
    case notAfter = "not_after"
    case uids
    case callers
    case units
    case executables
    case maxReads = "max_reads"
}

/// Refusal by a policy: its key, and the part of a rendered file that has the policy.
package struct PolicyRefusal: Sendable, Equatable {
    package let key: PolicyKey
    /// The part; nil where the policy is that of the file itself.
    package let part: SecretName?

    package init(_ key: PolicyKey, of part: SecretName? = nil) {
        self.key = key
        self.part = part
    }
}

/// Caller as a policy sees it.
package struct PolicySubject: Sendable {
    /// The user id for access to files.
    package var uid: UInt32
    /// The names of its unit and container.
    package var units: [String]
    /// The file that it runs; nil where the kernel does not say.
    package var executable: ProcessIdentity.Executable?
    /// The SHA-256 of that file.
    package var digest: ExecutableDigest

    /// Makes a subject.
    package init(
        uid: UInt32,
        units: [String] = [],
        executable: ProcessIdentity.Executable? = nil,
        digest: ExecutableDigest = .unknown
    ) {
        self.uid = uid
        self.units = units
        self.executable = executable
        self.digest = digest
    }
}

/// Policy of one secret in force: keys are ANDed, entries of a list ORed, an absent key allows.
package final class SecretPolicy: Sendable {
    /// Decision on a caller.
    package enum Decision: Sendable, Equatable {
        case allow
        case refuse(PolicyKey)
        /// The digest of the caller's executable has to be computed first.
        case needsDigest
    }

    /// The rules as they are signed.
    package let rules: ReadPolicy
    private let executables: [AllowedExecutable]
    private let reads: ReadCount

    /// Puts rules into force: opens the executables that they name.
    ///
    /// - Parameters:
    ///   - rules: the rules.
    ///   - previous: the policy of the same value before; its count of reads goes on.
    package convenience init(_ rules: ReadPolicy, after previous: SecretPolicy? = nil) {
        self.init(rules, counting: previous?.reads ?? ReadCount())
    }

    /// Puts rules into force with a count of reads.
    init(_ rules: ReadPolicy, counting reads: ReadCount) {
        self.rules = rules
        executables = rules.executables.map(AllowedExecutable.init)
        self.reads = reads
    }

    /// A decision needs more of a caller than its user.
    var needsIdentity: Bool { !rules.units.isEmpty || !rules.executables.isEmpty }

    /// Decides on a caller; reads are looked at and not counted.
    ///
    /// - Parameters:
    ///   - subject: who asks.
    ///   - now: the time.
    ///   - isCaller: whether the caller is one of a class.
    /// - Returns: the decision, with the first key that refuses.
    package func decide(
        on subject: PolicySubject,
        now: Timestamp,
        isCaller: (ReadPolicy.Callers) -> Bool
    ) -> Decision {
        if let start = rules.notBefore, now < start { return .refuse(.notBefore) }
        if let end = rules.notAfter, end <= now { return .refuse(.notAfter) }
        if !rules.uids.isEmpty, !rules.uids.contains(subject.uid) { return .refuse(.uids) }
        if let callers = rules.callers, !isCaller(callers) { return .refuse(.callers) }
        if !rules.units.isEmpty, !rules.units.contains(where: subject.units.contains) { return .refuse(.units) }
        if let limit = rules.maxReads, reads.isSpent(limit) { return .refuse(.maxReads) }
        guard !executables.isEmpty else { return .allow }
        guard let executable = subject.executable else { return .refuse(.executables) }
        var needsDigest = false
        for allowed in executables {
            switch allowed.matches(executable, subject.digest) {
            case .yes: return .allow
            case .no: continue
            case .needsDigest: needsDigest = true
            }
        }
        return needsDigest ? .needsDigest : .refuse(.executables)
    }

    /// Counts a granted open; exact whoever opens at the same time.
    ///
    /// - Returns: false where as many as `max_reads` were granted before.
    func countRead() -> Bool { rules.maxReads.map { reads.take($0) } ?? true }

    /// Takes back the count of an open that another policy did not grant.
    func uncountRead() {
        if rules.maxReads != nil { reads.giveBack() }
    }
}
