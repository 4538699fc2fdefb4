// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import AuditLog
internal import Jobs
internal import ProcessControl
internal import SecretFileSystem
internal import SecretSources
internal import SecretStore
internal import SystemCalls

/// The command `credfs serve-credentials`.
struct ServeCredentialsCommand: CredfsCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve-credentials",
        abstract: "Answer systemd, which asks for the credentials of units.",
        discussion: """
            Started by credfs.socket when a unit that has LoadCredential=NAME:/run/credfs/credentials.sock is started. Answers with \
            the secret NAME of the store as it is then, if the policy of the secret admits the unit, and with nothing where it \
            does not; each answer is in the audit log. Ends when nobody has asked for a while.

            EXAMPLES:
              credfs serve-credentials --store /etc/credfs/units
              credfs serve-credentials --only API_TOKEN,DB_PASSWORD
              credfs serve-credentials --idle 1m
            """
    )
    static let operation = OperationEvent.Operation.serveCredentials
    static let needsProc = true

    @OptionGroup(title: HelpText.storeTitle) var options: StoreOptions
    @OptionGroup(title: HelpText.keyTitle) var keyOptions: KeyOptions
    @OptionGroup(title: "Secrets") var admission: AdmissionOptions

    @Option(help: ArgumentHelp("End when nobody has asked for so long (10s if left out).", valueName: "time"))
    var idle: DurationArgument?

    func validate() throws {
        if keyOptions.keyFd != nil || keyOptions.password.passwordFd != nil {
            throw ValidationError("the key is read for each answer: name a file, not a descriptor.")
        }
        if let idle, idle.duration <= .zero { throw ValidationError("--idle takes a time longer than none.") }
    }

    func run(_ context: CommandContext) throws {
        let sources = try admission.overlay(context)
        if let source = sources.firstNeedingProcess {
            throw CommandError(
                .usage,
                "\(source) is read by a process of its own, which this command cannot start",
                hint: "take it with credfs mount, or use what is read directly: file, dir, age, credential or fernet"
            )
        }
        let service = try CredentialService(environment: context.environment)
        let recording = try OpenRecorder.settings([], context)
        var (answered, refused) = (0, 0)
        try service.serve(idle: idle?.duration ?? .seconds(10)) { call in
            if answer(call, service, sources, recording, context) { answered += 1 } else { refused += 1 }
        }
        context.outcome = "\(answered) answered, \(refused) refused"
    }

    /// Answers a call, after its entry is in the log.
    private func answer(
        _ call: borrowing CredentialCall,
        _ service: CredentialService,
        _ sources: SourceOverlay,
        _ recording: AuditWriter.Settings,
        _ context: CommandContext
    ) -> Bool {
        var entry = AuditEntry(timestamp: AuditTime.now(), operation: "open", status: "success")
        entry.uid = Int64(call.user)
        entry.user = UserDatabase.name(of: call.user)
        entry.identify(call.identity)
        do {
            let request = try call.request(of: context.user)
            entry.secret = SecretName(request.credential)?.text
            entry.unit = entry.unit ?? request.unit
            let fileSystem = try secrets(sources, context)
            let opened = try call.open(request, in: fileSystem)
            entry.reason = "credential of \(request.unit)"
            if opened.isDecoy { alarm(entry, recording, context) }
            do { try record(entry, opened.parts, recording, context) } catch {
                if recording.isRequired { throw CredentialRefusal(failed: "it must be recorded and cannot be") }
                context.audit.report(error)
            }
            try call.send(opened.secret, through: service.buffers)
            return true
        } catch {
            let refusal =
                error as? CredentialRefusal ?? CredentialRefusal(failed: CommandError(anyError: error).message)
            entry.status = refusal.status
            entry.reason = refusal.reason
            do { try record(entry, [], recording, context) } catch { context.audit.report(error) }
            let unit = call.request.map { " of \($0.unit)" } ?? ""
            context.console.warning("\(Names.abbreviated([entry.secret ?? "a credential"]))\(unit): \(refusal.reason)")
            return false
        }
    }

    /// Records the open of a decoy, which nothing that is meant to run asks for.
    private func alarm(_ entry: AuditEntry, _ recording: AuditWriter.Settings, _ context: CommandContext) {
        var alert = entry
        alert.operation = "alert"
        alert.reason = "decoy opened"
        context.console.warning("alert: a decoy was opened: \(entry.secret ?? "")")
        do { try record(alert, [], recording, context) } catch { context.audit.report(error) }
    }

    /// The secrets of the store as it is now.
    private func secrets(_ sources: SourceOverlay, _ context: CommandContext) throws -> SecretFileSystem {
        var rules = admission
        rules.onReject = "fail"
        let admitted = try Admission.decide(options, keyOptions, rules, sources, context) { (store, manifest) in
            try keyOptions.unlockSilently(store, manifest, context)
        }
        guard let snapshot = admitted.snapshot(now: context.now()) else {
            throw CredentialRefusal(denied: "secrets are ignored")
        }
        return SecretFileSystem(snapshot, ownership: Ownership(user: context.user, group: 0))
    }

    private func record(
        _ entry: AuditEntry,
        _ parts: [String],
        _ recording: AuditWriter.Settings,
        _ context: CommandContext
    ) throws {
        var entry = entry
        entry.store = context.store?.text
        try context.audit.append(to: context.store, synchronizing: recording.synchronizes) { [entry] in
            entry.naming(parts: parts)
        }
    }
}
