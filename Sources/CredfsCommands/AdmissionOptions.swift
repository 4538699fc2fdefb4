// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import SecretSources
internal import SecretStore
internal import SystemCalls

/// Options that choose the secrets to show, and what is done where that cannot be.
struct AdmissionOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("Show these secrets and no others (names, separated by commas).", valueName: "names"),
        completion: SecretNameCompletion.list
    )
    var only: [String] = []

    @Option(
        help: ArgumentHelp(
            "Where a named or required secret is not there: error, warn or ignore.",
            valueName: "what"
        ),
        completion: .list(["error", "warn", "ignore"])
    )
    var ifMissing: String?

    @Option(
        help: ArgumentHelp(
            "Where the store is rejected: fail, or unauthenticated to go on without secrets (CREDFS_ON_REJECT).",
            valueName: "what"
        ),
        completion: .list(["fail", "unauthenticated"])
    )
    var onReject: String?

    @OptionGroup var size: SizeOption

    @Option(
        help: ArgumentHelp(
            "Lay the values of another source over those of the store (repeatable, the last one counts): \(SourceTypes.forms).",
            valueName: "source"
        )
    )
    var source: [String] = []

    @OptionGroup var storeless: NoStoreOption

    @Option(
        help: ArgumentHelp(
            "Serve values of before for so long while a source that is asked fails (24h if left out).",
            valueName: "time"
        )
    )
    var maxStale: DurationArgument?

    @Flag(help: "Show secrets with a policy also where nothing enforces it: in variables and with weaker backends.")
    var ignorePolicy = false

    func validate() throws {
        if let ifMissing, MissingPolicy(rawValue: ifMissing) == nil {
            throw ValidationError("--if-missing takes error, warn or ignore.")
        }
        if let onReject, !["fail", "unauthenticated"].contains(onReject) {
            throw ValidationError("--on-reject takes fail or unauthenticated.")
        }
    }

    /// Treatment of a secret that is not there.
    var missing: MissingPolicy { ifMissing.flatMap(MissingPolicy.init) ?? .error }

    /// Decides whether a rejected store is no reason to stop.
    func goesOnUnauthenticated(_ context: CommandContext) -> Bool {
        (onReject ?? context.variable("ON_REJECT")) == "unauthenticated"
    }

    /// The first check that failed and is not to be overlooked.
    ///
    /// A value that is required may come from a source: that is looked at when they are read.
    func failure(of outcome: AcceptanceGuard.Outcome, hasSources: Bool) -> AcceptanceGuard.Result? {
        outcome.results.first {
            $0.status == .failed && ($0.check != .required || (missing == .error && !hasSources))
        }
    }

    /// Requires a value of every secret that must have one.
    ///
    /// - Throws: class `unavailable` or `noSuchSecret` where a source that is asked has none for a reason, else `invalid`.
    func requireValues(_ manifest: Manifest, _ sources: SourceOverlay) throws(StoreError) {
        guard missing == .error else { return }
        let names = manifest.secrets.filter { $0.required && $0.value == .empty }.map(\.name)
        let failures = names.compactMap { sources.failure(of: $0) }
        if let failure = failures.first(where: { $0.code == .unavailable }) ?? failures.first { throw failure }
        try AcceptanceGuard.requireValues(manifest)
    }

    /// Requires a value of every name that a source names or lists, where `--if-missing=error` was said.
    ///
    /// - Throws: class `noSuchSecret` or `unavailable`. Left out, the option lets a mount start with what is there.
    func requirePromised(_ manifest: Manifest, _ sources: SourceOverlay) throws {
        guard ifMissing == MissingPolicy.error.rawValue else { return }
        let names = only.isEmpty ? nil : Set(try manifest.listed(only).map { try Self.name($0) })
        if let error = sources.firstMissing(only: names) { throw error }
    }

    /// The sources to lay over the store, those of the configuration below those of options; nothing is read yet.
    ///
    /// - Parameters:
    ///   - context: configuration, variables and checker.
    ///   - speaks: whether programs that are asked write messages to standard error.
    /// - Returns: the overlay.
    /// - Throws: class `usage` for what cannot be meant.
    func overlay(_ context: CommandContext, speaks: Bool = true) throws -> SourceOverlay {
        try SourceChoice(options: source, maximumStale: maxStale?.duration)
            .overlay(limit: size.maxSize, speaks: speaks, serves: true, context)
    }

    /// The entries that are shown.
    func choose(
        from manifest: Manifest,
        _ sources: SourceOverlay,
        _ context: CommandContext
    ) throws -> [SecretEntry] {
        let now = context.now()
        var entries = manifest.secrets.filter { $0.isCurrent(at: now) }
        if !only.isEmpty {
            let names = try manifest.listed(only).map { try Self.name($0) }
            let wanted = Set(names)
            entries = entries.filter { wanted.contains($0.name) }
            let there = Set(entries.map(\.name))
            for name in names where !there.contains(name) { try reportMissing(name, manifest, sources, context) }
            for name in names where manifest.index(of: name).map({ manifest.secrets[$0].value == .empty }) == true {
                if sources.failure(of: name) != nil { try reportMissing(name, manifest, sources, context) }
            }
        }
        if missing == .warn {
            for entry in manifest.secrets where entry.required && entry.value == .empty {
                context.console.warning("required secret '\(entry.name.text)' has no value")
            }
        }
        try size.check(entries)
        return entries
    }

    /// Those names that are to be shown; that a hidden one is there is nothing to tell.
    func wanted(_ names: Set<SecretName>, _ manifest: Manifest) throws -> Set<SecretName> {
        let hidden = Set(manifest.secrets.filter { $0.policy?.hidden == true }.map(\.name))
        let rest = names.subtracting(hidden)
        guard !only.isEmpty else { return rest }
        return rest.intersection(try manifest.listed(only).map { try Self.name($0) })
    }

    /// Binds the templates of what is shown; a file that lacks a part is reported and not shown.
    func render(_ secrets: SecretSet, _ manifest: Manifest, _ context: CommandContext) throws -> SecretSet {
        var secrets = secrets
        let lacking = try secrets.render(limit: size.maxSize, now: context.now())
        guard !lacking.isEmpty else { return secrets }
        let named = try Set(manifest.listed(only).map { try Self.name($0) })
        for lack in lacking {
            guard named.contains(lack.name), missing == .error else {
                // The guard has warned of what has expired.
                if missing != .ignore && lack.expired == nil { context.console.warning("left out: \(lack.message)") }
                continue
            }
            throw CommandError(
                lack.expired == nil ? .noSuchSecret : .expired,
                lack.message,
                hint: "set a new value with: credfs set \(quoted(lack.part.text)); or pass --if-missing=warn"
            )
        }
        return secrets
    }

    /// Reports that a secret that was named is not shown, or stops.
    func reportMissing(
        _ name: SecretName,
        _ manifest: Manifest?,
        _ sources: SourceOverlay,
        _ context: CommandContext
    ) throws {
        var error =
            sources.failure(of: name).map { CommandError($0) } ?? Self.absence(of: name, from: manifest, context.now())
        switch missing {
        case .ignore: break
        case .warn: context.console.warning(error.message)
        case .error:
            error.hint = error.hint.map { "\($0); or pass --if-missing=warn" }
            throw error
        }
    }

    /// Reason why a secret that was named is not shown.
    static func absence(of name: SecretName, from manifest: Manifest?, _ now: Timestamp) -> CommandError {
        guard let manifest, let index = manifest.index(of: name) else {
            let hint = "see the names with: credfs list"
            return CommandError(.noSuchSecret, SecretName.unknown(name.text), hint: hint)
        }
        guard let expires = manifest.secrets[index].expires, expires <= now else {
            return CommandError(.noSuchSecret, "'\(name.text)' is not among the secrets that are shown")
        }
        return CommandError(
            .expired,
            "'\(name.text)' expired at \(expires.text)",
            hint: "set a new value with: credfs set \(quoted(name.text)) --expires TIME"
        )
    }

    /// The name of a secret in an argument.
    static func name(_ text: String) throws -> SecretName {
        guard let reference = SecretReference(text) else {
            throw CommandError(.usage, "bad name of a secret", hint: SecretReference.rule)
        }
        return reference.name
    }

    /// Refuses secrets with a policy in a place where nothing enforces it: nothing is shown that is less protected than its
    /// owner said.
    func refusePolicies(of entries: [SecretEntry], _ secrets: SecretSet?, in place: String) throws {
        guard !ignorePolicy else { return }
        let names = entries.filter { $0.policy != nil || secrets?.isRestricted($0) == true }.map { "'\($0.name.text)'" }
        guard names.isEmpty else {
            throw CommandError(
                .refused,
                "secrets with a policy, which \(place) does not enforce: \(names.joined(separator: ", "))",
                hint: "leave them out with --only, or show them all the same with --ignore-policy"
            )
        }
    }
}

extension AdmissionOptions: ScannedOptions {
    mutating func scan(_ scanner: inout OptionScanner) throws {
        only = try scanner.values("only")
        ifMissing = try scanner.value("if-missing")
        onReject = try scanner.value("on-reject")
        size = try scanner.group()
        source = try scanner.values("source")
        storeless = try scanner.group()
        maxStale = try scanner.value("max-stale")
        ignorePolicy = scanner.flag("ignore-policy")
        try validate()
    }
}
