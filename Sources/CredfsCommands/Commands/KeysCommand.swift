// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import Glibc
internal import Sealing
internal import SecretStore
internal import SecureFiles
internal import SecureJSON
internal import SecureMemory

/// The commands `credfs keys ...`.
struct KeysCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keys",
        abstract: "List, add and remove key slots.",
        discussion: """
            Each key slot holds the data key, sealed for a key file, a password or an age identity. Any one of them \
            opens the store.

            EXAMPLES:
              credfs keys list
              credfs keys add --password
              credfs keys remove keyfile
            """,
        subcommands: [KeysListCommand.self, KeysAddCommand.self, KeysRemoveCommand.self]
    )
}

/// The command `credfs keys list`.
struct KeysListCommand: CredfsCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "Print the key slots.",
        discussion: """
            On a terminal with what they are; elsewhere one identifier a line.

            EXAMPLES:
              credfs keys list
              credfs keys list --json
              credfs keys list --manifest secrets.yaml
            """
    )
    static let operation = OperationEvent.Operation.keysList

    @OptionGroup(title: HelpText.storeTitle) var options: StoreOptions
    @OptionGroup(title: HelpText.keyTitle) var keyOptions: KeyOptions

    @Flag(help: "Print JSON.")
    var json = false

    func run(_ context: CommandContext) throws {
        let slots = try ReadableManifest.load(options, keyOptions, context).slots.sorted { $0.key < $1.key }
        if json {
            try context.console.output(JSONOutput.slots(slots.map { ($0.key, $0.value.kind) }))
        } else if isatty(Console.standardOutput) == 1 {
            let rows = slots.map { [$0.key, $0.value.kind.word, $0.value.kind.summary] }
            try context.console.output(Table.text([["ID", "TYPE", "OPENS WITH"]] + rows))
        } else {
            try context.console.output(slots.map { $0.key + "\n" }.joined())
        }
    }
}

/// The command `credfs keys add`.
struct KeysAddCommand: CredfsCommand {
    static let configuration = CommandConfiguration(
        commandName: "add",
        abstract: "Add a key slot.",
        discussion: """
            The store is opened as by every other command; --recipient, --password, --new-password-file, \
            --new-password-fd or --new-key-file says what opens it from now on, too.

            EXAMPLES:
              credfs keys add --password                 # asks twice
              credfs keys add --new-key-file ci.key --id ci
              credfs keys add --recipient "$(cat alice.pub)"
            """
    )
    static let operation = OperationEvent.Operation.keysAdd

    @OptionGroup(title: HelpText.storeTitle) var options: StoreOptions
    @OptionGroup(title: HelpText.keyTitle) var keyOptions: KeyOptions

    @Option(help: ArgumentHelp("The age identity of this recipient (repeatable).", valueName: "age1..."))
    var recipient: [String] = []

    @Flag(name: .customLong("password"), help: "A new password, asked for twice.")
    var asksForPassword = false

    @OptionGroup(title: "New password") var newPassword: NewPasswordOptions

    @Option(
        help: ArgumentHelp("The key in this file, which is made if it is not there.", valueName: "file"),
        completion: .file(),
        transform: PathArgument.parse
    )
    var newKeyFile: String?

    @Option(help: ArgumentHelp("The identifier of the new slot.", valueName: "id"))
    var id: String?

    func validate() throws {
        let ways = [!recipient.isEmpty, asksForPassword || newPassword.isGiven, newKeyFile != nil].count { $0 }
        guard ways == 1 else {
            throw ValidationError(
                "name what to add: --recipient, --password, --new-password-file, --new-password-fd or --new-key-file."
            )
        }
        if let id {
            guard KeySlot.isIdentifier(id) else { throw ValidationError("--id takes 1 to 64 of a-z, 0-9 and '-'.") }
            if recipient.count > 1 { throw ValidationError("--id names one slot.") }
        }
    }

    func run(_ context: CommandContext) throws {
        let recipients = try Recipients.parse(recipient)
        let (store, before) = try options.load(context)
        let keys = try keyOptions.verify(before, store, context).keys
        context.subjects.slots = [id].compactMap(\.self)
        if let id, before.manifest.slots[id] != nil { throw Self.taken(id) }
        let material = try newMaterial(store, context)
        var added: [String] = []
        try store.update(keys, now: context.now(), waiting: context.noteWaiting) { manifest in
            for recipient in recipients { added.append(try add(recipient, to: &manifest, keys)) }
            if let material { added.append(try add(material, to: &manifest, keys)) }
            guard manifest.slots.count <= KeySlot.maximumCount else {
                throw CommandError(.usage, "a store has at most \(KeySlot.maximumCount) slots")
            }
        }
        context.subjects.slots = added
        for identifier in added { context.console.note("added slot \(identifier)") }
    }

    /// Gets what opens the new slot, unless it is an identity.
    private func newMaterial(_ store: Store, _ context: CommandContext) throws -> KeyMaterial? {
        if let newKeyFile { return try KeyFileMaking.material(newKeyFile, store.checker, context) }
        guard recipient.isEmpty else { return nil }
        return .password(try newPassword.password(store))
    }

    private func add(_ recipient: any SlotRecipient, to manifest: inout Manifest, _ keys: StoreKeys) throws -> String {
        for (identifier, slot) in manifest.slots where slot.kind.recipient?.text == recipient.text {
            throw CommandError(.usage, "slot '\(identifier)' is for that recipient already")
        }
        let identifier = try identifier(recipient.word, manifest)
        manifest.slots[identifier] = try keys.withDataKey { (dataKey) throws(StoreError) in
            try KeySlot.make(sealing: dataKey, for: recipient, identifier: identifier, store: manifest.store)
        }
        return identifier
    }

