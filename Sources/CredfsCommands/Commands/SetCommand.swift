// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import SecretStore
internal import SecureMemory

/// The command `credfs set`.
struct SetCommand: CredfsCommand {
    static let configuration = CommandConfiguration(
        commandName: "set",
        abstract: "Give a secret a value.",
        discussion: """
            Asks for the value on a terminal, else reads standard input to its end and keeps every byte. A value is \
            never an argument, since arguments are public. With --template the secret is a file that is rendered from \
            others whenever it is read, such as 'machine ghcr.io login {{ GHCR_USER }} password {{ GHCR_TOKEN }}'; the \
            template itself is readable in the manifest. credfs-store(5) says what it can hold.

            EXAMPLES:
              credfs set API_TOKEN                       # asks for the value, hidden
              printf '%s' "$TOKEN" | credfs set API_TOKEN --required
              credfs set tls/KEY --value-file key.pem --format pem
              credfs set SESSION_KEY --generate=32       # random bytes, as base64url
              credfs set API_TOKEN --keep-value --expires 2099-01-31T00:00:00Z
              credfs set NETRC --template netrc.template # rendered at each read
            """
    )
    static let operation = OperationEvent.Operation.set

    @OptionGroup(title: HelpText.storeTitle) var options: StoreOptions
    @OptionGroup(title: HelpText.keyTitle) var keyOptions: KeyOptions

    @Argument(help: "The name, or SERVICE/KEY.", completion: SecretNameCompletion.one)
    var name: String

    @Argument(help: ArgumentHelp("- reads standard input even on a terminal.", valueName: "-"))
    var source: String?

    @Option(
        help: ArgumentHelp("Read the value from a file.", valueName: "file"),
        completion: .file(),
        transform: PathArgument.parse
    )
    var valueFile: String?

    @Option(
        help: ArgumentHelp(
            "Render it from other secrets, by the template in a file (- is standard input).",
            valueName: "file"
        ),
        completion: .file(),
        transform: PathArgument.parse
    )
    var template: String?

    @Option(
        help: ArgumentHelp(
            "Generate the value: so many random bytes (32 where no number follows '='), as base64url.",
            valueName: "bytes"
        )
    )
    var generate: Int?

    @Flag(help: "Accept a value of no bytes.")
    var allowEmpty = false

    @Flag(help: "Change attributes only; no value is read.")
    var keepValue = false

    @OptionGroup var size: SizeOption

    @OptionGroup(title: "Attributes") var attributes: EntryOptions
    @OptionGroup(title: "Policy") var policy: PolicyOptions

    var subject: String? { name }

    func validate() throws {
        if template != nil {
            guard source == nil, valueFile == nil, generate == nil, !keepValue, !allowEmpty,
                attributes.trailingNewline == nil
            else { throw ValidationError("--template stands for the value: no other option of it goes with it.") }
        }
        if [source != nil, valueFile != nil, generate != nil].count(where: \.self) > 1 {
            throw ValidationError(
                "-, --value-file and --generate exclude each other; a number stands behind --generate=."
            )
        }
        if keepValue && (source != nil || valueFile != nil || generate != nil || allowEmpty) {
            throw ValidationError("--keep-value takes no value.")
        }
        let counts = ValueInput.generatedByteCounts
        if let generate, !counts.contains(generate) {
            throw ValidationError("--generate takes \(counts.lowerBound) to \(counts.upperBound) bytes.")
        }
        let keyIsOnStandardInput = keyOptions.keyFd == 0 || keyOptions.password.passwordFd == 0
        let readsFile = valueFile != nil || template.map { $0 != "-" } == true
        if keyIsOnStandardInput && !readsFile && generate == nil && !keepValue {
            throw ValidationError("standard input cannot hold both the key and the value: use --value-file.")
        }
    }

