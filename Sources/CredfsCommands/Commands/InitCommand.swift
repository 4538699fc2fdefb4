// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import HostChecks
internal import Sealing
internal import SecretStore
internal import SecureFiles
internal import SecureMemory

/// The command `credfs init`.
struct InitCommand: CredfsCommand {
    static let configuration = CommandConfiguration(
        commandName: "init",
        abstract: "Make a store, or put the permissions of one right.",
        discussion: """
            Makes the store directory (0700), a key file, a .gitignore and a signed manifest whose usual entries are \
            required placeholders. With --recipient, an age identity opens it instead of a key file. On an existing \
            store it repairs modes and overwrites nothing.
            """
    )
    static let operation = OperationEvent.Operation.initialize

    @OptionGroup(title: HelpText.storeTitle) var options: StoreOptions
    @OptionGroup(title: HelpText.keyTitle) var passwordOptions: PasswordOptions

    @Flag(help: "Open the store with a password instead of a key file.")
    var password = false

    @Option(
        help: ArgumentHelp("Open the store with the key in this file; none is written.", valueName: "file"),
        completion: .file(),
        transform: PathArgument.parse
    )
    var keyFile: String?

    @Option(
        help: ArgumentHelp("Open the store with the age identity of this recipient; repeatable.", valueName: "age1...")
    )
    var recipient: [String] = []

    @Flag(help: "Leave the usual placeholders out.")
    var empty = false

    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp("Require these secrets instead of the usual ones.", valueName: "name")
    )
    var require: [String] = []

    private static let usualNames = ["GHCR_USER", "GHCR_TOKEN", "COSIGN_KEY"]

    func validate() throws {
        if empty && !require.isEmpty { throw ValidationError("--empty and --require exclude each other.") }
        if keyFile != nil && (password || passwordOptions.isGiven) {
            throw ValidationError("name a key file or a password, not both.")
        }
    }

    func run(_ context: CommandContext) throws {
        let location = try options.location(context)
        let checker = context.checker
        let outcome = try StoreCreation.run(
            location,
            checker,
            secrets: try placeholders(),
            recipients: try Recipients.parse(recipient),
            now: context.now(),
            way: { try way(location, checker, context) }
        )
        context.store = outcome.store
        if let keys = outcome.keys { context.audit.begin(try options.open(context), keys) }
        for note in outcome.modes.notes { context.console.note(note) }
        for exposure in outcome.modes.exposures { context.console.warning(exposure) }
        for note in outcome.modes.notes + outcome.modes.exposures {
            context.recorder.record(OperationEvent(.permissions, status: .success, reason: note, store: outcome.store))
        }
        // A .gitignore that was there is left as it is.
        for exposure in Doctor.exposures(context.host, try options.open(context)) {
            context.console.warning(exposure.message + (exposure.fix.map { ": \($0)" } ?? ""))
        }
        context.console.note(
            outcome.isNew ? "made a store at \(location.directory)" : "there is a store at \(location.directory)"
        )
        let required = outcome.isNew ? try placeholders().map(\.name.text) : []
        if !required.isEmpty {
            context.console.note("before a job can run, give values to \(Names.abbreviated(required)): credfs set NAME")
            if require.isEmpty { context.console.note("credfs init --empty makes a store that requires nothing") }
        }
    }

    private func placeholders() throws -> [SecretEntry] {
        if empty { return [] }
        var entries: [SecretEntry] = []
        for argument in require.isEmpty ? Self.usualNames : try ArgumentList.items(require) {
            let reference = try reference(argument)
            guard !reference.mayHoldValue else { throw CommandError.valueInArgument("--require") }
            var entry = SecretEntry(name: reference.name)
            entry.service = reference.service
            entry.required = true
            guard !entries.contains(where: { $0.name == entry.name }) else {
                throw CommandError(.usage, "'\(entry.name.text)' is required twice")
            }
            entries.append(entry)
        }
        try NewNames.requireDistinctVariables(entries.map(\.name), since: [])
        return entries
    }

    private func way(
        _ location: StoreLocation,
        _ checker: PermissionChecker,
        _ context: CommandContext
    ) throws -> StoreCreation.Way {
        if let keyFile { return .givenKey(try .keyFile(at: keyFile, checker)) }
        if password || passwordOptions.isGiven { return .password(try newPassword(location, checker, context)) }
        if !recipient.isEmpty { return .recipientsOnly }
        if let offer = KeyFileSlot.offer(inVariablesOf: context) { return .givenKey(try offer.read()) }
        return .keyFile
    }

    private func newPassword(
        _ location: StoreLocation,
        _ checker: PermissionChecker,
        _ context: CommandContext
    ) throws -> SecureBuffer {
        let password =
            if passwordOptions.isGiven {
                try passwordOptions.given(context, checker)
            } else if let password = try PasswordOptions.givenByVariable(context, checker) {
                password
            } else {
                try NewPassword.ask(location)
            }
        try NewPassword.refuseWeak(password)
        return password
    }
}

/// Recipients as arguments.
enum Recipients {
    /// Reads them, each named once.
    static func parse(_ arguments: [String]) throws -> [any SlotRecipient] {
        var recipients: [any SlotRecipient] = []
        for argument in try ArgumentList.items(arguments) {
            let recipient = try SlotTypes.recipient(named: argument)
            guard !recipients.contains(where: { $0.text == recipient.text }) else {
                throw CommandError(.usage, "the recipient \(recipient.text) is named twice")
            }
            recipients.append(recipient)
        }
        return recipients
    }
}
