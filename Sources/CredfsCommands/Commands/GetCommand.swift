// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import SecretStore

/// The command `credfs get`.
struct GetCommand: CredfsCommand {
    static let configuration = CommandConfiguration(
        commandName: "get",
        abstract: "Print the attributes of a secret, its value masked.",
        discussion: """
            EXAMPLES:
              credfs get API_TOKEN                       # attributes, no value
              credfs get billing/API_KEY --json
              credfs get API_TOKEN --show
            """
    )
    static let operation = OperationEvent.Operation.get
    var hasNoStore: Bool { sources.storeless.noStore }

    @OptionGroup(title: HelpText.storeTitle) var options: StoreOptions
    @OptionGroup(title: HelpText.keyTitle) var keyOptions: KeyOptions
    @OptionGroup(title: "Sources") var sources: SourceOptions
    @Argument(help: "The name, or SERVICE/KEY.", completion: SecretNameCompletion.one)
    var name: String

    @Flag(help: "Print the value itself, as 'credfs show' does.")
    var show = false

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var newlineOption: NewlineOption

    var subject: String? { name }

    /// A value that is shown is `show`, whichever command showed it.
    var operation: OperationEvent.Operation { show ? .show : .get }

    func validate() throws {
        if show && json { throw ValidationError("--show and --json exclude each other.") }
    }

    func run(_ context: CommandContext) throws {
        let reference = try reference(name)
        if show {
            return try ValueOutput(keyOptions: keyOptions, sources: sources, newline: newlineOption.newline)
                .show(reference, options, context) { try recordDisclosure(context) }
        }
        let hasSources = sources.isAny(context)
        try sources.storeless.check(options, hasSources: hasSources)
        let storeless = try Storeless()
        var manifest =
            hasNoStore
            ? storeless.manifest([], context.now()) : try ReadableManifest.load(options, keyOptions, context)
        _ = try sources.over(&manifest, storeless.keys, for: reference, context)
        let entry = try manifest.entry(hasSources ? reference.withoutService : reference)
        if json {
            try context.console.output(JSONOutput.secrets([entry]))
        } else {
            try context.console.output(Self.text(entry, parts: manifest.parts(of: entry)))
        }
    }

    private static func text(_ entry: SecretEntry, parts: [SecretEntry]) -> String {
        let lines: [(String, String?)] = [
            ("name", entry.name.text),
            ("value", entry.template != nil ? nil : entry.value == .empty ? "(none)" : "********"),
            ("template", entry.template?.scalar),
            ("parts", entry.template == nil ? nil : Names.abbreviated(parts.map(\.name.text))),
            ("description", entry.description),
            ("service", entry.service),
            ("required", entry.required ? "yes" : "no"),
            ("format", entry.format?.rawValue),
            ("newline", entry.template == nil ? entry.newline.rawValue : nil),
            ("mode", entry.mode.rawValue),
            ("expires", entry.expires?.text),
            ("updated", entry.rotated?.text),
        ]
        let policy = (entry.policy?.lines ?? []).map { "policy \($0.key): \($0.text)\n" }
        return (lines.compactMap { key, value in value.map { "\(key): \($0)\n" } } + policy).joined()
    }
}

/// A manifest for commands that show no value: authenticated wherever that needs no question.
enum ReadableManifest {
    static func load(_ options: StoreOptions, _ keyOptions: KeyOptions, _ context: CommandContext) throws -> Manifest {
        let (store, loaded) = try options.load(context)
        if let keys = try keyOptions.unlockSilently(store, loaded.manifest, context) {
            return try loaded.verified(with: keys).manifest
        }
        context.console.detail("the signature was not checked, since that needs the password")
        return loaded.manifest
    }
}
