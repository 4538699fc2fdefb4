// SPDX-License-Identifier: Apache-2.0

package import AuditLog
package import FuseBridge
package import SecretStore
internal import Synchronization
internal import SystemCalls

/// Records who opened which secret of a mount, and who was refused, before the caller has its answer.
package final class OpenAudit: Sendable {
    /// Outcome of an open.
    package enum Outcome: Sendable, Equatable {
        case opened
        case failed(FileSystemError)
        /// Refused by a policy, or by the mount.
        case denied(PolicyRefusal?, Answer)
        /// Granted, since policies are only observed.
        case wouldDeny(PolicyRefusal)
    }

    /// Answer to a caller who is refused.
    package enum Answer: Sendable, Equatable {
        case error
        case hidden
        case placeholder
    }

    private let writer: AuditWriter
    private let mount: String
    private let store: String?
    private let users = UserNames()

    /// Makes the recorder of a mount; it ends the writer.
    ///
    /// - Parameters:
    ///   - writer: takes the entries.
    ///   - mount: the identifier of the mount.
    ///   - store: the identity of the store.
    package init(_ writer: AuditWriter, mount: String, store: String?) {
        self.writer = writer
        self.mount = mount
        self.store = store
    }

    /// Records an open while it is unanswered.
    ///
    /// - Parameters:
    ///   - secret: its name.
    ///   - parts: the secrets that it is rendered from; none of a secret with a value.
    ///   - generation: the generation that they are of.
    ///   - caller: who asks.
    ///   - identity: what is known of the caller.
    ///   - result: how it was decided.
    ///   - alerts: those of this open, with an entry each.
    ///   - waiting: called where the answer has to wait for the entry; what it returns is called once, on another thread,
    ///     with whether the open may be granted.
    /// - Returns: whether the answer can be given at once.
    package func record(
        _ secret: SecretName,
        _ parts: [SecretName] = [],
        of generation: UInt64 = 0,
        _ caller: Caller,
        _ identity: ProcessIdentity,
        _ result: Outcome,
        _ alerts: [AccessAlert],
        waiting: () -> @Sendable (Bool) -> Void
    ) -> Bool {
        var key: AuditWriter.FoldingKey?
        for alert in alerts {
            var entry = entry(secret, caller, result, identity)
            entry.operation = "alert"
            entry.reason = alert.kind == .decoy ? "decoy opened" : alert.text
            for entry in entry.naming(parts: parts.map(\.text)) { writer.record(entry, folding: nil) { _ in } }
        }
        if alerts.isEmpty, result == .opened, let startTime = identity.startTime, let file = identity.executable {
            let folding = AuditWriter.FoldingKey(
                process: identity.process,
                startTime: startTime,
                device: file.device,
                inode: file.inode,
                user: caller.user,
                // No name has a slash.
                secret: parts.isEmpty ? secret.text : "\(secret.text)/\(generation)"
            )
            if writer.fold(folding, at: AuditTime.now) { return true }
            key = folding
        }
        // The parts of a file of very many are named in several entries, of which the last is waited for.
        var entries = entry(secret, caller, result, identity).naming(parts: parts.map(\.text))
        let last = entries.removeLast()
        for entry in entries { writer.record(entry, folding: nil) { _ in } }
        writer.record(last, folding: key, done: waiting())
        return false
    }

    /// Decides on an open whose entry is not written in time, and says that once.
    package func isAdmittedUnrecorded(_ reason: AuditError) -> Bool { writer.isAdmittedUnrecorded(reason) }

    /// Writes what is waiting; later opens are refused where they must be recorded.
    package func end() {
        writer.end()
    }

    private func entry(
        _ secret: SecretName,
        _ caller: Caller,
        _ result: Outcome,
        _ identity: ProcessIdentity
    ) -> AuditEntry {
        let (status, reason) = Self.words(result)
        var entry = AuditEntry(timestamp: AuditTime.now(), operation: "open", status: status)
        entry.secret = secret.text
        entry.reason = reason
        entry.uid = Int64(caller.user)
        entry.user = users.name(of: caller.user)
        entry.identify(identity)
        entry.mount = mount
        entry.store = store
        return entry
    }

    private static func rule(_ refusal: PolicyRefusal?) -> String {
        guard let refusal else { return "the caller is not one of those who may open it" }
        return "policy\(refusal.part.map { " of \($0.text)" } ?? ""): \(refusal.key.rawValue)"
    }

    private static func text(_ answer: Answer) -> String {
        switch answer {
        case .error: ""
        case .hidden: " (hidden)"
        case .placeholder: " (placeholder)"
        }
    }

    /// Status and reason of an outcome, as they are in the log.
    package static func words(_ result: Outcome) -> (status: String, reason: String?) {
        switch result {
        case .opened: ("success", nil)
        case .denied(let refusal, let answer): ("denied", "\(Self.rule(refusal))\(Self.text(answer))")
        case .wouldDeny(let refusal): ("would-deny", Self.rule(refusal))
        case .failed(.noSuchName): ("denied", "hidden from the caller")
        case .failed(.expired): ("failed", "the secret has expired")
        case .failed(.damaged): ("failed", "the sealed value does not authenticate")
        case .failed(let error): ("failed", errno(for: error).message)
        }
    }
}

/// Names of users, looked up again after a while.
private final class UserNames: Sendable {
    private static let time = Duration.seconds(10)
    private static let maximumCount = 256

    private let known = Mutex<[UInt32: (name: String?, end: ContinuousClock.Instant)]>([:])

    func name(of user: UInt32) -> String? {
        let now = ContinuousClock.now
        if let found = known.withLock({ $0[user] }), now < found.end { return found.name }
        let name = UserDatabase.name(of: user)
        known.withLock { known in
            if known.count >= Self.maximumCount { known.removeAll() }
            known[user] = (name, now + Self.time)
        }
        return name
    }
}
