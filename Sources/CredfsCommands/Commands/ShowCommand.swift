// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import Glibc
internal import SecretStore
internal import SystemCalls

/// The command `credfs show`.
struct ShowCommand: CredfsCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Print the value of a secret, byte by byte as it is.",
        discussion: """
            EXAMPLES:
              credfs show API_TOKEN
              credfs show tls/KEY >/run/user/1000/key.pem
              credfs show API_TOKEN --newline no | wc -c
              credfs show API_TOKEN --source sops:production.yaml
            """
    )
    static let operation = OperationEvent.Operation.show
    var hasNoStore: Bool { sources.storeless.noStore }

    @OptionGroup(title: HelpText.storeTitle) var options: StoreOptions
    @OptionGroup(title: HelpText.keyTitle) var keyOptions: KeyOptions
    @OptionGroup(title: "Sources") var sources: SourceOptions
    @OptionGroup var newlineOption: NewlineOption

    @Argument(help: "The name, or SERVICE/KEY.", completion: SecretNameCompletion.one)
    var name: String

    var subject: String? { name }

    func run(_ context: CommandContext) throws {
        try ValueOutput(keyOptions: keyOptions, sources: sources, newline: newlineOption.newline)
            .show(try reference(name), options, context) { try recordDisclosure(context) }
    }
}

/// The option `--newline`.
struct NewlineOption: ParsableArguments {
    enum Choice: String, ExpressibleByArgument, CaseIterable {
        case auto
        case yes
        case no
    }

    @Option(help: ArgumentHelp("Add a newline: auto (on a terminal), yes or no.", valueName: "when"))
    var newline = Choice.auto
}

/// Writes a value from secure memory to standard output, in parts, so that little memory has to be locked.
struct ValueOutput {
    let keyOptions: KeyOptions
    let sources: SourceOptions
    let newline: NewlineOption.Choice

    /// Writes the value of a secret.
    ///
    /// - Parameters:
    ///   - reference: the secret.
    ///   - options: its store.
    ///   - context: everything else.
    ///   - recording: records that it is given out, before it is.
    /// - Throws: what keeps it from being written; then nothing was, or not all of it.
    func show(
        _ reference: SecretReference,
        _ options: StoreOptions,
        _ context: CommandContext,
        recording: () throws -> Void
    ) throws {
        if let variable = context.ignoringVariable {
            throw CommandError(.refused, "secrets are ignored because \(variable) is set", hint: "unset \(variable)")
        }
        let hasSources = sources.isAny(context)
        try sources.storeless.check(options, hasSources: hasSources)
        var manifest: Manifest
        let keys: StoreKeys
        if sources.storeless.noStore {
            let storeless = try Storeless()
            keys = storeless.keys
            manifest = storeless.manifest([], context.now())
        } else {
            let (store, loaded) = try options.load(context)
            // What is nowhere needs no key.
            if !hasSources { _ = try loaded.manifest.entry(reference) }
            keys = try keyOptions.verify(loaded, store, context).keys
            manifest = loaded.manifest
        }
        let secrets = try sources.over(&manifest, keys, for: reference, context)
        let entry = try manifest.entry(hasSources ? reference.withoutService : reference)
        if let expires = entry.expires, expires <= context.now() {
            context.console.warning("'\(entry.name.text)' expired at \(expires.text)")
        }
        if let result = try secrets.file(of: entry) {
            let file = try Self.whole(result)
            for part in secrets.parts(of: file) {
                guard let expires = part.expires, expires <= context.now() else { continue }
                context.console.warning("'\(part.name.text)' expired at \(expires.text)")
            }
            context.subjects.secrets = [entry.name] + file.parts
            try recording()
            try secrets.readParts(of: file) { part in try context.console.output(part) }
            return try end(context)
        }
        guard secrets.hasContent(entry) else {
            if entry.required { throw emptyRequired(entry) }
            return
        }
        try recording()
        try secrets.readParts(of: entry) { part in try context.console.output(part) }
        try end(context)
    }

    /// The file, or the error of one that lacks a part.
    static func whole(_ result: Result<RenderedFile, MissingFile>) throws(CommandError) -> RenderedFile {
        switch result {
        case .success(let file): return file
        case .failure(let lack):
            throw CommandError(
                .invalid,
                lack.message,
                hint: "give it one with: credfs set \(quoted(lack.part.text))"
            )
        }
    }

    private func end(_ context: CommandContext) throws {
        let addsNewline = newline == .yes || newline == .auto && isatty(Console.standardOutput) == 1
        if addsNewline { try context.console.output("\n") }
    }

    private func emptyRequired(_ entry: SecretEntry) -> CommandError {
        CommandError(
            .invalid,
            "'\(entry.name.text)' has no value yet",
            hint: "give it one with: credfs set \(quoted(entry.name.text))"
        )
    }
}
