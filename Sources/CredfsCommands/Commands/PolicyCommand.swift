// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import AuditLog
internal import SecretFileSystem
internal import SecretStore
internal import SecureJSON
internal import SystemCalls
internal import SystemPackage

/// The commands `credfs policy ...`.
struct PolicyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "policy",
        abstract: "Show and change who may read a secret while it is mounted.",
        discussion: """
            A policy is signed with the store. Its keys are ANDed, the entries of a list ORed, and an absent key allows. \
            With 'run --policy observe' nobody is refused and the log says who would be.

            EXAMPLES:
              credfs policy show
              credfs policy set API_TOKEN --allow-exe /usr/bin/curl
              credfs policy test API_TOKEN --exe /usr/bin/wget
            """,
        subcommands: [
            PolicyShowCommand.self, PolicySetCommand.self, PolicyTestCommand.self, PolicySuggestCommand.self,
        ]
    )
}

/// The command `credfs policy show`.
struct PolicyShowCommand: CredfsCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Print the policies of all secrets, or of some.",
        discussion: """
            EXAMPLES:
              credfs policy show
              credfs policy show API_TOKEN DB_PASSWORD
              credfs policy show --json
            """
    )
    static let operation = OperationEvent.Operation.policyShow

    @OptionGroup(title: HelpText.storeTitle) var options: StoreOptions
    @OptionGroup(title: HelpText.keyTitle) var keyOptions: KeyOptions

    @Argument(help: "Names, or SERVICE/KEY.", completion: SecretNameCompletion.one)
    var names: [String] = []

    @Flag(help: "Print JSON.")
    var json = false

    func run(_ context: CommandContext) throws {
        let manifest = try ReadableManifest.load(options, keyOptions, context)
        let named = try names.map { try manifest.entry(reference($0)) }
        let entries = names.isEmpty ? manifest.secrets.filter { $0.policy != nil } : named
        if json { return try context.console.output(JSONOutput.policies(entries)) }
        if entries.isEmpty { context.console.note("no secret has a policy") }
        for entry in entries {
            guard let policy = entry.policy else {
                try context.console.output("\(entry.name.text): no policy\n")
                continue
            }
            let lines = policy.lines.map { "  \($0.key): \($0.text)\n" }
            try context.console.output(Console.visible("\(entry.name.text):") + "\n" + lines.joined())
        }
    }
}

/// The command `credfs policy set`.
struct PolicySetCommand: CredfsCommand {
    static let configuration = CommandConfiguration(
        commandName: "set",
        abstract: "Change the policies of secrets.",
        discussion: """
            Keys that are not named stay as they are; --no-policy begins anew.

            EXAMPLES:
              credfs policy set API_TOKEN --allow-exe /usr/bin/curl
              credfs policy set DB_PASSWORD --allow-unit app.service --max-reads 1
              credfs policy set API_TOKEN --no-policy
            """
    )
    static let operation = OperationEvent.Operation.policySet

    @OptionGroup(title: HelpText.storeTitle) var options: StoreOptions
    @OptionGroup(title: HelpText.keyTitle) var keyOptions: KeyOptions
    @OptionGroup(title: "Policy") var policy: PolicyOptions

    @Argument(help: "Names, or SERVICE/KEY.", completion: SecretNameCompletion.one)
    var names: [String]

    func validate() throws {
        if policy.isEmpty { throw ValidationError("name a key of the policy, or --no-policy.") }
    }

    func run(_ context: CommandContext) throws {
        let change = try policy.change(warn: context.console.warning)
        let references = try names.map { try reference($0) }
        let (store, before) = try options.load(context)
        let keys = try keyOptions.unlock(store, before.manifest, context)
        for reference in references { _ = try before.manifest.entry(reference) }
        context.subjects.secrets = references.map(\.name)
        try store.update(keys, now: context.now(), waiting: context.noteWaiting) { manifest in
            for reference in references {
                _ = try manifest.entry(reference)
                guard let index = manifest.index(of: reference.name) else { continue }
                change(&manifest.secrets[index].policy)
                try manifest.secrets[index].policy?.check()
            }
        }
    }
}

/// The command `credfs policy test`.
struct PolicyTestCommand: CredfsCommand {
    static let configuration = CommandConfiguration(
        commandName: "test",
        abstract: "Say whether a program may read a secret, and which key refuses it.",
        discussion: """
            Exits with 0 where it may and with 21 where it may not. The key 'callers' and the count of reads depend on a \
            mount and are not looked at.

            EXAMPLES:
              credfs policy test API_TOKEN --exe /usr/bin/curl
              credfs policy test DB_PASSWORD --uid www-data
              credfs policy test DB_PASSWORD --unit app.service
            """
    )
    static let operation = OperationEvent.Operation.policyTest

    @OptionGroup(title: HelpText.storeTitle) var options: StoreOptions
    @OptionGroup(title: HelpText.keyTitle) var keyOptions: KeyOptions

    @Argument(help: "The name, or SERVICE/KEY.", completion: SecretNameCompletion.one)
    var name: String

    @Option(help: ArgumentHelp("The executable that reads.", valueName: "path"), completion: .file())
    var exe: String?

    @Option(help: ArgumentHelp("The user who reads, by name or number; you, if not given.", valueName: "user"))
    var uid: String?

    @Option(help: ArgumentHelp("The unit or container that reads.", valueName: "unit"))
    var unit: String?

    var subject: String? { name }

