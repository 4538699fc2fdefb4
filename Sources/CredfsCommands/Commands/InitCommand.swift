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
        abstract: "Make a store, or repair the permissions of one.",
        discussion: """
            Makes the store directory (0700), a key file, a .gitignore and a signed manifest. Asks on a terminal which \
            secrets it requires and what opens it; elsewhere it requires GHCR_USER, GHCR_TOKEN and COSIGN_KEY, unless \
            --empty or --require says otherwise. With --recipient, an age identity opens it instead of a key file. On an existing store it repairs modes and overwrites nothing.

            EXAMPLES:
              credfs init                                # asks what it needs to know
              credfs init --require API_TOKEN DB_PASSWORD
              credfs init --empty --recipient "$(cat alice.pub)" --store ./team
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
        help: ArgumentHelp("Open the store with the age identity of this recipient (repeatable).", valueName: "age1...")
    )
    var recipient: [String] = []

    @Flag(help: "Require no secret.")
    var empty = false

    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp("Require these secrets: no job starts without a value for each.", valueName: "name")
    )
    var require: [String] = []

    func validate() throws {
        if empty && !require.isEmpty { throw ValidationError("--empty and --require exclude each other.") }
        if keyFile != nil && (password || passwordOptions.isGiven) {
            throw ValidationError("name a key file or a password, not both.")
        }
    }

    func run(_ context: CommandContext) throws {
        let location = try options.location(context)
        let checker = context.checker
        let recipients = try Recipients.parse(recipient)
        let isNeeded = try StoreCreation.isNeeded(location, checker)
        let choices = isNeeded ? try choices(context) : InitChoices(required: require, usesPassword: false)
        let secrets = try placeholders(choices)
        // Before anything is made: what is wrong with a key or password leaves nothing behind.
        var first = isNeeded ? try way(location, checker, choices, context) : nil
        let outcome = try StoreCreation.run(
            location,
            checker,
            secrets: secrets,
            recipients: recipients,
            now: context.now(),
            way: { try first.take() ?? way(location, checker, choices, context) }
        )
        context.store = outcome.store
        if let keys = outcome.keys { context.audit.begin(try options.open(context), keys) }
        for note in outcome.modes.notes { context.console.note(note) }
        for exposure in outcome.modes.exposures { context.console.warning(exposure) }
        for note in outcome.modes.notes + outcome.modes.exposures {
            context.recorder.record(OperationEvent(.permissions, status: .success, reason: note, store: outcome.store))
        }
        // A .gitignore that was there is left as it is.
        let store = try options.open(context)
        for exposure in Doctor.exposures(context.host, store) {
            context.console.warning(exposure.message + (exposure.fix.map { ": \($0)" } ?? ""))
        }
        let place = store.folder == nil ? store.manifestPath : location.directory
        context.console.note(outcome.isNew ? "made a store at \(place)" : "there is a store at \(place)")
        if outcome.isNew, !secrets.isEmpty {
            let names = Names.abbreviated(secrets.map(\.name.text))
            let other = choices.isUsual ? ", or make a store without them: credfs init --empty" : ""
            context.console.note("before a job can run, give values to \(names): credfs set NAME\(other)")
        }
    }

    /// Choices of the options, and of a person where they leave it open.
    private func choices(_ context: CommandContext) throws -> InitChoices {
        if empty || !require.isEmpty { return InitChoices(required: require, usesPassword: false) }
        let isOpenedOtherwise =
            password || passwordOptions.isGiven || keyFile != nil || !recipient.isEmpty
            || KeyFileSlot.offer(inVariablesOf: context) != nil
        return try InitChoices.asked(asksForKey: !isOpenedOtherwise, context.console)
    }

    private func placeholders(_ choices: InitChoices) throws -> [SecretEntry] {
        var entries: [SecretEntry] = []
        for argument in try ArgumentList.items(choices.required) {
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
        _ choices: InitChoices,
        _ context: CommandContext
    ) throws -> StoreCreation.Way {
        if let keyFile { return .givenKey(try .keyFile(at: keyFile, checker)) }
        if password || choices.usesPassword || passwordOptions.isGiven {
            return .password(try newPassword(location, checker, context))
        }
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
