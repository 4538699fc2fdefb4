// SPDX-License-Identifier: Apache-2.0

internal import Foundation
internal import Glibc

/// A program that a test starts and whose end it waits for.
package enum ChildProcess {
    /// Outcome of a program and its output.
    package struct Outcome: Sendable {
        /// Exit of a program.
        package enum Status: Sendable, Equatable {
            case exited(Int32)
            case signal(Int32)
        }

        /// Exit.
        package let status: Status
        /// Bytes of descriptor 1.
        package let standardOutput: [UInt8]
        /// Bytes of descriptor 2.
        package let standardError: [UInt8]

        /// Standard output as text.
        package var outputText: String { String(decoding: standardOutput, as: UTF8.self) }
        /// Standard error as text.
        package var errorText: String { String(decoding: standardError, as: UTF8.self) }
    }

    /// Failure to get an outcome.
    package enum Failure: Error {
        case notStarted(program: String, errno: Int32)
        /// The program was still running and has been killed.
        case timedOut(program: String, standardOutput: String, standardError: String)
    }

    /// Runs a program to its end.
    ///
    /// The environment is PATH and what is given: nothing of the machine's configuration reaches the program. Signals
    /// have their default actions and none is blocked.
    ///
    /// - Parameters:
    ///   - program: its path.
    ///   - arguments: what follows argument 0.
    ///   - environment: variables beside PATH.
    ///   - standardInput: what it can read from descriptor 0.
    ///   - timeout: after which it is killed; far more than a busy machine needs.
    /// - Returns: its outcome.
    /// - Throws: `Failure`, or the error of a file.
    package static func run(
        _ program: String,
        _ arguments: [String] = [],
        environment: [String: String] = [:],
        standardInput: [UInt8] = [],
        timeout: Duration = .seconds(300)
    ) async throws -> Outcome {
        try await Turnstile.ofProcesses.pass {
            try await Running(program, arguments, environment: environment, input: .bytes(standardInput))
                .end(within: timeout)
        }
    }

    /// Descriptor 0 of a program.
    package enum Input: Sendable {
        /// A file that holds these bytes.
        case bytes([UInt8])
        /// An open descriptor of the test.
        case descriptor(Int32)
    }

    /// A started program; it is killed if nobody waited for its end.
    package final class Running {
        /// Its process.
        package let id: Int32
        private let program: String
        // Files, not pipes: no writer ever waits for a reader.
        private let directory: TemporaryDirectory
        private var hasEnded = false

        /// Starts a program as `run` does.
        ///
        /// - Parameters:
        ///   - program: its path.
        ///   - arguments: what follows argument 0.
        ///   - environment: variables beside PATH.
        ///   - input: its descriptor 0.
        ///   - output: an open descriptor of the test that becomes its descriptor 1, instead of a file.
        /// - Throws: `Failure`, or the error of a file.
        package init(
            _ program: String,
            _ arguments: [String] = [],
            environment: [String: String] = [:],
            input: Input = .bytes([]),
            output: Int32? = nil
        ) throws {
            directory = try TemporaryDirectory()
            self.program = program
            if case .bytes(let bytes) = input { try directory.write(bytes, to: "input") }
            try directory.write([], to: "output")
            try directory.write([], to: "error")
            let (inputPath, outputPath, errorPath) =
                (directory.path("input"), directory.path("output"), directory.path("error"))
            id = try unsafe ChildProcess.spawn(program, arguments, environment: environment) { actions in
                if case .descriptor(let number) = input {
                    unsafe posix_spawn_file_actions_adddup2(&actions, number, 0)
                } else {
                    unsafe posix_spawn_file_actions_addopen(&actions, 0, inputPath, O_RDONLY, 0)
                }
                if let output {
                    unsafe posix_spawn_file_actions_adddup2(&actions, output, 1)
                } else {
                    unsafe posix_spawn_file_actions_addopen(&actions, 1, outputPath, O_WRONLY, 0)
                }
                unsafe posix_spawn_file_actions_addopen(&actions, 2, errorPath, O_WRONLY, 0)
            }
        }

        deinit {
            if !hasEnded { ChildProcess.killAndReap(id) }
        }

        /// Waits for the end.
        ///
        /// - Parameter timeout: after which it is killed.
        /// - Returns: its outcome.
        /// - Throws: `Failure.timedOut`, or the error of a file.
        package func end(within timeout: Duration = .seconds(300)) async throws -> Outcome {
            let status = await ChildProcess.end(of: id, within: timeout)
            hasEnded = true
            guard let status else {
                throw Failure.timedOut(
                    program: program,
                    standardOutput: String(decoding: try directory.read("output"), as: UTF8.self),
                    standardError: String(decoding: try directory.read("error"), as: UTF8.self)
                )
            }
            return Outcome(
                status: status,
                standardOutput: try directory.read("output"),
                standardError: try directory.read("error")
            )
        }
    }

    /// Waits for the end of a process, or kills it.
    ///
    /// - Returns: nil if it was killed here.
    static func end(of process: Int32, within timeout: Duration) async -> Outcome.Status? {
        let deadline = ContinuousClock.now + timeout
        while true {
            var status: Int32 = 0
            if unsafe waitpid(process, &status, WNOHANG) == process {
                return status & 0x7f == 0 ? .exited(status >> 8 & 0xff) : .signal(status & 0x7f)
            }
            if ContinuousClock.now > deadline || Task.isCancelled {
                killAndReap(process)
                return nil
            }
            try? await Task.sleep(for: .milliseconds(2))
        }
    }

    static func killAndReap(_ process: Int32) {
        kill(process, SIGKILL)
        while waitpid(process, nil, 0) == -1 && errno == EINTR {}
    }

    /// Starts a program with the descriptors that the actions give it.
    static func spawn(
        _ program: String,
        _ arguments: [String],
        environment: [String: String],
        _ prepare: (inout posix_spawn_file_actions_t) -> Void
    ) throws -> pid_t {
        ChildGate.register()
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        unsafe prepare(&actions)

        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        var everySignal = sigset_t()
        unsafe sigfillset(&everySignal)
        unsafe posix_spawnattr_setsigdefault(&attributes, &everySignal)
        var noSignal = sigset_t()
        unsafe sigemptyset(&noSignal)
        unsafe posix_spawnattr_setsigmask(&attributes, &noSignal)
        unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK))

        var variables = environment
        let inherited = ProcessInfo.processInfo.environment
        // The second one lets a program built for coverage add its counts.
        for name in ["PATH", "LLVM_PROFILE_FILE"] where variables[name] == nil { variables[name] = inherited[name] }

        let argumentList = unsafe cStrings([program] + arguments)
        let variableList = unsafe cStrings(variables.map { "\($0)=\($1)" })
        defer {
            unsafe free(argumentList)
            unsafe free(variableList)
        }
        var process: pid_t = 0
        let result = unsafe posix_spawn(&process, program, &actions, &attributes, argumentList, variableList)
        guard result == 0 else { throw Failure.notStarted(program: program, errno: result) }
        return process
    }

    /// Copies for C, ended by nil.
    private static func cStrings(_ texts: [String]) -> [UnsafeMutablePointer<CChar>?] {
        unsafe texts.map { unsafe strdup($0) } + [nil]
    }

    private static func free(_ texts: [UnsafeMutablePointer<CChar>?]) {
        for index in unsafe texts.indices { unsafe Glibc.free(texts[index]) }
    }
}
