// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import SystemCalls
internal import SystemPackage

/// Command of a hook: `/bin/sh -c` in a process group of its own, which is killed with all that it started.
///
/// The process that runs it has no other children than those of commands, and is their subreaper.
struct HookCommand: ~Copyable {
    private let child: ChildProcess
    /// What commands of before have left running.
    private let elders: Set<Int32>

    /// Starts it, with the output of this process.
    ///
    /// - Parameters:
    ///   - command: what the shell takes.
    ///   - input: its standard input.
    /// - Throws: the error of posix_spawn(3).
    init(_ command: String, input: Int32) throws(Errno) {
        try ProcessAttributes.becomeSubreaper()
        while case .change = try Children.poll() {}
        let before = Set(Children.ids())
        child = try ChildProcess(
            "/bin/sh",
            arguments: ["sh", "-c", command],
            environment: EnvironmentVariables.entries { _ in false },
            descriptors: [(0, input), (1, 1), (2, 2)],
            inOwnGroup: true
        )
        elders = before
    }

    /// Decides whether the shell has ended, and reaps it.
    func hasEnded() throws(Errno) -> Bool { try child.exitIfEnded() != nil }

    /// Kills the group, and what has left it (setsid(2)).
    func kill() {
        try? Children.send(SIGKILL, to: -child.id)
        child.kill()
        _ = try? child.wait()
        while true {
            let left = Children.ids().filter { !elders.contains($0) }
            if left.isEmpty { return }
            for process in left {
                try? Children.send(SIGKILL, to: process)
                _ = try? Children.exit(of: process)
            }
        }
    }
}
