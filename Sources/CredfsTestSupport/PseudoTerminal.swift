// SPDX-License-Identifier: Apache-2.0

internal import CTestCalls
internal import Glibc

/// A terminal without a person: a program sees it as its controlling terminal, a test types and reads.
package final class PseudoTerminal {
    /// Failure of a wait.
    package enum Failure: Error {
        case unavailable(errno: Int32)
        case notShown(text: String, transcript: String)
        case stillRunning(transcript: String)
    }

    private var controller: Int32
    private let path: String
    private var process: Int32?
    private var bytes: [UInt8] = []
    private var position = 0

    /// Everything that was shown so far, with the line ends of a terminal.
    package var transcript: String { String(decoding: bytes, as: UTF8.self) }

    /// Opens a new terminal.
    package init() throws(Failure) {
        controller = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK)
        guard controller >= 0, grantpt(controller) == 0, unlockpt(controller) == 0,
            let name = unsafe ptsname(controller)
        else { throw Failure.unavailable(errno: errno) }
        path = unsafe String(cString: name)
    }

    deinit {
        if let process { ChildProcess.killAndReap(process) }
        hangUp()
    }

    /// Starts a program in a session of its own, with this terminal as its descriptors 0 to 2.
    package func start(_ program: String, _ arguments: [String], environment: [String: String]) throws {
        // setsid(1), since a spawned process cannot take a terminal by itself.
        process = try unsafe ChildProcess.spawn(
            "/usr/bin/setsid",
            ["--ctty", program] + arguments,
            environment: environment
        ) { actions in
            unsafe posix_spawn_file_actions_addopen(&actions, 0, path, O_RDWR | O_NOCTTY, 0)
            unsafe posix_spawn_file_actions_adddup2(&actions, 0, 1)
            unsafe posix_spawn_file_actions_adddup2(&actions, 0, 2)
        }
    }

    /// Waits until a text is shown after the last one that was waited for.
    package func expect(_ text: String, within timeout: Duration = .seconds(300)) async throws {
        let deadline = ContinuousClock.now + timeout
        let wanted = Array(text.utf8)
        while true {
            collect()
            if let end = bytes[position...].firstRange(of: wanted)?.upperBound {
                position = end
                return
            }
            guard ContinuousClock.now < deadline else { throw Failure.notShown(text: text, transcript: transcript) }
            try? await Task.sleep(for: .milliseconds(2))
        }
    }

    /// Types keys.
    package func type(_ text: String) {
        let keys = Array(text.utf8)
        let count = unsafe write(controller, keys, keys.count)
        precondition(count == keys.count, "a terminal takes what a person can type")
    }

    /// Typed keys are shown.
    package var isEchoing: Bool {
        var settings = termios()
        precondition(unsafe tcgetattr(controller, &settings) == 0, "the terminal is open")
        return settings.c_lflag & tcflag_t(ECHO) != 0
    }

    /// Takes the terminal away from whoever uses it.
    package func hangUp() {
        if controller >= 0 { close(controller) }
        controller = -1
    }

    /// Sends a signal to the program.
    package func send(_ signal: Int32) {
        if let process { kill(process, signal) }
    }

    /// Waits for the end of the program.
    ///
    /// - Returns: how it ended.
    /// - Throws: `Failure.stillRunning`; it was killed then.
    package func end(within timeout: Duration = .seconds(300)) async throws -> ChildProcess.Outcome.Status {
        guard let process else { throw Failure.stillRunning(transcript: transcript) }
        let status = await ChildProcess.end(of: process, within: timeout)
        self.process = nil
        collect()
        guard let status else { throw Failure.stillRunning(transcript: transcript) }
        return status
    }

    private func collect() {
        var piece = [UInt8](repeating: 0, count: 4096)
        while controller >= 0 {
            let count = unsafe read(controller, &piece, piece.count)
            guard count > 0 else { return }
            bytes += piece.prefix(count)
        }
    }
}
