// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import Jobs
internal import SecretStore
internal import SecureJSON

/// The command `credfs verify`.
struct VerifyCommand: CredfsCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Check whether a store would be accepted, and say why not.",
        discussion: """
            Runs every check and prints a line for each, never a value. Exits 0, or with the code of the first check \
            that failed. With --no-key it runs what needs no key, such as for pull requests from forks.

            EXAMPLES:
              credfs verify
              credfs verify --quiet --manifest secrets.yaml
              credfs verify --no-key --json              # CI, without a key
            """,
        aliases: ["check"]
    )
    static let operation = OperationEvent.Operation.verify

    @OptionGroup(title: HelpText.storeTitle) var options: StoreOptions
    @OptionGroup(title: HelpText.keyTitle) var keyOptions: KeyOptions

    @Flag(help: "Leave out what needs a key.")
    var noKey = false

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup(title: "As for run") var size: SizeOption
    @OptionGroup(title: "As for run") var fileVariables: FileVariableOptions

    func run(_ context: CommandContext) throws {
        // What is wrong in any case is no fault of the store.
        _ = try fileVariables.chosen { _ in true }
        let outcome = AcceptanceGuard.examine(
            try options.location(context),
            context.checker,
            now: context.now(),
            limit: size.maxSize,
            rule: { (manifest) throws(StoreError) in
                try KeyOptions.forGuard { try requireRunnable(manifest, context) }
            },
            unlock: { (store, manifest) throws(StoreError) in try keys(store, manifest, context) }
        )
        context.store = outcome.manifest?.store
        if json {
            try context.console.output(JSONOutput.verification(outcome, hasKey: !noKey))
        } else {
            // The failure is an error, too, which says it.
            let shown = outcome.results.filter { !options.quiet || $0.status == .warning }
            try context.console.output(shown.map(Self.line).joined())
            if noKey && outcome.failure == nil {
                context.console.note("accepted as far as that can be seen without a key")
            }
        }
        guard let failure = outcome.failure, let error = failure.error else { return }
        throw CommandError(ExitStatus(error.code), "\(failure.check.rawValue): \(error.message)", hint: error.hint)
    }

    /// Refuses what `run` refuses with the same options.
    private func requireRunnable(_ manifest: Manifest, _ context: CommandContext) throws {
        let now = context.now()
        let shown = manifest.secrets.filter { secret in
            switch secret.value {
            case .empty, .unsealed: false
            case .sealed: secret.isCurrent(at: now)
            case .template:
                secret.isCurrent(at: now)
                    && secret.template?.names.allSatisfy { name in
                        manifest.index(of: name).map { manifest.secrets[$0].isCurrent(at: now) } ?? false
                    } == true
            }
        }
        try size.check(shown)
        let names = shown.map(\.name)
        let chosen = try fileVariables.chosen { manifest.index(of: $0) != nil }
        for assignment in chosen where !names.contains(assignment.secret) {
            throw AdmissionOptions.absence(of: assignment.secret, from: manifest, now)
        }
        _ = try fileVariables.variables(names.sorted(), chosen) { _ in }
    }

    private func keys(
        _ store: Store,
        _ manifest: Manifest,
        _ context: CommandContext
    ) throws(StoreError) -> StoreKeys? {
        noKey ? nil : try KeyOptions.forGuard { try keyOptions.unlock(store, manifest, context) }
    }

    private static func line(_ result: AcceptanceGuard.Result) -> String {
        let status = result.status.rawValue.padded(to: 8)
        return "\(status) \(result.check.rawValue.padded(to: 12)) \(result.message)\n"
    }
}

extension JSONOutput {
    /// The document of `verify --json`.
    fileprivate static func verification(_ outcome: AcceptanceGuard.Outcome, hasKey: Bool) -> String {
        let failure = outcome.failure
        return text([
            "accepted": .boolean(failure == nil),
            "authMode": .string(failure == nil && hasKey ? "authenticated" : "unauthenticated"),
            "reason": .string(orNull: failure?.check.reason ?? (hasKey ? nil : "key")),
            "checks": .array(
                outcome.results.map { result in
                    .object([
                        "check": .string(result.check.rawValue), "status": .string(result.status.rawValue),
                        "code": .integer(result.error.map { ExitStatus($0.code).code } ?? 0),
                        "message": .string(result.message),
                    ])
                }
            ),
        ])
    }
}

extension String {
    /// The text with spaces up to a width.
    func padded(to width: Int) -> String {
        self + String(repeating: " ", count: Swift.max(0, width - utf8.count))
    }
}
