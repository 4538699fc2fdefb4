// SPDX-License-Identifier: Apache-2.0

internal import Jobs
internal import SecretFileSystem
internal import SecretSources
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
    /// Keys of the store.
    let keys: StoreKeys?
    /// The secrets that are shown; nil where there are none to show.
    private(set) var secrets: SecretSet?
    /// Names that are wanted and have no value since their source fails.
    private var unavailable: Set<SecretName> = []
    /// The manifest, with what sources brought; nil where there is none.
    private(set) var manifest: Manifest?

    private init(_ auth: AuthMode, _ keys: StoreKeys? = nil) {
        self.auth = auth
        self.keys = keys
    }

    /// The entries that are shown.
    var entries: [SecretEntry] { secrets?.entries ?? [] }

    /// Drops what a mount does not need that serves a snapshot already: all but the keys.
    mutating func forgetEntries() {
        manifest = nil
        secrets = nil
        Memory.returnUnused()
    }

    /// The generation that is served; nil where there is none.
    func snapshot(now: Timestamp, after previous: Snapshot? = nil, ledger: MountLedger? = nil) -> Snapshot? {
        guard let manifest, let secrets else { return nil }
        return Snapshot(secrets, of: manifest, now: now, unavailable: unavailable, after: previous, ledger: ledger)
    }

    /// Checks a store, or stands for one where there is none, and chooses from it.
    ///
    /// - Parameters:
    ///   - options: which store.
    ///   - keyOptions: how it is opened.
    ///   - rules: what is chosen.
    ///   - sources: what is laid over it.
    ///   - context: everything else.
    /// - Returns: what is admitted.
    /// - Throws: why nothing is, unless a rule says to go on without secrets.
    static func decide(
        _ options: StoreOptions,
        _ keyOptions: KeyOptions,
        _ rules: AdmissionOptions,
        _ sources: SourceOverlay,
        _ context: CommandContext
    ) throws -> Admission {
        guard !rules.storeless.noStore else { return try decideWithoutStore(Storeless(), rules, sources, context) }
        return try decide(options, keyOptions, rules, sources, context) { (store, manifest) in
            try keyOptions.unlock(store, manifest, context)
        }
    }

    /// Chooses from sources alone.
    static func decideWithoutStore(
        _ storeless: Storeless,
        _ rules: AdmissionOptions,
        _ sources: SourceOverlay,
        _ context: CommandContext
    ) throws -> Admission {
        defer { context.decided = .now }
        if let ignored = try ignored(sources, context) { return ignored }
        context.subjects.resolve(.authenticated)
        var admission = Admission(.authenticated, storeless.keys)
        // A source that names and lists nothing is asked for what is wanted.
        let wanted = try rules.only.isEmpty ? [] : ArgumentList.items(rules.only).map { try AdmissionOptions.name($0) }
        var manifest = storeless.manifest(wanted, context.now())
        try admission.complete(&manifest, storeless.keys, rules, sources, context) { entry in
            entry.value != .empty || sources.failure(of: entry.name) != nil
        }
        return admission
    }

    /// Nothing, where a variable says that secrets are ignored.
    private static func ignored(_ sources: SourceOverlay, _ context: CommandContext) throws -> Admission? {
        guard let variable = context.ignoringVariable else { return nil }
        context.console.warning("secrets are ignored because \(variable) is set")
        try sources.discard()
        context.subjects.resolve(.unauthenticated(reason: variable))
        return Admission(.unauthenticated(reason: variable))
    }

    /// Lays sources over what is there, and chooses.
    private mutating func complete(
        _ manifest: inout Manifest,
        _ keys: StoreKeys,
        _ rules: AdmissionOptions,
        _ sources: SourceOverlay,
        _ context: CommandContext,
        keeping isKept: (SecretEntry) -> Bool = { _ in true }
    ) throws {
        let all = try sources.over(
            SecretSet(manifest.secrets, keys),
            keys,
            now: context.now(),
            warn: context.console.warning
        )
        if !sources.isEmpty {
            manifest.secrets = all.entries.filter(isKept)
            try rules.requireValues(manifest, sources)
            try rules.requirePromised(manifest, sources)
        }
        secrets = try rules.render(
            all.restricted(to: try rules.choose(from: manifest, sources, context)),
            manifest,
            context
        )
        unavailable = try rules.wanted(sources.unavailable, manifest)
        self.manifest = manifest
        context.servedCount = entries.count
    }

    /// As above, with another way to find the keys.
    static func decide(
        _ options: StoreOptions,
        _ keyOptions: KeyOptions,
        _ rules: AdmissionOptions,
        _ sources: SourceOverlay,
        _ context: CommandContext,
        unlock: (Store, Manifest) throws -> StoreKeys?
    ) throws -> Admission {
        defer { context.decided = .now }
        if let ignored = try ignored(sources, context) { return ignored }
        let outcome = AcceptanceGuard.examine(
            try options.location(context),
            context.checker,
            now: context.now(),
            unlock: { (store, manifest) throws(StoreError) in
                try KeyOptions.forGuard { try unlock(store, manifest) }
            }
        )
        context.store = outcome.manifest?.store
        if let failure = rules.failure(of: outcome, hasSources: !sources.isEmpty), let error = failure.error {
            context.subjects.resolve(.unauthenticated(reason: failure.check.reason))
            let isAbsent = error.code == .noStore && !sources.isEmpty
            let refusal = CommandError(
                ExitStatus(error.code),
                "\(failure.check.rawValue): \(error.message)",
                hint: isAbsent
                    ? "\(error.hint.map { "\($0); " } ?? "")sources alone are shown by --no-store" : error.hint
            )
            guard rules.goesOnUnauthenticated(context) else { throw refusal }
            context.console.error(refusal)
            context.console.warning("going on without secrets")
            try sources.discard()
            return Admission(.unauthenticated(reason: failure.check.reason))
        }
        for result in outcome.results where result.status == .warning && result.check != .permissions {
            context.console.warning(result.message)
        }
        guard let verified = outcome.verified else { throw CommandError(.failed, "the store was not opened") }
        context.subjects.resolve(.authenticated)
        var admission = Admission(.authenticated, verified.keys)
        var manifest = verified.manifest
        try admission.complete(&manifest, verified.keys, rules, sources, context)
        return admission
    }

    /// The secret of a name that is shown.
    func entry(_ name: SecretName) -> SecretEntry? { secrets?.entry(name) }
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
