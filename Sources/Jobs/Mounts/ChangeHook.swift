// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import ProcessControl
internal import SystemCalls
internal import SystemPackage

/// Process that runs a command whenever a mount shows another generation, which the server of the mount may not do (`ServingFilter`).
///
/// It holds no key. It looks at what the job sees, and ends with the server.
package final class ChangeHook {
    /// Reaction to another generation.
    package enum Action: Sendable, Equatable {
        /// A command for /bin/sh.
        case command(String)
        /// A signal to the job.
        case signal(Int32)
    }

    /// The first argument that makes credfs this process.
    package static let mode = "run-hooks"

    private static let pipeNumber: Int32 = 3
    /// Time that a command has.
    private static let patience = Duration.seconds(30)

    private var pipe: OwnedDescriptor?
    private let process: ChildProcess

    /// Starts it.
    ///
    /// - Parameters:
    ///   - command: a command for /bin/sh.
    ///   - environment: that of the command.
    ///   - job: the first process of the job whose namespaces it enters; nil for a mount that belongs to no job.
    ///   - isolation: the namespaces of the job.
    ///   - speaks: whether the output of the command goes to standard error, or nowhere.
    /// - Throws: class `failed`.
    init(
        _ command: String,
        environment: [String],
        job: Int32?,
        _ isolation: Isolation,
        speaks: Bool
    ) throws(MountError) {
        do throws(Errno) {
            let nothing = try OwnedDescriptor.open("/dev/null", O_RDWR)
            let pipe = try OwnedDescriptor.pipe()
            let output = speaks ? 2 : nothing.number
            process = try ChildProcess(
                OwnProgram.path,
                arguments: OwnProgram.arguments(Self.mode, [String(job ?? 0), isolation.rawValue, command]),
                environment: environment,
                descriptors: [
                    (0, nothing.number), (1, output), (2, output), (Self.pipeNumber, pipe.read.number),
                ]
            )
            try pipe.write.makeNonBlocking()
            self.pipe = pipe.ends { (_, write) in write }
        } catch { throw MountError(.failed, "cannot start the process of --on-change: \(error.message)") }
    }

    deinit {
        finish()
    }

    /// The id of the process.
    var id: Int32 { process.id }

    /// Lets the command run, once more where it runs already; never waits.
    func ring() {
        _ = pipe?.writeOnce([1])
    }

    /// Ends it, with a command that runs.
    func finish() {
        guard pipe != nil else { return }
        pipe = nil
        _ = try? process.wait()
    }

    /// The whole life of the process.
    ///
    /// - Returns: the exit status.
    package static func main(_ arguments: [String]) -> Int32 {
        guard arguments.count == 5, let job = Int32(arguments[2]), let isolation = Isolation(rawValue: arguments[3])
        else { return 1 }
        // Out of reach of the keys of the terminal, which are for the job.
        setsid()
        do throws(Errno) {
            if job > 0 && isolation != .none {
                try Namespaces.enter(of: job, users: isolation == .user)
                // With it a command of root could take away what covers the store.
                if isolation == .user { try ProcessAttributes.neverAdministrate() }
            }
            try OwnedDescriptor.changeWorkingDirectory(to: "/")
            let pipe = OwnedDescriptor(owning: pipeNumber)
            try pipe.closeOnExec()
            while try pipe.readFully(upTo: 1).count == 1 {
                repeat {} while try run(arguments[4], watching: pipe)
            }
            return 0
        } catch { return 1 }
    }

    /// Runs the command until it ends, its time is up or the server has gone.
    ///
    /// - Returns: whether something has changed again meanwhile.
    private static func run(_ command: String, watching pipe: borrowing OwnedDescriptor) throws(Errno) -> Bool {
        let child = try HookCommand(command, input: 0)
        let deadline = ContinuousClock.now + patience
        var hasChanged = false
        while try !child.hasEnded() {
            if try Readiness.wait(for: [pipe.number], timeout: .milliseconds(20)) == [true] {
                hasChanged = try pipe.readFully(upTo: 1).count == 1
                if !hasChanged {
                    child.kill()
                    return false
                }
            }
            if deadline <= .now {
                child.kill()
                return hasChanged
            }
        }
        return hasChanged
    }
}
