// SPDX-License-Identifier: Apache-2.0

internal import ProcessControl
package import SecureMemory
internal import SystemCalls
internal import SystemPackage

/// The whole life of a job: its secrets are exposed, it runs, it ends, and nothing is left behind.
package final class JobRun {
    let content: Content
    let settings: Settings
    let runtime: RuntimeDirectory
    private let supervisor: Supervisor
    /// The identifier of the mount.
    package let id = RuntimeDirectory.newID()
    let recording: OpenRecording
    private let starting: () throws(MountError) -> Void
    private let report: (Message) -> Void
    private var events: MountEvents?
    private var hasStarted = false

    /// Prepares a run: from here on signals are collected, and what killed runs left is taken away.
    ///
    /// - Parameters:
    ///   - content: the secrets.
    ///   - settings: how they are shown.
    ///   - runtime: where.
    ///   - recording: begins to record opens.
    ///   - starting: called before the job gets its secrets, while its process mounts; nothing is started if it throws.
    ///   - report: says something to people.
    /// - Throws: class `failed`.
    package init(
        _ content: Content,
        _ settings: Settings,
        in runtime: RuntimeDirectory,
        recording: @escaping OpenRecording,
        starting: @escaping () throws(MountError) -> Void,
        report: @escaping (Message) -> Void
    ) throws(MountError) {
        self.content = content
        self.settings = settings
        self.runtime = runtime
        self.recording = recording
        self.starting = starting
        self.report = report
        do throws(Errno) {
            try ProcessAttributes.becomeSubreaper()
            supervisor = try Supervisor()
        } catch { throw MountError.system(.failed, "supervise a job", error) }
        Unmounting.clean(runtime)
    }

    /// Runs a job to its end, by the best isolation that can be had.
    ///
    /// - Parameters:
    ///   - program: what is run; its environment is made for the directory of secrets.
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
        var reason: String?
        for isolation in try isolations() {
            let exposure = exposure(isolation)
            var program = program
            program.environment = environment(exposure.path)
            do {
                return try run(program, secrets: &secrets, exposure, reasonForSharing: reason)
            } catch let interruption as Supervisor.Interruption {
                return Outcome(status: 128 + interruption.signal, isolation: isolation, refusal: nil)
            } catch let failure as Job.Failure {
                guard failure.step.concernsIsolation else {
                    throw Self.error(failure, program, valueByteCount: secrets.count)
                }
                reason = reason ?? failure.message
            }
        }
        throw MountError(.mount, reason ?? "there is no way to show secrets to a job")
    }

    /// Exposes the secrets, runs the job, and takes everything away.
    private func run(
        _ program: Job.Program,
        secrets: inout SecureBuffer,
        _ exposure: any Exposure,
        reasonForSharing: String?
    ) throws -> Outcome {
        defer { end(exposure) }
        try exposure.prepare()
        let job = try Job.start(program, secrets: secrets, plan(exposure), supervisor.maskForJob)
        secrets.wipe()
        // The job has been given its own: nothing of this process is dumped from here on, and what the caller opened for
        // the job is not open here, too.
        try? ProcessHardening.forbidCoreDumps()
        try? OwnedDescriptor.closeInherited()
        do {
            // The process of the job mounts meanwhile.
            let events = try MountEvents(description(exposure), settings.live, settings.store, in: runtime) {
                [settings] in
                if case .signal(let signal) = settings.live.onChange { try? Children.send(signal, to: job.process) }
            }
            self.events = events
            if !hasStarted { try starting() }
            hasStarted = true
            try job.waitForMounts(supervisor)
            if case .command(let command) = settings.live.onChange {
                events.follow(
                    with: try ChangeHook(
                        command,
                        environment: program.environment.compactMap { String(validating: $0, as: UTF8.self) },
                        job: job.process,
                        exposure.isolation,
                        speaks: true
                    )
                )
            }
            if exposure.backend.isWeak { report(.weakBackend(exposure.backend)) }
            try exposure.begin(for: job)
            let members = ProcessTreePolicy(supervisor: ProcessAttributes.processID)
            try events.begin(refusing: members, status: exposure.status, asking: exposure.served != nil)
        } catch {
            _ = job.kill()
            throw error
        }
        if let reasonForSharing, exposure.isolation == .none, content.snapshot != nil {
            report(.notPrivate(reason: reasonForSharing))
        }
        return try follow(job, program, exposure)
    }

    private func end(_ exposure: any Exposure) {
        // What cannot be taken away stays recorded, for the next command to try.
        let isGone = exposure.end()
        events?.end(leavingRecord: !isGone)
        events = nil
    }

    private func follow(_ job: Job, _ program: Job.Program, _ exposure: any Exposure) throws -> Outcome {
        switch job.exec(supervisor) {
        case .running: break
        case .refused(.argListTooLong):
            throw Self.error(Job.Failure(.start, .argListTooLong), program, valueByteCount: 0)
        case .refused(let errno):
            let isMissing = errno == .noSuchFileOrDirectory || errno == .notDirectory
            return Outcome(status: isMissing ? 127 : 126, isolation: exposure.isolation, refusal: errno.message)
        case .failed(let failure):
            throw Self.error(failure, program, valueByteCount: 0)
        }
        do throws(Errno) {
            let watched = Supervisor.Watched(
                endNotice: { exposure.endNotice },
                onEndOfServing: { self.report(.servingEnded) },
                numbers: { self.events?.numbers ?? [] },
                act: {
                    guard let events = self.events, !events.act(on: exposure.served) else { return }
                    self.end(exposure)
                    self.report(.timeOver)
                }
            )
            let exit = try supervisor.waitForEnd(of: job.process, watched)
            if settings.linger > .zero {
                let helpers = [exposure.helper, events?.helper ?? -1] + settings.helpers
                try supervisor.linger(settings.linger, besides: helpers, watched)
            }
            return Outcome(status: exit.shellStatus, isolation: exposure.isolation, refusal: nil)
        } catch { throw MountError.system(.failed, "wait for the job", error) }
    }

    /// What could not be started; of what is too much for the kernel, the largest part is named.
    private static func error(_ failure: Job.Failure, _ program: Job.Program, valueByteCount: Int) -> MountError {
        guard failure.errno == .argListTooLong else {
            if let hint = failure.hint { return MountError(.failed, failure.message, hint: hint) }
            return .system(.failed, failure.step.action, failure.errno)
        }
        func byteCount(_ texts: [[UInt8]]) -> Int { texts.reduce(0) { $0 + $1.count + 1 } }
        let parts = [
            (
                byteCount(program.environment),
                "use --file-vars=none, or show fewer secrets with --only: each has a variable"
            ),
            (valueByteCount, "name fewer values with --env: let the job read their files"),
            (byteCount(program.command), "give the program less in its arguments"),
        ]
        let largest = parts.max { $0.0 < $1.0 }
        return MountError(.failed, failure.message, hint: largest?.1)
    }
}
