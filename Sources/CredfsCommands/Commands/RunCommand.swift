// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import HostChecks
internal import Jobs
internal import ProcessControl
internal import SecretFileSystem
internal import SecretSources
internal import SecretStore
internal import SecureFiles
internal import SystemCalls
internal import SystemPackage

/// The command `credfs run`.
struct RunCommand: CredfsCommand {
    static let name = "run"
    static let configuration = CommandConfiguration(
        commandName: name,
        abstract: "Run a program with the secrets of a store as files.",
        usage: "credfs run [<options>] -- <program> [<argument> ...]",
        discussion: """
            The program finds every secret as a file in $CREDENTIALS_DIRECTORY, and the path of each in a variable: \
            GHCR_TOKEN_FILE for the secret GHCR_TOKEN. The files are there as long as it runs, in a mount namespace of \
            its own where the system allows one. Exits with its status, 128+n after signal n, 127 if it is not found, \
            126 if it cannot be run, 125 if credfs itself fails.

            EXAMPLES:
              credfs run -- sh -c 'cat "$API_TOKEN_FILE"'
              credfs run --only API_TOKEN,DB_PASSWORD -- ./server --port 8080
              credfs run --env API_TOKEN -- ./legacy     # the value in a variable
              credfs run --user www-data -- ./server     # as root: for another user
              credfs run --shared --allow-other --callers any -- docker compose up
            """,
        aliases: ["exec"]
    )
    static let operation = OperationEvent.Operation.run
    static let needsProc = true

    @OptionGroup(title: HelpText.storeTitle) var options: StoreOptions
    @OptionGroup(title: HelpText.keyTitle) var keyOptions: KeyOptions
    @OptionGroup(title: "Secrets") var admission: AdmissionOptions
    @OptionGroup(title: "Variables") var variables: JobVariableOptions
    @OptionGroup(title: "Program") var program: JobOptions
    @OptionGroup(title: "Mount") var place: JobMountOptions
    @OptionGroup(title: "Mount") var mount: MountOptions
    @OptionGroup(title: "Alerts and metrics") var alerts: AlertOptions

    @Argument(
        parsing: .postTerminator,
        help: ArgumentHelp("The program and its arguments.", valueName: "program"),
        completion: ProgramCompletion.kind
    )
    var command: [String]

    /// Reads arguments that are right without the parser.
    ///
    /// - Parameter arguments: those behind the name of the command.
    /// - Returns: the command, or nil where the parser has to look.
    static func scanned(_ arguments: [String]) -> RunCommand? {
        do {
            var scanner = try OptionScanner(arguments)
            var run = RunCommand()
            run.options = try scanner.group()
            run.keyOptions = try scanner.group()
            run.admission = try scanner.group()
            run.variables = try scanner.group()
            run.program = try scanner.group()
            run.place = try scanner.group()
            run.mount = try scanner.group()
            run.alerts = try scanner.group()
            run.command = scanner.rest
            try scanner.end()
            try run.validate()
            return run
        } catch { return nil }
    }

    func validate() throws {
        guard !command.isEmpty else { throw ValidationError("a program is needed after '--'.") }
    }

    var hasNoStore: Bool { admission.storeless.noStore }

    func failure(of error: any Error) -> CommandError {
        let way: MountAdvice.Way =
            switch place.backend.flatMap(Backend.init) {
            case .ramfs, .tmpfs: .memory
            case .shm: .files
            default: place.shared ? .shared : .best
            }
        var failure = advised(error, way: way)
        let isOwn = (error as? MountError).map { [.variables, .policy, .usage].contains($0.code) } ?? false
        // What has to be settled on the command line keeps its status; a policy, too, which is never passed over.
        if !isOwn && ![.usage, .refused].contains(failure.status) {
            failure = CommandError(.runFailed, failure.message, hint: failure.hint)
        }
        return failure
    }

