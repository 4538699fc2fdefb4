// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import Glibc
internal import HostChecks
internal import Jobs
internal import SecretFileSystem
internal import SecretStore
internal import SecureFiles
internal import SystemCalls
internal import SystemPackage

/// The command `credfs mount`.
struct MountCommand: CredfsCommand {
    static let name = "mount"
    static let configuration = CommandConfiguration(
        commandName: name,
        abstract: "Show the secrets of a store as files until they are unmounted.",
        discussion: """
            Serves in the background, prints the directory and returns when it can be listed. Only processes of its \
            owner may open secrets. SIGHUP reads the store again, SIGTERM unmounts. See also 'credfs env', which \
            prints the variables for a job, and 'credfs unmount'.

            EXAMPLES:
              credfs mount                               # prints the directory
              credfs mount /run/app/secrets --foreground
              credfs mount --only API_TOKEN --audit required
            """
    )
    static let operation = OperationEvent.Operation.mount
    static let needsProc = true

    @OptionGroup(title: HelpText.storeTitle) var options: StoreOptions
    @OptionGroup(title: HelpText.keyTitle) var keyOptions: KeyOptions
    @OptionGroup(title: "Secrets") var admission: AdmissionOptions
    @OptionGroup(title: "Mount") var mount: MountOptions

    @Flag(help: "Serve in the foreground.")
    var foreground = false

    @Option(help: .hidden)
    var readyFd: Int32?

    @Argument(
        help: ArgumentHelp("An empty directory; one is made if none is named.", valueName: "dir"),
        completion: .directory,
        transform: PathArgument.parse
    )
    var directory: String?

    func validate() throws {
        if mount.callers == ReadPolicy.Callers.job.rawValue {
            throw ValidationError("--callers job is for credfs run: a mount belongs to no job.")
        }
    }

    func failure(of error: any Error) -> CommandError { advised(error, way: .shared) }

    func run(_ context: CommandContext) throws {
        var admitted = try Admission.decide(options, keyOptions, admission, context)
        let rules = try mount.rules(context, group: ProcessAttributes.effectiveGroup)
        let runtime = try RuntimeDirectory(user: context.user, environment: context.environment)
        Unmounting.clean(runtime)
        let service = try MountService(at: directory, in: runtime, user: context.user)
        let manager = serviceManager(context)
        context.subjects.mount = service.id
        let empty = Snapshot(generation: 0, items: [], modified: context.now(), source: NoContent())
        let recorder = try admitted.manifest.map { try OpenRecorder(options, $0.store, mount.audit, context) }
        try service.begin(
            admitted.snapshot(now: context.now()) ?? empty,
            rules,
            store: admitted.manifest?.store,
            auth: admitted.auth,
            recording: { (mount) throws(MountError) in try recorder?.begin(mount: mount) }
        )
        mount.warn(ofWayTo: service.path, rules, context)
        defer {
            try? manager?.send("STOPPING=1")
            service.end()
        }
        let serving = event(.success, "serving \(service.path)", context)
        if let recorder { try recorder.record(serving) } else { context.recorder.record(serving) }
        Telemetry.write(Self.operation, .success, context)
        admitted.forgetEntries()
        // What is written relative to the working directory is found again when the store is read again.
        let store = try absolute(context)
        context.options = store
        try? manager?.send("READY=1\nSTATUS=serving \(service.path)\nMAINPID=\(ProcessAttributes.processID)")
        try announce(service.path, context)
        while try service.nextRequest() == .reload {
            reload(service, admitted, store, context)
        }
        context.outcome = "ended"
    }

    /// Lets whoever waits know that the directory can be used.
    private func announce(_ path: String, _ context: CommandContext) throws {
        guard let readyFd else { return try context.console.output("\(path)\n") }
        let ready = OwnedDescriptor(owning: readyFd)
        try StoreError.wrapping("leave", "the terminal") { () throws(Errno) in
            try ready.closeOnExec()
            try Daemon.detach()
        }
        // Who waited may be gone.
        try? ready.writeAll("\(path)\n")
    }

    private func serviceManager(_ context: CommandContext) -> ServiceNotification? {
        guard let socket = context.environment("NOTIFY_SOCKET"), !socket.isEmpty else { return nil }
        return try? ServiceNotification(to: socket)
    }

    private func absolute(_ context: CommandContext) throws -> StoreOptions {
        var options = options
        let location = try options.location(context)
        context.directoryAtStart = try StoreError.wrapping("find", "the working directory") { () throws(Errno) in
            try OwnedDescriptor.workingDirectory()
        }
        options.store = context.located(location.directory)
        options.manifest = location.manifest.map(context.located)
        options.state = location.state.map(context.located)
        return options
    }

    /// Descriptors were read and closed: their numbers may stand for something else by now.
    private func keysForReload() -> KeyOptions {
        var options = keyOptions
        options.keyFd = nil
        options.password.passwordFd = nil
        return options
    }

    /// Serves what the store holds now; where it is not accepted, what was served goes on being served.
    private func reload(
        _ service: MountService,
        _ admitted: Admission,
        _ options: StoreOptions,
        _ context: CommandContext
    ) {
        do {
            guard admitted.auth == .authenticated, let previous = service.snapshot else { return }
            let next = try Reload.admission(options, keysForReload(), admission, admitted, context)
            guard let snapshot = next.snapshot(now: context.now(), after: previous) else { return }
            try service.replace(with: snapshot)
            context.console.note("serving generation \(snapshot.generation)")
            context.recorder.record(event(.success, "reloaded", context))
        } catch {
            let failure = CommandError(anyError: error)
            context.console.error(failure)
            context.recorder.record(event(.failed, "not reloaded: \(failure.message)", context))
        }
    }

    private func event(
        _ status: OperationEvent.Status,
        _ reason: String,
        _ context: CommandContext
    ) -> OperationEvent {
        OperationEvent(.mount, context.subjects, status: status, reason: reason, store: context.store)
    }
}

/// Reading a store again that is being served.
enum Reload {
    /// Admits what the store holds now, with the keys at hand or, where it has others now, with a key file.
    static func admission(
        _ options: StoreOptions,
        _ keyOptions: KeyOptions,
        _ rules: AdmissionOptions,
        _ admitted: Admission,
        _ context: CommandContext
    ) throws -> Admission {
        var rules = rules
        rules.onReject = "fail"
        return try Admission.decide(options, keyOptions, rules, context) { (store, manifest) in
            if let keys = admitted.keys, let loaded = try? LoadedManifest(store),
                (try? loaded.verified(with: keys)) != nil
            {
                return keys
            }
            return try keyOptions.unlockSilently(store, manifest, context)
        }
    }
}

/// What a process does that goes on without its terminal.
enum Daemon {
    /// Leaves session, working directory and every descriptor that somebody else opened.
    static func detach() throws(Errno) {
        setsid()
        try OwnedDescriptor.changeWorkingDirectory(to: "/")
        try OwnedDescriptor.closeInherited()
        let nothing = try OwnedDescriptor.open("/dev/null", O_RDWR)
        for number in Int32(0)...2 { dup2(nothing.number, number) }
    }
}
