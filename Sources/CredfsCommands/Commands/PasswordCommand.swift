// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import SecretStore

/// The command `credfs password`.
struct PasswordCommand: CredfsCommand {
    static let configuration = CommandConfiguration(
        commandName: "password",
        abstract: "Change the password of a key slot.",
        discussion: """
            The values stay sealed as they are; only the slot is made anew, with at least the usual iterations. The old \
            password opens neither the store nor secrets.yaml.bak, which is removed, any more.

            EXAMPLES:
              credfs password                            # asks for old and new
              credfs password password-2
              credfs password --password-file old --new-password-file new
            """,
        aliases: ["passwd"]
    )
    static let operation = OperationEvent.Operation.password

    @OptionGroup(title: HelpText.storeTitle) var options: StoreOptions
    @OptionGroup(title: HelpText.keyTitle) var keyOptions: KeyOptions
    @OptionGroup(title: "New password") var newPassword: NewPasswordOptions

    @Argument(
        help: ArgumentHelp("The slot, if there are several with a password.", valueName: "id"),
        completion: SecretNameCompletion.slot
    )
    var id: String?

    func run(_ context: CommandContext) throws {
        let (store, before) = try options.load(context)
        if let id { try check(id, before.manifest) }
        let unlocked = try keyOptions.open(store, before.manifest, context)
        let keys = try before.verified(with: unlocked.keys).keys
        let identifier = try identifier(before.manifest, opened: unlocked.slot)
        context.subjects.slots = [identifier]
        let presented = KeyMaterial.password(try newPassword.password(store))
        try store.update(keys, now: context.now(), waiting: context.noteWaiting, removingBackups: true) { manifest in
            try check(identifier, manifest)
            guard let kind = try manifest.slots[identifier]?.kind.renewed() else { return }
            manifest.slots[identifier] = try presented.slot(kind, keys, identifier)
        }
        context.console.note("changed the password of slot \(identifier), and removed \(store.backupPath)")
        OldValues.warn(of: "the old password", context)
    }

    /// The slot that is named, the one that the old password opened, or the only one.
    private func identifier(_ manifest: Manifest, opened slot: String) throws -> String {
        if let id { return id }
        if manifest.slots[slot]?.kind is PasswordSlot { return slot }
        let slots = manifest.slots.filter { $0.value.kind is PasswordSlot }.keys.sorted()
        guard let only = slots.first else {
            throw CommandError(
                .usage,
                "no slot of this store opens with a password",
                hint: "add one with: credfs keys add --password"
            )
        }
        guard slots.count == 1 else {
            throw CommandError(
                .usage,
                "several slots open with a password: \(slots.joined(separator: ", "))",
                hint: "name one"
            )
        }
        return only
    }

    private func check(_ identifier: String, _ manifest: Manifest) throws {
        guard manifest.slots[identifier]?.kind is PasswordSlot else {
            throw CommandError(
                .usage,
                "there is no slot of that name with a password",
                hint: "see the slots with: credfs keys list"
            )
        }
    }
}
