// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import SecretStore
internal import SecureMemory

/// The command `credfs rotate`.
struct RotateCommand: CredfsCommand {
    static let configuration = CommandConfiguration(
        commandName: "rotate",
        abstract: "Make a new data key, or give secrets new values.",
        discussion: """
            Without NAME, a new data key is made and every value sealed again, in one step. Slots of age identities \
            stay; so does every slot whose key or password is presented: by the options, the variables, the key file \
            of the store, or the answer to a question. Any other slot stops it, unless --drop-slot lets it go. With NAME, \
            secrets get new values, as from 'credfs set'. With --due, the commands of the secrets that are due make \
            them.

            EXAMPLES:
              credfs rotate                              # a new data key
              credfs rotate API_TOKEN                    # asks for the new value
              credfs rotate --due
              credfs rotate --drop-slot password
            """
    )
    static let operation = OperationEvent.Operation.rotate

    @OptionGroup(title: HelpText.storeTitle) var options: StoreOptions
    @OptionGroup(title: HelpText.keyTitle) var keyOptions: KeyOptions

    @Argument(
        help: "The secrets that get new values; - at the end reads standard input even on a terminal.",
        completion: SecretNameCompletion.one
    )
    var name: [String] = []

    @Option(
        help: ArgumentHelp("Read the new value from a file.", valueName: "file"),
        completion: .file(),
        transform: PathArgument.parse
    )
    var valueFile: String?

    @Flag(help: "Run the commands of the secrets whose period is over.")
    var due = false

    @Option(
        help: ArgumentHelp("Remove this slot (repeatable, or with commas).", valueName: "id"),
        completion: SecretNameCompletion.slot
    )
    var dropSlot: [String] = []

    @Option(
        help: ArgumentHelp("Also present the key in this file, for its slot to stay (repeatable).", valueName: "file"),
        completion: .file(),
        transform: PathArgument.parse
    )
    var alsoKeyFile: [String] = []

    @Option(
        help: ArgumentHelp("Also present the password in this file (repeatable).", valueName: "file"),
        completion: .file(),
        transform: PathArgument.parse
    )
    var alsoPasswordFile: [String] = []

    var subject: String? { names.count == 1 && !names[0].contains(",") ? names[0] : nil }

    private var names: [String] { name.last == "-" ? name.dropLast() : name }

    func validate() throws {
        if due && !name.isEmpty { throw ValidationError("--due takes no names.") }
        let isAboutSlots = !(dropSlot.isEmpty && alsoKeyFile.isEmpty && alsoPasswordFile.isEmpty)
        if isAboutSlots && (due || !name.isEmpty) {
            throw ValidationError("--drop-slot and the --also options are for a new data key.")
        }
        if valueFile != nil && names.count != 1 { throw ValidationError("--value-file needs one name.") }
        if name.last == "-" && (names.count != 1 || valueFile != nil) {
            throw ValidationError("standard input holds the value of one name.")
        }
        let keyIsOnStandardInput = keyOptions.keyFd == 0 || keyOptions.password.passwordFd == 0
        if keyIsOnStandardInput && !names.isEmpty && valueFile == nil {
            throw ValidationError("standard input cannot hold both the key and the value: use --value-file.")
        }
    }

    func run(_ context: CommandContext) throws {
        let (store, before) = try options.load(context)
        if due {
            try DueRotation(store: store, context: context).run {
                try keyOptions.verify(LoadedManifest(store), store, context)
            }
        } else if names.isEmpty {
            try rotateDataKey(store, before, context)
        } else {
            try rotateValues(store, before, context)
        }
    }

    private func rotateDataKey(_ store: Store, _ before: LoadedManifest, _ context: CommandContext) throws {
        let dropped = try ArgumentList.items(dropSlot)
        try store.whileRotating(before.manifest.store, waiting: context.noteWaiting) {
            let unlocked = try keyOptions.open(store, before.manifest, context)
            _ = try before.verified(with: unlocked.keys)
            let presented = PresentedKeys(
                store: store,
                manifest: before.manifest,
                context: context
            )
            let openers = try presented.openers(
                unlocked,
                dropping: Set(dropped),
                keyFiles: alsoKeyFile,
                passwordFiles: alsoPasswordFile
            )
            var rotation = DataKeyRotation(openers: openers, dropped: Set(dropped))
            let progress = Progress("rotating", context.console)
            rotation.progress = { progress.update($0, of: $1) }
            rotation.alongside = { try context.audit.reseal(store, from: $0, to: $1) }
            context.subjects.secrets = before.manifest.secrets.map(\.name)
            context.subjects.slots = dropped
            let keys = try rotation.run(
                store,
                unlocked.keys,
                plannedFor: before.manifest.slots,
                now: context.now(),
                waiting: context.noteWaiting
            )
            progress.end()
            do {
                try context.audit.finishResealing(store, with: keys)
            } catch {
                context.console.warning(
                    "the old keys still open the audit log: \(CommandError(anyError: error).message)"
                )
            }
        }
        context.console.note(
            "made a new data key for \(Count.pluralized(before.manifest.secrets.count, "secret")), "
                + "and removed \(store.backupPath)"
        )
        for identifier in dropped { context.console.note("removed slot \(identifier)") }
        OldValues.warn(of: "the old keys: give secrets that may have leaked new values", context)
    }

    private func rotateValues(_ store: Store, _ before: LoadedManifest, _ context: CommandContext) throws {
        let references = try before.manifest.listed(names).map { try reference($0) }
        guard Set(references.map(\.name)).count == references.count else {
            throw CommandError(.usage, "a name is given twice")
        }
        context.subjects.secrets = references.map(\.name)
        for reference in references { try requireValue(try before.manifest.entry(reference), before.manifest) }
        let keys = try keyOptions.verify(before, store, context).keys
        let input = ValueInput(valueFile: valueFile, readsStandardInput: name.last == "-")
        try requireOneSource(references.count, input)
        let values = try references.map { NewValue(try input.read($0.name)) }
        try store.update(keys, now: context.now(), waiting: context.noteWaiting) { manifest in
            var cipher = try keys.valueCipher()
            for (reference, value) in zip(references, values) {
                // It may have been deleted meanwhile.
                let entry = try manifest.entry(reference)
                guard let index = manifest.index(of: entry.name) else { continue }
                try requireValue(entry, manifest)
                try manifest.secrets[index].enter(value.take(), with: &cipher, now: context.now())
            }
        }
        for reference in references { context.console.note("gave \(reference.name.text) a new value") }
    }

    /// Refuses a rendered file, which has no value of its own.
    private func requireValue(_ entry: SecretEntry, _ manifest: Manifest) throws {
        guard entry.template != nil else { return }
        let parts = manifest.parts(of: entry).map(\.name.text)
        throw CommandError(
            .invalid,
            "'\(entry.name.text)' is rendered from a template and has no value to rotate",
            hint: parts.isEmpty ? nil : "rotate its parts: \(Names.abbreviated(parts))"
        )
    }

    private func requireOneSource(_ count: Int, _ input: ValueInput) throws {
        guard count > 1, !input.asks else { return }
        throw CommandError(
            .usage,
            "\(input.valueFile == nil ? "standard input" : "the file") holds the value of one name",
            hint: "rotate one name after the other, or on a terminal"
        )
    }
}