    func run(_ context: CommandContext) throws {
        let manifest = try ReadableManifest.load(options, keyOptions, context)
        let entry = try manifest.entry(reference(name))
        // Who reads a rendered file needs every part of it.
        let rules = ([entry] + manifest.parts(of: entry)).compactMap { entry in entry.policy.map { (entry.name, $0) } }
        guard !rules.isEmpty else { return try context.console.output("allow: no policy\n") }
        var subject = PolicySubject(uid: try uid.map(PolicyOptions.uid) ?? context.user)
        if let unit { subject.units = [unit] }
        if let exe { try name(exe, in: &subject) }
        for (name, rules) in rules {
            switch SecretPolicy(rules).decide(on: subject, now: context.now(), isCaller: { _ in true }) {
            case .allow: continue
            case .refuse(let key):
                let place = name == entry.name ? "" : " of \(name.text)"
                try context.console.output("deny: \(key.rawValue)\(place)\n")
                context.exitStatus = ExitStatus.refused.code
                context.outcome = "deny: \(key.rawValue)\(place)"
                return
            case .needsDigest: throw CommandError(.failed, "cannot read the executable")
            }
        }
        try context.console.output("allow\n")
    }

    private func name(_ path: String, in subject: inout PolicySubject) throws {
        do throws(Errno) {
            let stamp = try OwnedDescriptor.openPath(path).stamp()
            subject.executable = .init(path: path, device: stamp.device, inode: stamp.inode)
        } catch {
            throw CommandError(.usage, "cannot look at \(quoted(path)): \(error.message)")
        }
        subject.digest = (try? ExecutableDigest.ofFile(path)).map { .value($0) } ?? .unavailable
    }
}

/// The command `credfs policy suggest`.
struct PolicySuggestCommand: CredfsCommand {
    static let configuration = CommandConfiguration(
        commandName: "suggest",
        abstract: "Make policies of what the audit log saw.",
        discussion: """
            Each secret that was opened gets the executables, users and services that opened it, and nothing more. Prints \
            the commands that set these policies, or sets them with --apply, which checks the log first. Refused opens \
            count for nothing.

            EXAMPLES:
              credfs policy suggest                      # prints commands
              credfs policy suggest --since 2099-01-01T00:00:00Z
              credfs policy suggest --apply
            """
    )
    static let operation = OperationEvent.Operation.policySuggest

    @OptionGroup(title: HelpText.storeTitle) var options: StoreOptions
    @OptionGroup(title: HelpText.keyTitle) var keyOptions: KeyOptions

    @Option(help: ArgumentHelp("Leave out what happened before a time.", valueName: "time"))
    var since: String?

    @Flag(help: "Set the policies.")
    var apply = false

    func run(_ context: CommandContext) throws {
        let since = try since.map(AuditShowCommand.time)
        let (store, loaded) = try options.load(context)
        context.store = loaded.manifest.store
        let suggestion: PolicySuggestion
        do {
            guard let log = try AuditTrail.log(of: store, context.store, context) else { throw AuditError.noLog }
            suggestion = try PolicySuggestion(log.tail(isFollowing: false), since: since, for: loaded.manifest)
        } catch let error as AuditError { throw CommandError(error) }
        let policies = suggestion.policies
        for warning in suggestion.warnings { context.console.warning(warning) }
        guard !policies.isEmpty else {
            return context.console.note("the log has no open that a policy can be made of: run the job first")
        }
        guard apply else {
            let lines = policies.map { "credfs policy set \(quoted($0.name.text)) \($0.arguments)\n" }
            return try context.console.output(lines.joined())
        }
        let keys = try keyOptions.unlock(store, loaded.manifest, context)
        try requireIntactLog(store, keys, context)
        context.subjects.secrets = policies.map(\.name)
        try store.update(keys, now: context.now(), waiting: context.noteWaiting) { manifest in
            for policy in policies {
                guard let index = manifest.index(of: policy.name) else { continue }
                policy.apply(to: &manifest.secrets[index].policy)
            }
        }
        for policy in policies { context.console.note("policy of \(policy.name.text): \(policy.arguments)") }
    }

    /// Refuses a log that is not intact: whoever can write to it could let anybody in.
    private func requireIntactLog(_ store: Store, _ keys: StoreKeys, _ context: CommandContext) throws {
        do {
            guard let log = try AuditTrail.log(of: store, keys.store, context) else { throw AuditError.noLog }
            let report = try log.verify(unsealedWith: try keys.auditKey(), store: keys.store.text, head: nil)
            guard report.isIntact else {
                throw CommandError(
                    .authentication,
                    "the audit log is not as it was written, so no policy is made of it",
                    hint: "see what is wrong with: credfs audit verify"
                )
            }
        } catch let error as AuditError { throw CommandError(error) }
    }
}

extension JSONOutput {
    /// The document of `policy show --json`.
    fileprivate static func policies(_ entries: [SecretEntry]) -> String {
        text([
            "policies": .array(
                entries.map {
                    .object(["name": .string($0.name.text), "policy": $0.policy.map { value($0.node) } ?? .null])
                }
            )
        ])
    }

    private static func value(_ node: ManifestNode) -> JSONValue {
        switch node {
        case .text(let text), .digits(let text), .lines(let text): .string(text)
        case .number(let number): .integer(number)
        case .flag(let flag): .boolean(flag)
        case .list(let nodes): .array(nodes.map(value))
        case .mapping(let entries): .object(Dictionary(uniqueKeysWithValues: entries.map { ($0.key, value($0.node)) }))
        }
    }
}
