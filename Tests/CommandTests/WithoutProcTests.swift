// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

/// Hosts without /proc: a directory that somebody only entered with chroot(1), a mount over /proc.
@Suite struct WithoutProcTests {
    /// What takes /proc away from the program that follows.
    enum Host: String, CaseIterable {
        case coveredProc = "mount -t tmpfs none /proc"
        case plainChroot = """
            mkdir root
            for name in $(ls /); do
                case $name in proc | sys) continue ;; esac
                if [ -d "/$name" ]; then mkdir "root/$name"; else touch "root/$name"; fi
                mount --rbind "/$name" "root/$name"
            done
            """

        var enters: String { self == .plainChroot ? "exec chroot root \"$@\"" : "exec \"$@\"" }
    }

    private func run(
        _ host: Host,
        _ sandbox: Sandbox,
        _ arguments: [String],
        input: [UInt8] = []
    ) async throws -> ChildProcess.Outcome {
        let script = "cd \"$0\" && rm -rf root && \(host.rawValue)\n\(host.enters)"
        return try await ChildProcess.run(
            "/usr/bin/unshare",
            [isRoot ? "--mount" : "-Urm", "--propagation", "private", "/bin/sh", "-ec", script]
                + [sandbox.directory.path, credfs] + arguments,
            environment: sandbox.environment,
            standardInput: input
        )
    }

    @Test(arguments: Host.allCases) func argumentsAreNotLost(host: Host) async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        (try await run(host, sandbox, ["bogus"])).expectRefusal(64)
        (try await run(host, sandbox, ["show", "TWO"])).expectRefusal(11)
        #expect(try await run(host, sandbox, ["show", "ONE"]).standardOutput == Array("value".utf8))
        for arguments in [["--version"], ["set", "TWO"], ["get", "TWO"], ["verify", "-q"], ["keys", "list"]] {
            let outcome = try await run(host, sandbox, arguments, input: [65])
            #expect(outcome.status == .exited(0), "\(arguments): \(outcome.errorText)")
        }
        try sandbox.replaceManifest("version: 1\n".utf8)
        (try await run(host, sandbox, ["verify"])).expectRefusal(17)
    }

    @Test(arguments: Host.allCases) func whatNeedsProcSaysSo(host: Host) async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        let file = try sandbox.directory.write(Array("TWO=2\n".utf8), to: "file.env")
        let before = try withoutState(sandbox)
        let commands = [
            ["run", "--", "true"], ["run", "--shared", "--", "true"], ["run", "--backend", "ramfs", "--", "true"],
            ["mount"], ["mount", "--foreground"], ["unmount", "--all"], ["unmount", "/"], ["env"], ["status"], ["edit"],
            ["encrypt"], ["import", file], ["export", "--format", "json"],
        ]
        for arguments in commands {
            let status: Int32 = arguments[0] == "run" ? 125 : 1
            let outcome = try await run(host, sandbox, arguments)
            outcome.expectRefusal(status, "/proc is not mounted", hint: "mount -t proc")
            #expect(outcome.standardOutput.isEmpty)
        }
        if host == .plainChroot { try FileManager.default.removeItem(atPath: sandbox.directory.path("root")) }
        #expect(try withoutState(sandbox) == before)
    }

    @Test(.enabled(if: isRoot)) func aProcOfAnotherPidNamespaceIsWarnedOf() async throws {
        let box = try await JobBox(["T": "t"])
        let outcome = try await ChildProcess.run(
            "/usr/bin/unshare",
            ["--pid", "--fork", credfs, "run", "--", "true"],
            environment: box.environment
        )
        #expect(outcome.errorText.contains("warning: /proc shows another pid namespace"), "\(outcome.errorText)")
        #expect(try await !box.run([], shell: "true").errorText.contains("pid namespace"))
        try box.expectNothingLeft()
    }

    @Test(arguments: Host.allCases) func theDoctorPromisesNothing(host: Host) async throws {
        let report = try await run(host, try await Sandbox(["ONE": "value"]), ["doctor"])
        #expect(report.status == .exited(1))
        #expect(report.outputText.contains("problem  isolation        'run' and 'mount' need /proc\n"))
        #expect(!report.outputText.contains("shared mount") && !report.outputText.contains("none left behind"))
    }

    /// What is in a sandbox but for log and telemetry, which tell of refusals, too.
    private func withoutState(_ sandbox: Sandbox) throws -> [String: Snapshot.Entry] {
        try sandbox.snapshot().entries.filter { !$0.key.contains("/state/") }
    }
}
