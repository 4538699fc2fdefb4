// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import Glibc
internal import SecretStore
internal import SystemCalls

/// The command `credfs delete`.
struct DeleteCommand: CredfsCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete",
        abstract: "Remove a secret from the store.",
        discussion: """
            The manifest of before stays sealed in secrets.yaml.bak.

            EXAMPLES:
              credfs delete API_TOKEN                    # asks first
              credfs delete --yes billing/API_KEY
              credfs delete --yes OLD --store ./team
            """,
        aliases: ["rm"]
    )
    static let operation = OperationEvent.Operation.delete

    @OptionGroup(title: HelpText.storeTitle) var options: StoreOptions
    @OptionGroup(title: HelpText.keyTitle) var keyOptions: KeyOptions

    @Argument(help: "The name, or SERVICE/KEY.", completion: SecretNameCompletion.one)
    var name: String

    @Flag(name: .shortAndLong, help: "Do not ask.")
    var yes = false

    var subject: String? { name }

    func run(_ context: CommandContext) throws {
        let reference = try reference(name)
        let (store, before) = try options.load(context)
        let entry = try before.manifest.entry(reference)
        try requireUnused(entry, before.manifest)
        guard try yes || confirms(entry.name, context) else {
            throw CommandError(.failed, "'\(entry.name.text)' was not deleted")
        }
        let keys = try keyOptions.unlock(store, before.manifest, context)
        try store.update(keys, now: context.now(), waiting: context.noteWaiting) { manifest in
            _ = try manifest.entry(reference)
            manifest.secrets.removeAll { $0.name == entry.name }
            manifest.comments.secrets[entry.name] = nil
        }
        context.console.detail("deleted \(entry.name.text)")
    }

    /// Refuses a part of a rendered file, which would be left without it.
    private func requireUnused(_ entry: SecretEntry, _ manifest: Manifest) throws {
        let files = manifest.files(of: entry.name)
        guard let first = files.first else { return }
        throw CommandError(
            .invalid,
            "'\(entry.name.text)' is a part of \(Names.abbreviated(files.map(\.text)))",
            hint: "delete that first, or take it out of the template: credfs set \(quoted(first.text)) --template FILE"
        )
    }

    private func confirms(_ name: SecretName, _ context: CommandContext) throws -> Bool {
        guard isatty(0) == 1 else {
            throw CommandError(.usage, "cannot ask whether to delete '\(name.text)'", hint: "pass --yes")
        }
        return context.console.confirms("delete '\(name.text)'?")
    }
}