    func run(_ context: CommandContext) throws {
        let reference = try reference(name)
        // Not while parsing, which would find that before an option that is misspelled.
        if let source, source != "-" {
            throw CommandError(
                .usage,
                "a value is never an argument: pipe it in, or name a file with --value-file",
                hint: "see credfs set --help"
            )
        }
        if reference.mayHoldValue { try requireExisting(reference, context) }
        try attributes.refusePast(now: context.now())
        let change = try policy.change(warn: context.console.warning)
        let (store, before) = try options.load(context)
        let keys = try keyOptions.unlock(store, before.manifest, context)
        if keepValue { _ = try before.manifest.entry(reference) }
        var trial = before.manifest
        _ = try trial.indexForWriting(reference)
        let template = try self.template.map { try TemplateInput.read($0) }
        let value = keepValue || template != nil ? nil : NewValue(try input.read(reference.name))
        // Everything that waits for a person or a pipe is over.
        try store.update(keys, now: context.now(), waiting: context.noteWaiting) { manifest in
            let index = try manifest.indexForWriting(reference)
            var entry = manifest.secrets[index]
            try attributes.apply(to: &entry)
            change(&entry.policy)
            try entry.policy?.check()
            if let template {
                entry.value = .template(template)
                entry.rotated = context.now()
            }
            try apply(value, to: &entry, keys, now: context.now())
            noteReplacement(of: manifest.secrets[index], by: entry, context)
            manifest.secrets[index] = entry
        }
        if template != nil { warnOfLack(reference, store, keys, context) }
        context.console.detail("set \(reference.name.text)")
    }

    /// Says that a value took the place of a template, or the other way round.
    private func noteReplacement(of old: SecretEntry, by new: SecretEntry, _ context: CommandContext) {
        guard old.value != .empty, (old.template == nil) != (new.template == nil) else { return }
        context.console.note(
            new.template == nil
                ? "the template of '\(new.name.text)' was replaced by a value"
                : "the value of '\(new.name.text)' was replaced by a template"
        )
    }

    /// Warns of a part without a value, which keeps the file from being there.
    private func warnOfLack(
        _ reference: SecretReference,
        _ store: Store,
        _ keys: StoreKeys,
        _ context: CommandContext
    ) {
        guard let manifest = try? LoadedManifest(store).manifest, let entry = try? manifest.entry(reference),
            case .failure(let lack) = try? SecretSet(manifest.secrets, keys).file(of: entry, now: context.now())
        else { return }
        context.console.warning("\(lack.message): there is no such file as long as that is so")
    }

    /// Refuses `NAME=VALUE`; what has such a name already keeps it.
    private func requireExisting(_ reference: SecretReference, _ context: CommandContext) throws {
        let there = try? options.load(context).loaded.manifest.entry(reference)
        guard there != nil else { throw CommandError.valueInArgument("the name of a new secret") }
    }

    private var input: ValueInput {
        ValueInput(
            valueFile: valueFile,
            generatedByteCount: generate,
            readsStandardInput: source != nil,
            allowsEmpty: allowEmpty,
            limit: size.maxSize
        )
    }

    private func apply(_ new: NewValue?, to entry: inout SecretEntry, _ keys: StoreKeys, now: Timestamp) throws {
        var cipher = try keys.valueCipher()
        if let new {
            let content = try new.take()
            if content.count == 0 {
                entry.value = .empty
                entry.rotated = now
            } else {
                try entry.enter(content, with: &cipher, limit: size.maxSize, now: now)
            }
        } else if case .sealed(let value) = entry.value {
            // What stays must have the format that is asked for now.
            try entry.format?.check(cipher.open(value, as: entry.name), of: entry.name)
        }
    }
}

extension Manifest {
    /// The position of the entry that a person names, made at the end if there is none.
    ///
    /// - Throws: class `invalid` if the name belongs to another service, or its variable to another secret.
    mutating func indexForWriting(_ reference: SecretReference) throws(StoreError) -> Int {
        if let index = index(of: reference.name) {
            guard reference.service == nil || reference.service == secrets[index].service else {
                throw StoreError(
                    .invalid,
                    "'\(reference.name.text)' is already the name of another secret",
                    hint: "delete it first, or choose another service or key"
                )
            }
            return index
        }
        let names = secrets.map(\.name)
        var entry = SecretEntry(name: reference.name)
        entry.service = reference.service
        secrets.append(entry)
        try NewNames.requireDistinctVariables(names + [entry.name], since: names)
        return secrets.count - 1
    }

    /// The entry that a person names.
    ///
    /// - Throws: class `noSuchSecret`.
    func entry(_ reference: SecretReference) throws(StoreError) -> SecretEntry {
        guard let index = index(of: reference.name),
            reference.service == nil || reference.service == secrets[index].service
        else {
            throw StoreError(
                .noSuchSecret,
                SecretName.unknown(reference.name.text),
                hint: "see the names with: credfs list"
            )
        }
        return secrets[index]
    }
}