    private func add(_ material: KeyMaterial, to manifest: inout Manifest, _ keys: StoreKeys) throws -> String {
        let kind: any SlotType = newKeyFile == nil ? try PasswordSlot.random() : KeyFileSlot()
        let identifier = try identifier(kind.word, manifest)
        manifest.slots[identifier] = try material.slot(kind, keys, identifier)
        return identifier
    }

    private func identifier(_ word: String, _ manifest: Manifest) throws -> String {
        let identifier = id ?? KeySlot.freeIdentifier(word, beside: manifest.slots)
        if manifest.slots[identifier] != nil { throw Self.taken(identifier) }
        return identifier
    }

    private static func taken(_ identifier: String) -> CommandError {
        CommandError(.usage, "there is a slot '\(identifier)' already", hint: "see them with: credfs keys list")
    }
}

/// The command `credfs keys remove`.
struct KeysRemoveCommand: CredfsCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove",
        abstract: "Remove a key slot.",
        discussion: """
            The slot is gone from the manifest, and so are secrets.yaml.bak and the copy in the state directory. \
            Whoever opened the store before may have kept its data key: 'credfs rotate' makes a new one.

            EXAMPLES:
              credfs keys remove ci
              credfs keys remove password --key-file secrets.key
              credfs keys remove ci --store ./team
            """
    )
    static let operation = OperationEvent.Operation.keysRemove

    @OptionGroup(title: HelpText.storeTitle) var options: StoreOptions
    @OptionGroup(title: HelpText.keyTitle) var keyOptions: KeyOptions

    @Argument(
        help: ArgumentHelp("The identifier of the slot.", valueName: "id"),
        completion: SecretNameCompletion.slot
    )
    var id: String

    func run(_ context: CommandContext) throws {
        let (store, before) = try options.load(context)
        try check(before.manifest)
        // Not before it is known to be one: somebody may have typed a password for it.
        context.subjects.slots = [id]
        let unlocked = try keyOptions.open(store, before.manifest, context)
        let keys = unlocked.keys
        try store.update(keys, now: context.now(), waiting: context.noteWaiting, removingBackups: true) { manifest in
            try check(manifest)
            manifest.slots[id] = nil
        }
        context.console.note("removed slot \(id), and \(store.backupPath)")
        if unlocked.slot == id {
            let others = before.manifest.slots.filter { $0.key != id }.sorted { $0.key < $1.key }
                .map { "\($0.key) (\($0.value.kind.summary))" }
            context.console.warning(
                "what opened the store just now opens it no more; it has \(Names.abbreviated(others)) left"
            )
        }
        OldValues.warn(of: "the removed slot", context, hint: "credfs rotate")
        let keepsKeyFiles = before.manifest.slots.contains { $0.key != id && $0.value.kind is KeyFileSlot }
        if !keepsKeyFiles, try store.hasKeyFile() {
            context.console.note("\(store.keyPath) opens nothing any more and is left where it is")
        }
    }

    private func check(_ manifest: Manifest) throws {
        guard manifest.slots[id] != nil else {
            throw CommandError(
                .usage,
                "there is no slot of that name",
                hint: "the slots are \(manifest.slots.keys.sorted().joined(separator: ", "))"
            )
        }
        guard manifest.slots.count > 1 else {
            throw CommandError(
                .usage,
                "'\(id)' is the last slot: without it nobody could open the store",
                hint: "add another first: credfs keys add"
            )
        }
    }
}

/// Warnings of what taking a key away cannot undo.
enum OldValues {
    /// Warns that git history and other copies stay readable.
    static func warn(of whom: String, _ context: CommandContext, hint command: String? = nil) {
        context.console.note("old values in git history and in backups stay readable to \(whom)")
        if let command {
            context.console.note(
                "whoever opened the store before may know its data key: make a new one with: \(command)"
            )
        }
    }
}

/// Making key files beside those of `init`.
enum KeyFileMaking {
    /// The key in a file, which is made if it is not there.
    static func material(
        _ path: String,
        _ checker: PermissionChecker,
        _ context: CommandContext
    ) throws -> KeyMaterial {
        if try Store.exists(path) { return try .keyFile(at: path, checker) }
        let (directory, name) = Store.split(path)
        guard let folder = try StoreDirectory.open(directory, followingLink: true) else {
            throw CommandError(.failed, "there is no directory \(directory)")
        }
        let key = try StoreError.wrapping { () throws(SealingError) in try Key256.random() }
        try KeyFile.text(key).withBytes { (line) throws(StoreError) in try folder.create(name, with: line) }
        context.console.note("made the key file \(path)")
        return .keyFile(key)
    }
}

extension JSONOutput {
    /// The document of `keys list --json`.
    fileprivate static func slots(_ slots: [(identifier: String, kind: any SlotType)]) -> String {
        let slots: [JSONValue] = slots.map { slot in
            var members: [String: JSONValue] = ["id": .string(slot.identifier), "type": .string(slot.kind.word)]
            for key in SlotTypes.all.flatMap({ $0.listedKeys }) { members[key] = .null }
            for (key, node) in slot.kind.listed { members[key] = node.json }
            return .object(members)
        }
        return text(["slots": .array(slots)])
    }
}

extension ManifestNode {
    /// The scalar as JSON.
    fileprivate var json: JSONValue {
        switch self {
        case .text(let text), .digits(let text), .lines(let text): .string(text)
        case .number(let number): .integer(number)
        case .flag(let flag): .boolean(flag)
        case .list, .mapping: .null
        }
    }
}
