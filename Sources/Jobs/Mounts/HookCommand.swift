// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import SystemCalls
internal import SystemPackage

/// Command of a hook: `/bin/sh -c` in a process group of its own, which ends with all that it started.
struct HookCommand: ~Copyable {
    private let child: ChildProcess

    /// Starts it, with the output of this process.
    ///
    /// - Parameters:
    ///   - command: what the shell takes.
    ///   - input: its standard input.
    /// - Throws: the error of posix_spawn(3).
    init(_ command: String, input: Int32) throws(Errno) {
        child = try ChildProcess(
            "/bin/sh",
            arguments: ["sh", "-c", command],
            environment: EnvironmentVariables.entries { _ in false },
            descriptors: [(0, input), (1, 1), (2, 2)],
            inOwnGroup: true
        )
    }

    /// Decides whether the shell has ended, and reaps it.
    func hasEnded() throws(Errno) -> Bool { try child.exitIfEnded() != nil }

    /// Kills the group.
    func kill() {
        try? Children.send(SIGKILL, to: -child.id)
        child.kill()
        _ = try? child.wait()
    }
}
