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
            never an argument, since arguments are public.

            EXAMPLES:
              credfs set API_TOKEN                       # asks for the value, hidden
              printf '%s' "$TOKEN" | credfs set API_TOKEN --required
              credfs set tls/KEY --value-file key.pem --format pem
              credfs set SESSION_KEY --generate=32       # random bytes, as base64url
              credfs set API_TOKEN --keep-value --expires 2099-01-31T00:00:00Z
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
        if keyIsOnStandardInput && valueFile == nil && generate == nil && !keepValue {
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
        let value = keepValue ? nil : NewValue(try input.read(reference.name))
        // Everything that waits for a person or a pipe is over.
        try store.update(keys, now: context.now(), waiting: context.noteWaiting) { manifest in
            let index = try manifest.indexForWriting(reference)
            var entry = manifest.secrets[index]
            try attributes.apply(to: &entry)
            change(&entry.policy)
            try entry.policy?.check()
            try apply(value, to: &entry, keys, now: context.now())
            manifest.secrets[index] = entry
        }
        context.console.detail("set \(reference.name.text)")
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