    func run(_ context: CommandContext) throws {
        try refuseAssignment()
        let user = try program.account(context)
        // What is wrong in any case is said before anybody is asked for a password.
        _ = (try self.values { _ in true }, try variables.file.chosen { _ in true })
        let sources = try admission.overlay(context)
        try admission.storeless.check(options, hasSources: !sources.isEmpty)
        let live = try mount.live(options, hasStore: !hasNoStore, sources, context)
        let admitted = try Admission.decide(options, keyOptions, admission, sources, context)
        let isName = { (name: SecretName) in admitted.manifest.map { $0.index(of: name) != nil } ?? true }
        let (values, chosen) = (try self.values(isName), try variables.file.chosen(isName))
        let snapshot = admitted.snapshot(now: context.now())
        if admitted.auth == .authenticated {
            for assignment in values + chosen where admitted.entry(assignment.secret) == nil {
                try admission.reportMissing(assignment.secret, admitted.manifest, sources, context)
            }
        }
        let paths = try variables.file.variables(
            try namesWithVariable(snapshot, admitted, chosen, context),
            chosen
        ) { context.console.warning($0) }
        try refuseClashes(values, paths, admitted)
        let backend = place.backend.flatMap(Backend.init) ?? .fuse
        if backend != .fuse {
            try admission.refusePolicies(of: admitted.entries, admitted.secrets, in: "the backend \(backend.rawValue)")
        }
        let inVariables = values.compactMap { admitted.entry($0.secret) }
        try admission.refusePolicies(of: inVariables, admitted.secrets, in: "a variable")
        var secrets = try ValueVariables.block(values, admitted)
        warn(of: values, admitted, context)

        var settings = JobRun.Settings(rules: try mountRules(for: user, context))
        settings.isForAnotherUser = user.map { $0.user != context.user } ?? false
        settings.backend = backend
        let observing = try alerts.begin(admitted, sources.asked, context)
        defer { observing.end() }
        settings.rules.monitor = observing.monitor
        settings.helpers = [observing.helper?.id].compactMap { $0 } + sources.helpers
        settings.isShared = place.shared
        settings.linger = program.linger?.duration ?? .zero
        settings.live = live
        settings.store = ServedAdmission(.run, admitted, options, keyOptions, admission, sources, context)
        settings.maskedPaths = program.keepStore ? [] : try secretPlaces(admitted, context)
        var content = JobRun.Content(auth: admitted.auth)
        content.snapshot = snapshot
        content.secrets = admitted.secrets
        content.store = hasNoStore ? nil : admitted.manifest?.store

        var rules = JobEnvironment.Rules()
        rules.isPristine = variables.pristine
        rules.unsetsPlain = variables.unsetPlain
        rules.login = user?.variables ?? [:]
        rules.valueVariables = values.filter { admitted.entry($0.secret) != nil }.map(\.variable)
        var hasWarned = false
        let recorder = try OpenRecorder.make(options, admitted, mount.audit, observing.monitor.metrics, context)
        let runtime = try RuntimeDirectory(user: context.user, environment: context.environment)
        if backend != .shm { mount.warn(ofWayTo: "\(runtime.jobs)/job", settings.rules, context) }
        let run = try JobRun(
            content,
            settings,
            in: runtime,
            recording: { (mount) throws(MountError) in try recorder?.begin(mount: mount) },
            starting: { () throws(MountError) in try recordStart(user, recorder, context) },
            report: { say($0, context) }
        )
        context.subjects.mount = run.id
        // Who reads these is seen by nobody; who opens a file of the mount is.
        let unseen = settings.backend == .fuse ? [] : admitted.entries.map(\.name)
        let given = values.map(\.secret).filter { admitted.entry($0) != nil }
        context.subjects.secrets = unseen.isEmpty ? given : unseen
        let outcome = try run.perform(job(user, context), secrets: &secrets) { directory in
            let environment = JobEnvironment(
                inherited: EnvironmentVariables.inheritedEntries(),
                directory: directory,
                variables: paths,
                auth: admitted.auth,
                rules: rules
            )
            if !environment.plainNames.isEmpty && !hasWarned {
                hasWarned = true
                let names = environment.plainNames.joined(separator: ", ")
                context.console.warning("the job inherits \(names) as well: --unset-plain takes plain variables away")
            }
            return environment.entries + (variables.pristine ? Self.path() : [])
        }
        conclude(outcome, context)
    }

