// SPDX-License-Identifier: Apache-2.0

internal import Glibc
package import ProcessHardening
package import SecureMemory
package import SystemCalls
package import SystemPackage

/// A job: the process that was started for it, before and after it has become the program.
package final class Job {
    /// What is started.
    package struct Program: Sendable {
        /// Its name and its arguments.
        package var command: [[UInt8]]
        /// Its environment, but for the values asked for.
        package var environment: [[UInt8]]
        /// Whether it gets PATH, by which its name is found in any case.
        package var givesPath = true
        /// Whether its core files are left alone.
        package var allowsCore = false
        /// What credfs was started with.
        package var inherited: ProcessHardening.Inherited

        /// Makes a program.
        package init(
            command: [[UInt8]],
            environment: [[UInt8]],
            inherited: ProcessHardening.Inherited
        ) {
            self.command = command
            self.environment = environment
            self.inherited = inherited
        }
    }

    /// Where it is to see its secrets.
    package struct Place: Sendable {
        /// How it is kept apart.
        package var isolation: Isolation
        /// What shows the secrets.
        package var backend: Backend
        /// The directory that jobs cover, and the name below it.
        package var jobs: String
        package var name: String
        /// What the kernel is told of the mount.
        package var options: FuseMount.Options
        /// What the job shall not see.
        package var covered: [String]

        /// Makes a place.
        package init(
            isolation: Isolation,
            backend: Backend,
            jobs: String,
            name: String,
            options: FuseMount.Options,
            covered: [String]
        ) {
            self.isolation = isolation
            self.backend = backend
            self.jobs = jobs
            self.name = name
            self.options = options
            self.covered = covered
        }
    }

    /// Why a place could not be made.
    package struct Refusal: Error, Sendable, Equatable {
        /// What was being done.
        package let action: String
        /// The error number.
        package let errno: Errno
        /// Whether another isolation may help.
        package let concernsIsolation: Bool
    }

    /// How the program began.
    package enum Beginning: Sendable, Equatable {
        /// It runs, or has run.
        case running
        /// It could not be run.
        case refused(Errno)
        /// Something before it failed.
        case failed(action: String, Errno)
    }

    /// The id of its first process.
    package let process: Int32
    private let socket: MessageSocket

    private init(process: Int32, socket: consuming MessageSocket) {
        self.process = process
        self.socket = socket
    }

    /// Starts the process that will become the job, which makes the place.
    ///
    /// - Parameters:
    ///   - program: what it will become.
    ///   - secrets: more of its environment, each entry ended by a zero byte.
    ///   - place: where the secrets will be.
    ///   - supervision: what looks after signals meanwhile.
    ///   - take: gets the device, or the directory to be written to.
    /// - Returns: the job.
    /// - Throws: `Refusal`, or `Supervision.Interruption`.
    package static func start(
        _ program: Program,
        secrets: borrowing SecureBuffer,
        at place: Place,
        supervision: borrowing Supervision,
        _ take: (consuming OwnedDescriptor) -> Void
    ) throws -> Job {
        let job: Job
        do throws(Errno) {
            job = try spawn(program, secrets, place, supervision.maskForJob)
        } catch {
            throw Refusal(action: "start the job", errno: error, concernsIsolation: false)
        }
        let answer: JobEntranceAnswer?
        do {
            try supervision.waitForAnswer(on: job.socket.descriptor.number, of: job.process, isLetGo: false)
            let message = try job.socket.receive()
            if message.descriptor >= 0 { take(OwnedDescriptor(owning: message.descriptor)) }
            answer = JobEntranceAnswer(message.bytes)
        } catch {
            _ = job.giveUp()
            throw error
        }
        if answer == .ready { return job }
        let exit = job.giveUp()
        guard case .failed(let step, let number) = answer else {
            // A key of the terminal ends it before we have heard of the signal ourselves.
            if case .signal(let signal) = exit { throw Supervision.Interruption(signal: signal) }
            throw Refusal(action: "start the job", errno: .interrupted, concernsIsolation: false)
        }
        throw Refusal(
            action: step.action,
            errno: Errno(rawValue: number),
            concernsIsolation: [.namespace, .memory, .device, .mount].contains(step)
        )
    }

    private static func spawn(
        _ program: Program,
        _ secrets: borrowing SecureBuffer,
        _ place: Place,
        _ mask: SignalMask
    ) throws(Errno) -> Job {
        // One that has no name any more, or may not be asked for it, is kept as it is.
        let workingDirectory = place.isolation == .none ? "" : (try? OwnedDescriptor.workingDirectory()) ?? ""
        return try MessageSocket.pair { (ours, theirs) throws(Errno) in
            let request = JobEntranceRequest(
                socket: theirs.descriptor.number,
                parent: ProcessAttributes.processID,
                isolation: place.isolation,
                backend: place.backend,
                jobs: place.jobs,
                name: place.name,
                maximumReadByteCount: place.options.maximumReadByteCount,
                user: place.options.user,
                group: place.options.group,
                allowsOther: place.options.allowOther,
                allowsCore: program.allowsCore,
                inherited: program.inherited,
                givesPath: program.givesPath,
                workingDirectory: workingDirectory,
                covered: place.covered
            )
            let arguments = ["credfs", JobEntrance.mode] + request.arguments
            let number = theirs.descriptor.number
            let child = try secrets.withBytes { (secrets) throws(Errno) in
                try ChildProcess(
                    "/proc/self/exe",
                    arguments: arguments.map { Array($0.utf8) } + program.command,
                    environment: program.environment,
                    secrets: secrets,
                    handing: [number],
                    mask: mask
                )
            }
            return Job(process: child.id, socket: ours)
        }
    }

    /// Lets the process become its program.
    ///
    /// - Parameter supervision: what looks after signals meanwhile.
    /// - Returns: what became of that; the process of a program that could not be run has ended.
    package func letGo(_ supervision: borrowing Supervision) -> Beginning {
        do {
            try socket.send(JobEntrance.go)
            try supervision.waitForAnswer(on: socket.descriptor.number, of: process, isLetGo: true)
            let message = try socket.receive()
            // Its end of the socket ends with exec.
            guard let answer = JobEntranceAnswer(message.bytes), case .failed(let step, let number) = answer else {
                return .running
            }
            _ = giveUp()
            return step == .program
                ? .refused(Errno(rawValue: number)) : .failed(action: step.action, Errno(rawValue: number))
        } catch {
            // It ended before it could be let go; how, its exit will say.
            return .running
        }
    }

    /// Ends a process that has not become its program, unless it has ended.
    ///
    /// - Returns: how it ended.
    package func giveUp() -> ChildProcess.Exit? {
        try? Children.send(SIGKILL, to: process)
        return try? Children.exit(of: process)
    }
}
