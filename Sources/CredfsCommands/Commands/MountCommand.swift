// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import AuditLog
internal import Glibc
internal import HostChecks
internal import Jobs
internal import SecretFileSystem
internal import SecretSources
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
            owner may open secrets. 'credfs reload' and SIGHUP read the store again, 'credfs unmount' and SIGTERM \
            unmount. See also 'credfs env', which prints the variables for a job.

            With --keeper a mount outlives its server: where that is killed, readers wait until 'credfs mount --keeper' \
            is called for the same directory, 30 seconds at most, and what they had open stays open. Called while the \
            other server lives it takes its place, which is how credfs is upgraded. SIGUSR2 lets a server go first, with \
            exit status 140.

            EXAMPLES:
              credfs mount
              credfs mount --watch /run/secrets
              credfs mount --ttl 8h --on-change 'systemctl reload nginx'
              credfs mount --keeper /run/secrets         # also the next time
            """
    )
    static let operation = OperationEvent.Operation.mount
    static let needsProc = true

    @OptionGroup(title: HelpText.storeTitle) var options: StoreOptions
    @OptionGroup(title: HelpText.keyTitle) var keyOptions: KeyOptions
    @OptionGroup(title: "Secrets") var admission: AdmissionOptions
    @OptionGroup(title: "Mount") var mount: MountOptions
    @OptionGroup(title: "Mount") var labels: LabelOptions
    @OptionGroup(title: "Alerts and metrics") var alerts: AlertOptions

    @Flag(help: "Serve in the foreground.")
    var foreground = false

    @Flag(help: "Keep the mount for the next server where this one is killed or replaced, and take over what is kept.")
    var keeper = false

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
        if case .signal = mount.changeAction {
            throw ValidationError("--on-change with a signal is for credfs run: a mount belongs to no job.")
        }
        try checkKeeper()
    }

    private func checkKeeper() throws {
        guard !keeper || !hasNoStore else {
            throw ValidationError("--keeper needs a store: the next server proves itself with its key.")
        }
    }

    var hasNoStore: Bool { admission.storeless.noStore }

    func failure(of error: any Error) -> CommandError { advised(error, way: .shared) }

    func run(_ context: CommandContext) throws {
        let sources = try admission.overlay(context, speaks: readyFd == nil)
        try admission.storeless.check(options, hasSources: !sources.isEmpty)
        let live = try mount.live(options, hasStore: !hasNoStore, sources, context)
        var admitted = try Admission.decide(options, keyOptions, admission, sources, context)
        var rules = try mount.rules(context, group: ProcessAttributes.effectiveGroup)
        let observing = try alerts.begin(admitted, sources.asked, context)
        defer { observing.end() }
        rules.monitor = observing.monitor
        let runtime = try RuntimeDirectory(user: context.user, environment: context.environment)
        Unmounting.clean(runtime)
        let service = try MountService(at: directory, in: runtime, user: context.user, keeping: keeper)
        let manager = serviceManager(context)
        context.subjects.mount = service.id
        // What is written relative to the working directory is found again when the store is read again.
        let store = try absolute(context)
        let served = ServedAdmission(.mount, admitted, store, keyOptions, admission, sources, context)
        let keys = admitted.auth == .authenticated ? admitted.keys : nil
        let token = keys.map { keys in { mount in try keys.keeperToken(for: mount) } }
        let ledger = try service.prepareLedger(rules, token)
        if keeper && ledger == nil {
            context.console.warning("without the key of its store nobody takes this mount over")
        }
        let empty = Snapshot(generation: 0, items: [], modified: context.now(), sources: [], ledger: ledger)
        let recorder = try OpenRecorder.make(options, admitted, mount.audit, observing.monitor.metrics, context)
        try service.begin(
            admitted.snapshot(now: context.now(), ledger: ledger) ?? empty,
            rules,
            store: hasNoStore ? nil : admitted.manifest?.store,
            auth: admitted.auth,
            live: live,
            served: served,
            recording: { (mount) throws(MountError) in try recorder?.begin(mount: mount) }
        )
        mount.warn(ofWayTo: service.path, rules, context)
        var keptGeneration: UInt64?
        var canBeKept = ledger != nil
        let keep = { (generation: UInt64) in
            // Another generation may be of another data key.
            guard canBeKept, generation != keptGeneration, let token = served?.keeperToken(for: service.id) else {
                return
            }
            keptGeneration = generation
            canBeKept = service.acceptSuccessor(token)
            guard !canBeKept else { return }
            context.console.warning("this kernel cannot hand a mount over (Linux 6.9 can): it ends with this process")
        }
        keep(0)
        var isReady = false
        defer {
            try? manager?.send("STOPPING=1")
            if !isReady { service.giveBack() }
            service.end()
        }
        for event in [labels.event(context), event(.success, "serving \(service.path)", context)] {
            if let event { try context.record(event, by: recorder) }
        }
        Telemetry.write(Self.operation, .success, context)
        admitted.forgetEntries()
        if !hasNoStore { context.options = store }
        try? manager?.send("READY=1\nSTATUS=serving \(service.path)\nMAINPID=\(ProcessAttributes.processID)")
        guard !service.isInterrupted() else { throw CommandError(.failed, "interrupted before it served") }
        try announce(service.path, context)
        isReady = true
        let end = try service.serve(onGeneration: keep) { reload in
            switch reload {
            case .begins: try? manager?.sendReloading()
            case .succeeded: try? manager?.send("READY=1\nSTATUS=serving \(service.path)")
            case .failed: try? manager?.send("READY=1\nSTATUS=serving \(service.path): not reloaded")
            }
        }
        switch end {
        case .asked: context.outcome = "ended"
        case .timeOver: context.outcome = "its time was over"
        case .replaced: context.outcome = "another server has taken over"
        case .left:
            context.outcome = "left to the next server"
            // As a shell says it, so that a service manager starts the next one.
            context.exitStatus = 128 + SIGUSR2
            context.successStatus = context.exitStatus
        case .aborted:
            throw CommandError(
                .mount,
                "the kernel has ended the mount: a request was not answered in time, or somebody aborted it",
                hint: "mount again; a server that is stopped or starved for longer than 15 seconds loses its mount"
            )
        }
    }

    /// Tells whoever waits that the directory can be used.
    private func announce(_ path: String, _ context: CommandContext) throws {
        guard let readyFd else { return try context.console.output("\(path)\n") }
        let ready = OwnedDescriptor(owning: readyFd)
        if context.forwarder?.leaveStandardError() == true {
            context.console.warning("entries are forwarded to standard error no longer: see --foreground")
        }
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
        context.directoryAtStart = try AbsolutePath.workingDirectory()
        options.store = context.located(location.directory)
        options.manifest = location.manifest.map(context.located)
        options.state = location.state.map(context.located)
        return options
    }

    private func event(
        _ status: OperationEvent.Status,
        _ reason: String,
        _ context: CommandContext
    ) -> OperationEvent {
        OperationEvent(.mount, context.subjects, status: status, reason: reason, store: context.store)
    }
}

/// Process that goes on without its terminal (daemon(7)).
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
