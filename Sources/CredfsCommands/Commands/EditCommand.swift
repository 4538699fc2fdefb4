// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import Glibc
internal import Jobs
internal import PlaintextDocuments
internal import ProcessControl
internal import SecretStore
internal import SystemCalls
internal import SystemPackage

/// The command `credfs edit`.
struct EditCommand: CredfsCommand {
    static let configuration = CommandConfiguration(
        commandName: "edit",
        abstract: "Edit all secrets in an editor, in memory only.",
        discussion: """
            Opens the secrets in plain text in $CREDFS_EDITOR, $VISUAL or $EDITOR, and seals what was saved once the \
            editor ends. The file is in memory that only the editor sees, and the editor can write nowhere else: \
            neither swap files nor backups reach a disk. A text that is not valid is offered again; until a valid one \
            is sealed, nothing changes.

            EXAMPLES:
              credfs edit
              CREDFS_EDITOR='vim -u NONE' credfs edit
              credfs edit --store ./team --identity ~/.config/age/keys.txt
            """
    )
    static let operation = OperationEvent.Operation.edit
    static let needsProc = true

    @OptionGroup(title: HelpText.storeTitle) var options: StoreOptions
    @OptionGroup(title: HelpText.keyTitle) var keyOptions: KeyOptions

    func validate() throws {
        guard keyOptions.keyFd != 0, keyOptions.password.passwordFd != 0 else {
            throw ValidationError("standard input is for the editor: give the key on another descriptor.")
        }
    }

    func run(_ context: CommandContext) throws {
        if let variable = context.ignoringVariable {
            throw CommandError(.refused, "secrets are ignored because \(variable) is set", hint: "unset \(variable)")
        }
        let editor = try EditorChoice.command(context)
        let (store, loaded) = try options.load(context)
        let keys = try keyOptions.verify(loaded, store, context).keys
        // The entry at the end names what was changed; the editor is shown everything.
        context.subjects.secrets = loaded.manifest.secrets.map(\.name)
        try recordDisclosure(context, "started")
        context.subjects.secrets = []
        do {
            try edit(loaded.manifest, with: editor, store, keys, context)
        } catch { throw Self.failure(of: error) }
    }

    private static func failure(of error: any Error) -> CommandError {
        switch error {
        case let error as MountError:
            return CommandError(.mount, error.message, hint: error.hint ?? otherWay)
        case let failure as StepFailure<EditingStep>:
            return CommandError(.mount, "cannot \(failure.step.action): \(failure.errno.message)", hint: otherWay)
        case let failure as DocumentEditing.EditorFailure:
            return Self.failure(of: failure.exit)
        case let interruption as DocumentEditing.Interruption:
            let status = ExitStatus(code: 128 + interruption.signal)
            return CommandError(status, "ended by signal \(interruption.signal): nothing was changed")
        case is DocumentEditing.Ended:
            return CommandError(.failed, "the editing process ended early: nothing was changed")
        default:
            return CommandError(anyError: error)
        }
    }

    private static let otherWay =
        "credfs set NAME needs no namespace and writes no plaintext either; credfs doctor says what is in the way"

    private static func failure(of exit: ChildProcess.Exit) -> CommandError {
        switch exit {
        case .status(126), .status(127):
            CommandError(.failed, "the editor cannot be run", hint: "set CREDFS_EDITOR, VISUAL or EDITOR")
        case .status(let status):
            CommandError(.failed, "the editor ended with status \(status): nothing was changed")
        case .signal(let signal):
            CommandError(.failed, "the editor was ended by signal \(signal): nothing was changed")
        }
    }

    private func edit(
        _ manifest: Manifest,
        with editor: String,
        _ store: Store,
        _ keys: StoreKeys,
        _ context: CommandContext
    ) throws {
        let directory = try EditDirectory(in: RuntimeDirectory(user: context.user, environment: context.environment))
        let request = EditingRequest(
            directory: directory.path,
            editor: editor,
            environment: EnvironmentVariables.rawEntries().filter { entry in
                !VariableName.opensStores(Array(entry.prefix { $0 != UInt8(ascii: "=") }))
            },
            inherited: context.inherited
        )
        let editing = try DocumentEditing.begin(request, holding: directory.lock)
        // The directory goes last: with it goes what is mounted over it.
        defer { withExtendedLifetime(directory) { editing.end() } }
        try editing.unlock(keys)
        try converse(editing, manifest, store, keys, context)
    }

