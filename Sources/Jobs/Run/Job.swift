// SPDX-License-Identifier: Apache-2.0

internal import Glibc
package import ProcessControl
internal import SecureMemory
internal import SystemCalls
internal import SystemPackage

/// A job: the process that was started for it, before and after it has become the program.
package final class Job {
    /// Program to start, with all that it gets.
    package struct Program: Sendable {
        /// Its name and its arguments.
        package var command: [[UInt8]]
        /// Its environment, but for the values asked for.
        package var environment: [[UInt8]]
        /// PATH goes to the job; its program is found by it in any case.
        package var givesPath = true
        /// Core files of the job are left alone.
        package var allowsCore = false
        /// User that it runs as; nil for the one of credfs.
        package var user: JobUser?
        /// Signals and limits that credfs was started with.
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

    /// The mounts of a job: what its launcher makes before it becomes the program.
    struct MountPlan: Equatable {
        let isolation: Isolation
        let backend: Backend
        /// The directory that jobs cover, and the name below it.
        let jobs: String
        let name: String
        let options: FuseMount.Options
        /// Files and directories that the job shall not see.
        let maskedPaths: [String]
    }

    /// Failure of its mounts, or of a step after them.
    typealias Failure = StepFailure<JobLauncherStep>

    /// Result of exec.
    enum ExecResult {
        /// It runs, or has run.
        case running
        /// It could not be run.
        case refused(Errno)
        /// A step before it failed.
        case failed(Failure)
    }

    /// The id of its first process.
    let process: Int32
    private let socket: MessageSocket
    /// Descriptor from its launcher: a FUSE device, or a directory for plain files.
    private var device: OwnedDescriptor?

    private var isReaped = false

    private init(process: Int32, socket: consuming MessageSocket) {
        self.process = process
        self.socket = socket
    }

    /// Starts the process that will become the job, which begins to make the plan.
    ///
    /// - Parameters:
    ///   - program: what it will become.
    ///   - secrets: more of its environment, each entry ended by a zero byte.
    ///   - plan: its mounts.
    ///   - mask: the signals that it does not receive.
    /// - Returns: the job.
    /// - Throws: `Failure`.
    static func start(
        _ program: Program,
        secrets: borrowing SecureBuffer,
        _ plan: MountPlan,
        _ mask: SignalMask
    ) throws(Failure) -> Job {
        do throws(Errno) {
            return try spawn(program, secrets, plan, mask)
        } catch {
            throw Failure(.start, error)
        }
    }

    /// Waits until its process has made the plan, and takes what it sends.
    ///
    /// - Parameter supervisor: looks after signals meanwhile.
    /// - Throws: `Failure`, or `Supervisor.Interruption`.
    func waitForMounts(_ supervisor: borrowing Supervisor) throws {
        try supervisor.waitForAnswer(on: socket.descriptor.number, of: process, isExecuting: false)
        let message = try socket.receive()
        if message.descriptor >= 0 { device = OwnedDescriptor(owning: message.descriptor) }
        let answer = JobLauncherAnswer(message.bytes)
        if answer == .ready { return }
        let exit = kill()
        guard case .failed(let failure) = answer else {
            // A key of the terminal ends it before we have heard of the signal ourselves.
            if case .signal(let signal) = exit { throw Supervisor.Interruption(signal: signal) }
            throw Failure(.start, .interrupted)
        }
        throw failure
    }

    private static func spawn(
        _ program: Program,
        _ secrets: borrowing SecureBuffer,
        _ plan: MountPlan,
        _ mask: SignalMask
    ) throws(Errno) -> Job {
        // One that has no name any more, or may not be asked for it, is kept as it is.
        let workingDirectory = plan.isolation == .none ? "" : (try? OwnedDescriptor.workingDirectory()) ?? ""
        // A fork has no memory for secrets, and the thread that forks alone. Locks of others would stay locked in it.
        let isForked = secrets.count == 0 && ProcessTree.hasOneThread
        return try MessageSocket.pair { (ours, theirs) throws(Errno) in
            let request = JobLauncherRequest(
                socket: theirs.descriptor.number,
                parent: ProcessAttributes.processID,
                plan: plan,
                allowsCore: program.allowsCore,
                inherited: program.inherited,
                givesPath: program.givesPath,
                workingDirectory: workingDirectory,
                user: program.user
            )
            if isForked {
                let child = try ChildProcess(forking: mask) {
                    JobLauncher.launch(request, program.command, environment: program.environment)
                }
                return Job(process: child.id, socket: ours)
            }
            let arguments = OwnProgram.arguments(JobLauncher.mode, request.arguments)
            let number = theirs.descriptor.number
            let child = try secrets.withBytes { (secrets) throws(Errno) in
                try ChildProcess(
                    OwnProgram.path,
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

    /// Takes the descriptor that its launcher sent: a FUSE device, or a directory for plain files.
    ///
    /// - Throws: class `mount` where there is none, or it was taken.
    func takeDevice() throws(MountError) -> OwnedDescriptor {
        guard let device = device.take() else { throw MountError(.mount, "nothing was mounted") }
        return device
    }

    /// Tells the launcher to run the program.
    ///
    /// - Parameter supervisor: looks after signals meanwhile.
    /// - Returns: the result; the process of a program that could not be run has ended.
    func exec(_ supervisor: borrowing Supervisor) -> ExecResult {
        do {
            try socket.send(JobLauncher.go)
            try supervisor.waitForAnswer(on: socket.descriptor.number, of: process, isExecuting: true)
            let message = try socket.receive()
            // Its end of the socket ends with exec.
            guard let answer = JobLauncherAnswer(message.bytes), case .failed(let failure) = answer else {
                return .running
            }
            _ = kill()
            return failure.step == .program ? .refused(failure.errno) : .failed(failure)
        } catch {
            // It ended before it could be let go; how, its exit will say.
            return .running
        }
    }

    /// Ends a process that has not become its program, unless it has ended.
    ///
    /// - Returns: how it ended.
    func kill() -> ChildProcess.Exit? {
        // Its number may be another's once it was waited for.
        guard !isReaped else { return nil }
        isReaped = true
        try? Children.send(SIGKILL, to: process)
        return try? Children.exit(of: process)
    }
}
