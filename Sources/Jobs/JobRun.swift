// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import ProcessHardening
package import SecretFileSystem
package import SecretStore
package import SecureMemory
package import SystemCalls
internal import SystemPackage

/// The whole life of a job: a place for its secrets, its process, its end, nothing left behind.
package final class JobRun {
    /// What is shown to the job.
    package struct Content: Sendable {
        /// The secrets as they are served; nil where there are none to show.
        package var snapshot: Snapshot?
        /// The same as entries, for backends that write files.
        package var entries: [SecretEntry] = []
        /// What opens them.
        package var keys: StoreKeys?
        /// The store they are from.
        package var store: StoreID?
        /// Whether they are there.
        package var auth: AuthMode

        /// Makes a content.
        package init(auth: AuthMode) {
            self.auth = auth
        }
    }

    /// How it is shown.
    package struct Settings: Sendable {
        /// What shows the secrets.
        package var backend = Backend.fuse
        /// Whether others are to see the mount.
        package var isShared = false
        /// Whom it is for.
        package var rules: MountRules
        /// What the job shall not see.
        package var covered: [String] = []
        /// How long processes that outlive the first one keep their secrets.
        package var linger = Duration.zero

        /// Makes the usual settings.
        package init(rules: MountRules) {
            self.rules = rules
        }
    }

    /// What is to be said to people.
    package enum Message: Sendable {
        /// No private namespace can be had.
        case notPrivate(reason: String)
        /// The secrets are not served any more, though the job runs.
        case servingEnded
        /// The job is about to be let go.
        case started
        /// The backend is one of the weaker ones.
        case weakBackend(Backend)
    }

    /// How a job ended.
    package struct Outcome: Sendable, Equatable {
        /// The exit status, with 128+n for a signal, 126 and 127 for a program that could not be run.
        package let status: Int32
        /// How it was kept apart.
        package let isolation: Isolation
        /// Why its program could not be run.
        package let refusal: String?
    }

    private let content: Content
    private let settings: Settings
    private let runtime: RuntimeDirectory
    private let supervision: Supervision
    /// The identifier of the mount.
    package let id = RuntimeDirectory.newID()
    private let report: (Message) -> Void
    private let recording: OpenRecording
    private var served: ServedMount?
    private var files: PlainFiles?
    private var keeper: Keeper.Handle?
    private var record: LiveRecord?

    /// Prepares a run: from here on signals are collected, and what killed ones left is taken away.
    ///
    /// - Parameters:
    ///   - content: what is shown.
    ///   - settings: how.
    ///   - runtime: where.
    ///   - recording: begins to record opens.
    ///   - report: says something to people.
    /// - Throws: class `failed`.
    package init(
        _ content: Content,
        _ settings: Settings,
        in runtime: RuntimeDirectory,
        recording: @escaping OpenRecording,
        report: @escaping (Message) -> Void
    ) throws(MountError) {
        self.recording = recording
        self.content = content
        self.settings = settings
        self.runtime = runtime
        self.report = report
        do throws(Errno) {
            try ProcessAttributes.adoptOrphans()
            supervision = try Supervision()
        } catch { throw MountError(.failed, "cannot supervise a job: \(error.message)") }
        Unmounting.clean(runtime)
    }

    /// Runs a job to its end.
    ///
    /// - Parameters:
    ///   - program: what is run; its environment is made for the place.
    ///   - secrets: values that somebody asked to have in the environment, each entry ended by a zero byte; wiped once
    ///     the job has them.
    ///   - environment: the environment for a directory of secrets.
    /// - Returns: how it ended.
    /// - Throws: `MountError`; then no program was run.
    package func perform(
        _ program: Job.Program,
        secrets: inout SecureBuffer,
        environment: (String) -> [[UInt8]]
    ) throws -> Outcome {
        var refusals: [Job.Refusal] = []
        for isolation in try candidates() {
            let reason = refusals.first.map { "cannot \($0.action): \($0.errno.message)" }
            do {
                return try perform(program, secrets: &secrets, environment, isolation, reason)
            } catch let interruption as Supervision.Interruption {
                return Outcome(status: 128 + interruption.signal, isolation: isolation, refusal: nil)
            } catch let refusal as Job.Refusal {
                guard refusal.concernsIsolation else {
                    let isTooLong = refusal.errno == .argListTooLong
                    throw MountError(
                        .failed,
                        "cannot \(refusal.action): \(refusal.errno.message)",
                        hint: isTooLong
                            ? "use --file-vars=none, or show fewer secrets with --only: each has a variable" : nil
                    )
                }
                refusals.append(refusal)
            }
        }
        let reasons = refusals.map { "cannot \($0.action): \($0.errno.message)" }
        throw MountError(.mount, reasons.first ?? "there is no way to show secrets to a job")
    }

    /// The ways to keep a job apart, best first.
    private func candidates() throws(MountError) -> [Isolation] {
        let showsFiles = [.ramfs, .tmpfs].contains(settings.backend) && content.snapshot != nil
        if settings.isShared || settings.backend == .shm {
            guard !showsFiles else {
                throw MountError(.usage, "the backend \(settings.backend.rawValue) needs a private namespace")
            }
            return [.none]
        }
        // A job that gets no secrets is not to see the key either.
        let own: [Isolation] = ProcessAttributes.mayAdministrate() ? [.mount, .user] : [.user]
        // Whoever else could see such files could read them.
        return showsFiles ? own : own + [.none]
    }

    private func perform(
        _ program: Job.Program,
        secrets: inout SecureBuffer,
        _ environment: (String) -> [[UInt8]],
        _ isolation: Isolation,
        _ reasonForSharing: String?
    ) throws -> Outcome {
        let maximum = ServedMount.maximumReadByteCount()
        let backend = content.snapshot == nil ? Backend.none : settings.backend
        let directory = path(isolation, backend)
        var program = program
        program.environment = environment(directory)
        let place = Job.Place(
            isolation: isolation,
            backend: backend,
            jobs: runtime.jobs,
            name: id,
            options: settings.rules.options(maximumReadByteCount: maximum),
            covered: isolation == .none ? [] : settings.covered
        )
        if isolation == .none { try makeSharedDirectory(directory, backend) }
        var started = false
        defer { if !started { tearDown(isolation, backend, directory) } }
        let hatch = DescriptorHatch()
        let job = try Job.start(program, secrets: secrets, at: place, supervision: supervision) { descriptor in
            hatch.put(descriptor)
        }
        secrets.wipe()
        // The job has been given its own: nothing of ours is dumped from here on, and what the caller opened for the job
        // is not open here, too.
        try? ProcessHardening.forbidCoreDumps()
        try? OwnedDescriptor.closeInherited()
        do {
            // Before there is something to find, so that it is found whenever we are killed.
            record = try LiveRecord(description(isolation, backend, directory), in: runtime)
            try show(hatch, to: job, isolation, backend, directory, maximum)
        } catch {
            _ = job.giveUp()
            throw error
        }
        started = true
        if let reasonForSharing, isolation == .none, content.snapshot != nil {
            report(.notPrivate(reason: reasonForSharing))
        }
        defer { tearDown(isolation, backend, directory) }
        return try follow(job, isolation)
    }

    /// Where the secrets are.
    private func path(_ isolation: Isolation, _ backend: Backend) -> String {
        if backend == .shm { return "\(PlainFiles.shared)/\(PlainFiles.sharedName(id))" }
        return isolation == .none ? "\(runtime.path)/\(id)" : "\(runtime.jobs)/\(id)"
    }

    private func makeSharedDirectory(_ path: String, _ backend: Backend) throws(MountError) {
        if backend == .shm {
            try MountError.wrapping(.mount, "make \(path)") { () throws(Errno) in
                let parent = try OwnedDescriptor.open(PlainFiles.shared, O_RDONLY | O_DIRECTORY)
                try parent.makeDirectory(PlainFiles.sharedName(id), mode: 0o700)
            }
        } else {
            try runtime.makeDirectory(id, mode: backend == .none ? 0o500 : 0o700)
        }
    }

    /// Makes the secrets readable.
    private func show(
        _ hatch: DescriptorHatch,
        to job: Job,
        _ isolation: Isolation,
        _ backend: Backend,
        _ directory: String,
        _ maximum: Int
    ) throws {
        guard let snapshot = content.snapshot else { return try giveUpRights(job) }
        switch backend {
        case .none: break
        case .fuse:
            if isolation == .none { hatch.put(try mountShared(directory, maximum)) }
            try giveUpRights(job)
            let rules = SecretFileSystem(
                snapshot,
                ownership: settings.rules.ownership,
                decision: settings.rules.decision(supervisor: ProcessAttributes.processID)
            )
            let device = try hatch.take()
            served = try ServedMount(device, rules: rules, maximumReadByteCount: maximum, audit: try recording(id))
        case .ramfs, .tmpfs, .shm:
            report(.weakBackend(backend))
            try giveUpRights(job)
            if backend == .shm {
                hatch.put(
                    try MountError.wrapping(.mount, "open \(directory)") { () throws(Errno) in
                        try OwnedDescriptor.open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
                    }
                )
            }
            let files = try PlainFiles(in: try hatch.take())
            self.files = files
            if let keys = content.keys {
                try files.write(content.entries, keys, settings.rules.ownership)
            }
        }
    }

    private func mountShared(_ directory: String, _ maximum: Int) throws(MountError) -> OwnedDescriptor {
        // Before the mount, so that it is taken away whenever we are killed.
        keeper = try Keeper.start(for: directory)
        return try SharedMount.mount(at: directory, settings.rules.options(maximumReadByteCount: maximum))
    }

    /// From here on this process only serves.
    private func giveUpRights(_ job: Job) throws(MountError) {
        try MountError.wrapping(.failed, "give up rights") { () throws(Errno) in
            try ServingFilter.install(signalling: job.process)
        }
    }

    private func follow(_ job: Job, _ isolation: Isolation) throws -> Outcome {
        report(.started)
        switch job.letGo(supervision) {
        case .running: break
        case .refused(let errno):
            let isMissing = errno == .noSuchFileOrDirectory || errno == .notDirectory
            return Outcome(status: isMissing ? 127 : 126, isolation: isolation, refusal: errno.message)
        case .failed(let action, let errno):
            throw MountError(.failed, "cannot \(action): \(errno.message)")
        }
        do throws(Errno) {
            let exit = try supervision.waitForEnd(of: job.process, endNotice: served?.endNotice ?? -1) {
                report(.servingEnded)
            }
            if settings.linger > .zero { try supervision.linger(settings.linger, besides: keeper?.id ?? -1) }
            return Outcome(status: exit.shellStatus, isolation: isolation, refusal: nil)
        } catch { throw MountError(.failed, "cannot wait for the job: \(error.message)") }
    }

    /// Refuse, forget, detach, wipe.
    private func tearDown(_ isolation: Isolation, _ backend: Backend, _ directory: String) {
        let isMounted = isolation == .none && backend == .fuse
        if let served {
            served.end { if isMounted { SharedMount.end(directory, keeper) } }
        } else if isMounted {
            SharedMount.end(directory, keeper)
        }
        served = nil
        keeper = nil
        // What cannot be taken away stays recorded, for the next command to try.
        if isMounted && MountTable.has(directory) { record?.leave() }
        files?.remove()
        files = nil
        if backend == .shm {
            if let parent = try? OwnedDescriptor.open(PlainFiles.shared, O_RDONLY | O_DIRECTORY) {
                try? parent.removeDirectory(PlainFiles.sharedName(id))
            }
        } else if isolation == .none {
            runtime.removeDirectory(id)
        }
        record = nil
    }

    private func description(_ isolation: Isolation, _ backend: Backend, _ directory: String) -> LiveMount {
        LiveMount(
            id: id,
            kind: .run,
            path: directory,
            pid: ProcessAttributes.processID,
            store: content.store,
            generation: content.snapshot?.generation ?? 0,
            auth: content.auth,
            isolation: isolation,
            backend: backend
        )
    }
}

/// Where a descriptor waits between the function that brings it and the one that needs it.
private final class DescriptorHatch {
    private var number: Int32 = -1

    func put(_ descriptor: consuming OwnedDescriptor) {
        close()
        number = descriptor.release()
    }

    func take() throws(MountError) -> OwnedDescriptor {
        guard number >= 0 else { throw MountError(.mount, "nothing was mounted") }
        defer { number = -1 }
        return OwnedDescriptor(owning: number)
    }

    private func close() {
        if number >= 0 { _ = OwnedDescriptor(owning: number) }
        number = -1
    }

    deinit { close() }
}

extension ChildProcess.Exit {
    /// The status as a shell has it: 128+n for a signal.
    package var shellStatus: Int32 {
        switch self {
        case .status(let status): status
        case .signal(let signal): 128 + signal
        }
    }
}
