// SPDX-License-Identifier: Apache-2.0

internal import Jobs
internal import SecretFileSystem
internal import SecretStore
internal import SystemCalls

/// Treatment of a secret that was named and is not there.
enum MissingPolicy: String, CaseIterable {
    case error
    case warn
    case ignore
}

/// The secrets of a store that a job or mount gets, after every check of the acceptance guard.
struct Admission {
    /// Acceptance of the store.
    let auth: AuthMode
    /// The manifest with what opens them, where they are.
    private var verified: VerifiedManifest?
    /// Keys that open them.
    let keys: StoreKeys?
    /// The entries that are shown.
    var entries: [SecretEntry] = []

    private init(_ auth: AuthMode, _ verified: VerifiedManifest? = nil) {
        self.auth = auth
        self.verified = verified
        keys = verified?.keys
    }

    /// The manifest, where they are.
    var manifest: Manifest? { verified?.manifest }

    /// Drops what a mount does not need that serves a snapshot already: all but the keys.
    mutating func forgetEntries() {
        verified = nil
        entries = []
        Memory.returnUnused()
    }

    /// The generation that is served; nil where there is none.
    func snapshot(now: Timestamp, after previous: Snapshot? = nil) -> Snapshot? {
        verified.map { Snapshot($0, showing: entries, now: now, after: previous) }
    }

    /// Checks a store and chooses from it.
    ///
    /// - Parameters:
    ///   - options: which store.
    ///   - keyOptions: how it is opened.
    ///   - rules: what is chosen.
    ///   - context: everything else.
    /// - Returns: what is admitted.
    /// - Throws: why nothing is, unless a rule says to go on without secrets.
    static func decide(
        _ options: StoreOptions,
        _ keyOptions: KeyOptions,
        _ rules: AdmissionOptions,
        _ context: CommandContext
    ) throws -> Admission {
        try decide(options, keyOptions, rules, context) { (store, manifest) in
            try keyOptions.unlock(store, manifest, context)
        }
    }

    /// As above, with another way to find the keys.
    static func decide(
        _ options: StoreOptions,
        _ keyOptions: KeyOptions,
        _ rules: AdmissionOptions,
        _ context: CommandContext,
        unlock: (Store, Manifest) throws -> StoreKeys?
    ) throws -> Admission {
        defer { context.decided = .now }
        if let variable = context.ignoringVariable {
            context.console.warning("secrets are ignored because \(variable) is set")
            context.subjects.resolve(.unauthenticated(reason: variable))
            return Admission(.unauthenticated(reason: variable))
        }
        let outcome = AcceptanceGuard.examine(
            try options.location(context),
            context.checker,
            now: context.now(),
            unlock: { (store, manifest) throws(StoreError) in
                try KeyOptions.forGuard { try unlock(store, manifest) }
            }
        )
        context.store = outcome.manifest?.store
        if let failure = rules.failure(of: outcome), let error = failure.error {
            context.subjects.resolve(.unauthenticated(reason: failure.check.reason))
            let refusal = CommandError(
                ExitStatus(error.code),
                "\(failure.check.rawValue): \(error.message)",
                hint: error.hint
            )
            guard rules.goesOnUnauthenticated(context) else { throw refusal }
            context.console.error(refusal)
            context.console.warning("going on without secrets")
            return Admission(.unauthenticated(reason: failure.check.reason))
        }
        for result in outcome.results where result.status == .warning && result.check != .permissions {
            context.console.warning(result.message)
        }
        guard let verified = outcome.verified else { throw CommandError(.failed, "the store was not opened") }
        context.subjects.resolve(.authenticated)
        var admission = Admission(.authenticated, verified)
        admission.entries = try rules.choose(from: verified.manifest, context)
        context.servedCount = admission.entries.count
        return admission
    }

    /// The secret of a name that is shown.
    func entry(_ name: SecretName) -> SecretEntry? { entries.first { $0.name == name } }
}

extension OperationEvent.Subjects {
    /// Notes whether there are secrets, and why not.
    mutating func resolve(_ auth: AuthMode) {
        authMode = auth.text
        authReason = auth.reason
    }
}

extension KeyOptions {
    /// Looks for keys, or checks something, with the error that the guard reports.
    static func forGuard<R>(_ body: () throws -> R) throws(StoreError) -> R {
        do {
            return try body()
        } catch {
            let failure = CommandError(anyError: error)
            let code = StoreError.Code.allCases.first { ExitStatus($0) == failure.status } ?? .failed
            throw StoreError(code, failure.message, hint: failure.hint)
        }
    }
}
