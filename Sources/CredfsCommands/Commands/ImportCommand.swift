// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import HostChecks
internal import PlaintextDocuments
internal import SecretSources
internal import SecretStore
internal import SecureFiles
internal import SecureJSON
internal import SystemCalls
internal import SystemPackage

/// The command `credfs import`.
struct ImportCommand: CredfsCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Take values from a dotenv, JSON or YAML file, Fernet tokens, variables or a directory.",
        discussion: """
            Everything is taken in one write, or nothing. A secret that has another value already stops it, unless \
            --overwrite or --skip-existing says what to do. The file is left alone: --remove overwrites and removes it.

            EXAMPLES:
              credfs import .env --dry-run               # what would be taken
              credfs import --preset openai,github
              credfs import config.json --map db=DB_PASSWORD --overwrite
              vault kv get -format=json app | credfs import --format json -
            """
    )
    static let operation = OperationEvent.Operation.import
    static let needsProc = true

    @OptionGroup(title: HelpText.storeTitle) var options: StoreOptions
    @OptionGroup(title: HelpText.keyTitle) var keyOptions: KeyOptions
    @OptionGroup(title: "Source") var origin: ImportOrigin
    @OptionGroup(title: "Names") var mapping: ImportMapping

    @Flag(help: "Replace secrets that have another value.")
    var overwrite = false

    @Flag(help: "Keep secrets that have another value.")
    var skipExisting = false

    @OptionGroup var size: SizeOption

    @Flag(help: "Print what would be done, by name, and change nothing.")
    var dryRun = false

    @Flag(help: "Print what --dry-run prints as JSON.")
    var json = false

    @Flag(help: "Overwrite and remove the file once its values are sealed.")
    var remove = false

    func validate() throws {
        if overwrite && skipExisting { throw ValidationError("--overwrite and --skip-existing exclude each other.") }
        if json && !dryRun { throw ValidationError("--json belongs to --dry-run.") }
        let keyIsOnStandardInput = keyOptions.keyFd == 0 || keyOptions.password.passwordFd == 0
        if keyIsOnStandardInput && origin.file == "-" {
            throw ValidationError("standard input cannot hold both the key and the values.")
        }
        if remove && (origin.file == nil || origin.file == "-") { throw ValidationError("--remove takes a file.") }
        if remove && (dryRun || skipExisting || !mapping.only.isEmpty) {
            throw ValidationError("--remove would lose what --only, --skip-existing or --dry-run leaves out.")
        }
    }

    func run(_ context: CommandContext) throws {
        let (store, before) = try options.load(context)
        let document = remove ? try origin.file.map { try PlaintextFile($0) } : nil
        try warnOfReaders(context)
        let source = try origin.source(document, limit: size.maxSize, context)
        let references = try mapping.references(source.names)
        if !dryRun { context.subjects.secrets = references.compactMap { $0?.name } }
        warn(source.names, references, context)
        let keys = try keyOptions.verify(before, store, context).keys
        let imported = try seal(source, references, keys, context)
        var after = before.manifest
        let report = try take(imported, into: &after, keys, context)
        try NewNames.check(after, since: before.manifest, context)
        if dryRun { return try show(report, context) }
        if !report.changesNothing {
            try store.update(keys, now: context.now(), waiting: context.noteWaiting) { manifest in
                if manifest == before.manifest {
                    manifest = after
                } else {
                    let old = manifest
                    _ = try take(imported, into: &manifest, keys, context)
                    try NewNames.check(manifest, since: old, context)
                }
                try document?.requireUnchanged()
            }
        }
        context.subjects.secrets = (report.added + report.replaced).compactMap(SecretName.init)
        context.console.note(report.summary)
        try finish(document, context)
    }

    private func seal(
        _ source: any SecretSource,
        _ references: [SecretReference?],
        _ keys: StoreKeys,
        _ context: CommandContext
    ) throws -> [ImportedSecret] {
        let targets = try mapping.targets(source.names, references)
        let chosen = references.compactMap(\.self)
        let descriptions = Dictionary(
            try origin.presets().flatMap(\.variables).map { ($0.name, $0.description) }
        ) { first, _ in first }
        let sources = zip(source.names, references).filter { $0.1 != nil }.map(\.0.text)
        let progress = Progress("sealing", context.console)
        let values = try source.seal(targets, keys) { progress.update($0, of: chosen.count) }
        progress.end()
        guard values.count == chosen.count else { throw CommandError(.failed, "the helper process ended early") }
        return chosen.indices.map { index in
            ImportedSecret(
                reference: chosen[index],
                value: values[index],
                description: descriptions[sources[index]]
            )
        }
    }

    private func take(
        _ imported: [ImportedSecret],
        into manifest: inout Manifest,
        _ keys: StoreKeys,
        _ context: CommandContext
    ) throws -> ImportReport {
        let conflict: ImportConflict = overwrite ? .replace : skipExisting ? .keep : .refuse
        return try manifest.take(imported, conflict, limit: size.maxSize, keys, now: context.now())
    }

    private func show(_ report: ImportReport, _ context: CommandContext) throws {
        let kinds = [
            ("add", report.added), ("replace", report.replaced), ("keep", report.kept), ("same", report.unchanged),
        ]
        let changes = kinds.flatMap { action, names in names.map { (action: action, name: $0) } }
        guard json else {
            return try context.console.output(changes.map { "\($0.action) \($0.name)\n" }.joined())
        }
        let list = changes.map { JSONValue.object(["action": .string($0.action), "name": .string($0.name)]) }
        try context.console.output(JSONOutput.text(["changes": .array(list)]))
    }

    private func finish(_ document: PlaintextFile?, _ context: CommandContext) throws {
        if let document {
            try document.requireUnchanged()
            try document.overwrite()
            try document.remove()
            context.console.note("\(document.path) was overwritten and removed")
            context.console.note("overwriting proves nothing on copy-on-write or flash storage")
            for path in (try? document.editorLeftovers()) ?? [] {
                context.console.warning("\(path) may hold the same plaintext: remove it")
            }
        } else if let file = origin.file, file != "-", isStillThere(file) {
            context.console.note("\(file) still holds the values: remove it once nothing needs it")
        }
    }

    /// Detects a file or directory that was read, not a pipe or what else a shell hands on by a path.
    private func isStillThere(_ file: String) -> Bool {
        guard DescriptorPath.number(file) == nil,
            let kind = try? FileStatus.ofPath(file, followingLink: true).kind
        else { return false }
        return [.regular, .directory].contains(kind)
    }

    /// Warns of others who may know the values.
    private func warnOfReaders(_ context: CommandContext) throws {
        guard let file = origin.file, file != "-", let status = try? FileStatus.ofPath(file, followingLink: true),
            status.kind == .regular
        else { return }
        if status.permissions & 0o044 != 0 {
            context.console.warning("\(file) could be read by others: whoever did has its values")
        }
        // A warning at most: where nothing can be seen, nothing is said.
        let folder = try? StoreDirectory.open(Store.split(file).directory, followingLink: true)
        if (try? folder?.isInGitWorkTree()) == true {
            context.console.warning(
                "\(file) is in a git work tree: if it was ever committed, every clone has its values"
            )
        }
    }

    private func warn(_ names: [ImportedName], _ references: [SecretReference?], _ context: CommandContext) {
        let nulls = names.filter(\.isNull).map(\.text)
        if !nulls.isEmpty {
            context.console.warning("without a value (null) and left out: \(Names.abbreviated(nulls))")
        }
        let taken = zip(names, references).filter { $0.1 != nil }.map(\.0)
        let expandable = taken.filter(\.looksExpandable).map(\.text)
        if !expandable.isEmpty {
            context.console.warning(
                "variables and commands in values are not expanded: \(Names.abbreviated(expandable))"
            )
        }
        let tokens = taken.count(where: \.wasToken)
        if tokens > 0 { context.console.note("opened \(Count.pluralized(tokens, "Fernet token"))") }
    }
}