    /// Offers the secrets until something valid is stored, or nobody wants to go on.
    private func converse(
        _ editing: DocumentEditing,
        _ manifest: Manifest,
        _ store: Store,
        _ keys: StoreKeys,
        _ context: CommandContext
    ) throws {
        var base = manifest
        try editing.offer(base, base: base)
        while true {
            do {
                let edited = try receive(editing, base)
                guard edited != base else { return context.console.note("nothing was changed") }
                return try commit(edited, since: base, store, keys, context)
            } catch let conflict as EditConflict {
                try offerAgain(conflict.failure, editing, context)
                base = conflict.stored
                try editing.offer(conflict.merged, base: base)
            } catch let error as StoreError {
                try offerAgain(CommandError(error), editing, context)
            }
        }
    }

    private func receive(_ editing: DocumentEditing, _ base: Manifest) throws -> Manifest {
        do {
            let edited = base.edited(by: try editing.edit())
            try NewNames.requireDistinctVariables(edited.secrets.map(\.name), since: base.secrets.map(\.name))
            return edited
        } catch let error as StoreError {
            throw StoreError(error.code, "\(error.message); nothing was changed", hint: error.hint)
        }
    }

    private func commit(
        _ edited: Manifest,
        since base: Manifest,
        _ store: Store,
        _ keys: StoreKeys,
        _ context: CommandContext
    ) throws {
        var changes: [String] = []
        try requireSameKey(store, keys)
        try store.update(keys, now: context.now(), waiting: context.noteWaiting) { stored in
            let merged = stored.merging(edited, since: base)
            guard merged.conflicts.isEmpty else {
                throw EditConflict(names: merged.conflicts, stored: stored, merged: merged.manifest)
            }
            try NewNames.check(merged.manifest, since: stored, context)
            changes = merged.manifest.changes(since: stored)
            context.subjects.secrets = merged.manifest.namesChanged(since: stored)
            if stored != base { context.console.note("the store was changed meanwhile: both changes are kept") }
            stored = merged.manifest
        }
        for line in changes.isEmpty ? ["comments or order"] : changes { context.console.note("changed: \(line)") }
        if edited.comments != base.comments && !edited.comments.isEmptyButForTheFirst {
            context.console.warning("comments are stored as they are: make sure that none holds a value")
        }
    }

    /// Refuses another data key: what was sealed with one that was replaced opens nowhere.
    private func requireSameKey(_ store: Store, _ keys: StoreKeys) throws {
        let stored = try LoadedManifest(store)
        guard try keys.isSignature(stored.signature, of: stored.manifest) else {
            throw StoreError(
                .authentication,
                "the data key was replaced meanwhile, or the manifest was changed by hand",
                hint: "what was edited cannot be stored: note what is new in it, and run credfs edit again"
            )
        }
    }

    /// Asks whether the editor shall be opened again on what was written.
    ///
    /// - Throws: the failure where nobody can be asked, or its status where nobody wants that.
    private func offerAgain(_ failure: CommandError, _ editing: DocumentEditing, _ context: CommandContext) throws {
        guard isatty(0) == 1, isatty(Console.standardError) == 1 else {
            throw failure
        }
        context.console.error(failure)
        try? writeAll(Console.standardError, "edit again? [Y/n] ".utf8.span)
        try editing.waitForInput(on: 0)
        guard let answer = readLine(), ["", "y", "yes"].contains(answer.lowercased()) else {
            throw CommandError(failure.status, "what was edited is given up")
        }
    }
}

/// Others changed the same as the person in front of the editor.
private struct EditConflict: Error {
    let names: [String]
    /// Manifest that is stored now.
    let stored: Manifest
    /// The same with what the person wrote.
    let merged: Manifest

    var failure: CommandError {
        CommandError(
            .failed,
            "changed by another command meanwhile: \(names.joined(separator: ", "))",
            hint: "edit again: what is saved then replaces that"
        )
    }
}