    /// Names that get a variable: one of a hidden secret would tell the whole job that it is there.
    private func namesWithVariable(
        _ snapshot: Snapshot?,
        _ admitted: Admission,
        _ chosen: [VariableAssignment],
        _ context: CommandContext
    ) throws -> [SecretName] {
        let isObserving = try mount.rules(context, group: ProcessAttributes.effectiveGroup).observes
        let hidden = Set(admitted.entries.filter { $0.policy?.hidden == true }.map(\.name))
        guard let names = snapshot?.names, !isObserving, !hidden.isEmpty else { return snapshot?.names ?? [] }
        let wanted = Set(chosen.map(\.secret))
        return names.filter { !hidden.contains($0) || wanted.contains($0) }
    }

    private func values(_ isName: (SecretName) -> Bool) throws -> [VariableAssignment] {
        try VariableAssignment.parse(variables.env, option: "--env", usual: VariableName.init(of:), isName)
    }

    /// Refuses `VARIABLE=VALUE` in front of the program, which a shell would take.
    private func refuseAssignment() throws {
        guard let first = command.first, PathArgument.mayHoldValue(first) else { return }
        let variable = VariableName(String(first.prefix { $0 != "=" }))?.text ?? "VARIABLE"
        throw CommandError(
            .usage,
            "a program cannot have '=' in its name unless it begins with './' or '/'",
            hint: "a variable of the job is set by env: credfs run -- env \(variable)=... PROGRAM"
        )
    }

    /// A variable has one meaning.
    private func refuseClashes(
        _ values: [VariableAssignment],
        _ variables: FileVariables,
        _ admitted: Admission
    ) throws(MountError) {
        var owners = Dictionary(uniqueKeysWithValues: variables.pairs.map { ($0.variable, $0.secret) })
        for value in values where admitted.entry(value.secret) != nil {
            if let other = owners.updateValue(value.secret, forKey: value.variable) {
                throw MountError(
                    .variables,
                    FileVariables.clash(other, value.secret, value.variable),
                    hint: "choose another with: --env \(quoted(value.secret.text + "=VARIABLE"))"
                )
            }
        }
    }

    /// The rules of the mount, which is for the user that the program runs as.
    private func mountRules(for user: JobUser?, _ context: CommandContext) throws -> MountRules {
        var rules = try mount.rules(context, group: ProcessAttributes.effectiveGroup)
        guard let user else { return rules }
        guard mount.owner == nil else {
            throw CommandError(
                .usage,
                "--user gives the secrets to its user, so --owner cannot",
                hint: "leave out --owner, or run the program by other means: setpriv, su"
            )
        }
        rules.ownership = Ownership(user: user.user, group: user.group)
        rules.allowsOther = rules.allowsOther || user.user != context.user
        return rules
    }

    private func job(_ user: JobUser?, _ context: CommandContext) -> Job.Program {
        // The parser has them as text; the job gets the bytes.
        let command = Array(context.arguments.drop { $0 != Array("--".utf8) }.dropFirst())
        var job = Job.Program(command: command, environment: [], inherited: context.inherited)
        job.givesPath = !variables.pristine
        job.allowsCore = program.allowCore
        job.user = user
        return job
    }

    /// By which a program is found even where it inherits nothing.
    private static func path() -> [[UInt8]] {
        EnvironmentVariables.rawEntries().filter { $0.starts(with: "PATH=".utf8) }
    }

