// SPDX-License-Identifier: Apache-2.0

internal import Foundation
internal import Glibc

/// A program that a test starts and whose end it waits for.
package enum ChildProcess {
    /// How a program ended and what it wrote.
    package struct Outcome: Sendable {
        /// How a program ended.
        package enum Status: Sendable, Equatable {
            case exited(Int32)
            case signal(Int32)
        }

        /// How it ended.
        package let status: Status
        /// What it wrote to descriptor 1.
        package let standardOutput: [UInt8]
        /// What it wrote to descriptor 2.
        package let standardError: [UInt8]

        /// Standard output as text.
        package var outputText: String { String(decoding: standardOutput, as: UTF8.self) }
        /// Standard error as text.
        package var errorText: String { String(decoding: standardError, as: UTF8.self) }
    }

    /// Why no outcome could be had.
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
    ///   - timeout: after which it is killed.
    /// - Returns: its outcome.
    /// - Throws: `Failure`, or the error of a file.
    package static func run(
        _ program: String,
        _ arguments: [String] = [],
        environment: [String: String] = [:],
        standardInput: [UInt8] = [],
        timeout: Duration = .seconds(60)
    ) async throws -> Outcome {
        // Files, not pipes: no writer ever waits for a reader.
        let directory = try TemporaryDirectory()
        try directory.write(standardInput, to: "input")
        let process = try start(program, arguments, environment: environment, in: directory)
        let deadline = ContinuousClock.now + timeout
        while true {
            var status: Int32 = 0
            if unsafe waitpid(process, &status, WNOHANG) == process {
                return Outcome(
                    status: status & 0x7f == 0 ? .exited(status >> 8 & 0xff) : .signal(status & 0x7f),
                    standardOutput: try directory.read("output"),
                    standardError: try directory.read("error")
                )
            }
            if ContinuousClock.now > deadline || Task.isCancelled {
                kill(process, SIGKILL)
                unsafe waitpid(process, &status, 0)
                throw Failure.timedOut(
                    program: program,
                    standardOutput: String(decoding: try directory.read("output"), as: UTF8.self),
                    standardError: String(decoding: try directory.read("error"), as: UTF8.self)
                )
            }
            try? await Task.sleep(for: .milliseconds(2))
        }
    }

    private static func start(
        _ program: String,
        _ arguments: [String],
        environment: [String: String],
        in directory: borrowing TemporaryDirectory
    ) throws -> pid_t {
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        unsafe posix_spawn_file_actions_addopen(&actions, 0, directory.path("input"), O_RDONLY, 0)
        unsafe posix_spawn_file_actions_addopen(&actions, 1, directory.path("output"), O_WRONLY | O_CREAT, 0o600)
        unsafe posix_spawn_file_actions_addopen(&actions, 2, directory.path("error"), O_WRONLY | O_CREAT, 0o600)

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