    /// The directories and files that a job of the same user could open the store with.
    private func secretPlaces(_ admitted: Admission, _ context: CommandContext) throws -> [String] {
        let variables = ["CREDFS_KEY_FILE", "CREDFS_PASSWORD_FILE", "CREDFS_FERNET_KEY_FILE"].compactMap {
            context.environment($0)
        }
        var named =
            [keyOptions.keyFile, keyOptions.password.passwordFile, keyOptions.identity].compactMap { $0 } + variables
        // Those of other tools only where they open this store, too.
        if admitted.manifest?.slots.values.contains(where: { $0.kind is AgeSlot }) == true,
            let path = try AgeSlot.identityFile(context)
        {
            named.append(path)
        }
        let paths = [try options.location(context).directory] + named.filter { !$0.isEmpty }
        return try paths.map(AbsolutePath.of)
    }

    private func warn(of values: [VariableAssignment], _ admitted: Admission, _ context: CommandContext) {
        let names = values.filter { admitted.entry($0.secret) != nil }.map(\.variable.text)
        if !names.isEmpty {
            context.console.warning(
                "the values of \(names.joined(separator: ", ")) are in the environment of the job, "
                    + "which its children inherit and others can read"
            )
        }
        let program = command.first?.split(separator: "/").last ?? ""
        // Those without a daemon see what root mounted for them, unless they are told to ask another machine or service.
        let isDaemonless = ["podman", "buildah"].contains(String(program))
        let asksService =
            context.environment("CONTAINER_HOST") != nil || command.contains { $0 == "--remote" || $0 == "-r" }
        let reachesDaemon =
            ["docker", "nerdctl"].contains(String(program)) || (isDaemonless && (context.user != 0 || asksService))
        if reachesDaemon && !(place.shared && mount.allowOther && mount.callers == "any") {
            context.console.warning(
                "\(program) hands paths to another process, which cannot see the secrets of this job: "
                    + "that needs --shared --allow-other --callers=any"
            )
        }
    }

    /// Records the start, since whoever is killed records nothing at its end.
    private func recordStart(
        _ user: JobUser?,
        _ recorder: OpenRecorder?,
        _ context: CommandContext
    ) throws(MountError) {
        if let job = program.labels.event(context) { try context.record(job, by: recorder) }
        try context.record(
            OperationEvent(
                .run,
                context.subjects,
                status: .success,
                reason: user.map { "started as uid \($0.user)" } ?? "started",
                store: context.store
            ),
            by: recorder
        )
    }

    private func say(_ message: JobRun.Message, _ context: CommandContext) {
        switch message {
        case .notPrivate(let reason):
            context.console.warning(
                "\(reason): the secrets are mounted where other processes see the mount, though only the job may open it"
            )
        case .servingEnded: context.console.warning("the secrets of the job are not served any more")
        case .timeOver:
            context.console.warning("the time of the mount is over: the job goes on without secrets")
            context.recorder.record(
                OperationEvent(
                    .run,
                    context.subjects,
                    status: .success,
                    reason: "its time was over",
                    store: context.store
                )
            )
        case .weakBackend(let backend):
            context.console.warning(
                "the backend \(backend.rawValue) is weaker: secrets are plain files in memory, nothing tells who reads them"
            )
        }
    }

    private func conclude(_ outcome: JobRun.Outcome, _ context: CommandContext) {
        context.exitStatus = outcome.status
        context.subjects.exitStatus = outcome.status
        context.outcome = outcome.refusal.map { "not started: \($0)" } ?? "ended"
        if let refusal = outcome.refusal {
            // The kernel says the same of a file that is missing and of one whose interpreter is.
            let isThere =
                outcome.status == 127 && command[0].contains("/")
                && (try? FileStatus.ofPath(command[0], followingLink: true).kind) == .regular
            let hint =
                "the file is there: its interpreter is not (#! in its first line, perhaps with CRLF; or its loader)"
            context.console.error(
                CommandError(.runFailed, "cannot run \(command[0]): \(refusal)", hint: isThere ? hint : nil)
            )
        }
        if outcome.isolation == .user && [126, 127, 255].contains(outcome.status) {
            context.console.detail(
                "hint: the job ran in a user namespace, where setuid programs and files of other users "
                    + "look different (see credfs doctor); --shared runs it without one"
            )
        }
    }
}
