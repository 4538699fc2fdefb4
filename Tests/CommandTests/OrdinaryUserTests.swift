// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

extension RunTests {
    /// What a user without any right gets, on a system where everybody may open the device.
    @Suite(.serialized, .timeLimit(.minutes(20))) struct OrdinaryUser {
        @Test func aJobHasANamespaceOfItsOwnWithoutGainingRights() async throws {
            let user = try await UserBox(["T": "t"])
            let script = """
                cat $T_FILE; id -u; grep -E '^(NoNewPrivs|CapEff):' /proc/self/status; ls -A \(user.store)
                grep -c "$CREDENTIALS_DIRECTORY fuse.credfs" /proc/mounts; stat -c '%u %a' $T_FILE $CREDENTIALS_DIRECTORY
                """
            let outcome = try await user.run(["--no-new-privs"], ["run", "--", "/bin/sh", "-c", script])
            #expect(
                outcome.outputText
                    == "t\(stranger)\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\n1\n\(stranger) 400\n\(stranger) 500\n",
                "\(outcome.errorText)"
            )
            #expect(outcome.errorText.isEmpty)
            try user.expectNothingLeft()
        }

        @Test func statusSaysHowAJobIsKeptApart() async throws {
            let user = try await UserBox(["T": "t"])
            let script = "\"$0\" status --json | grep isolation"
            let own = try await user.run([], ["run", "--", "/bin/sh", "-c", script, user.program])
            #expect(own.outputText.contains("\"isolation\" : \"user\""), "\(own.errorText)")
            let shared = try await user.run([], ["run", "--shared", "--", "/bin/sh", "-c", script, user.program])
            #expect(shared.outputText.contains("\"isolation\" : \"none\""), "\(shared.errorText)")
            try user.expectNothingLeft()
        }

        /// The command of --on-change enters the user namespace of the job, and gains no right by it.
        @Test func aChangeReachesAJobInAUserNamespace() async throws {
            let user = try await UserBox(["T": "first"])
            let (ready, out) = (user.home + "/ready", user.home + "/out")
            let hook =
                "cat $T_FILE >>\(out).new; ls -A \(user.store) >>\(out).new; grep CapEff /proc/self/status >>\(out).new; mv \(out).new \(out)"
            let job = try user.start([
                "run", "--on-change", hook, "--", "/bin/sh", "-c",
                "echo ready >\(ready); until [ -e \(out) ]; do sleep 0.02; done; cat $T_FILE",
            ])
            _ = try await Eventually.text(of: ready)
            _ = try await user.runAsUser(["/bin/sh", "-c", "printf second >\(user.home)/value"])
            let set = try await user.run([], ["set", "T", "--value-file", "\(user.home)/value"])
            try #require(set.status == .exited(0), "\(set.errorText)")
            let reload = try await user.run([], ["reload"])
            #expect(reload.status == .exited(0), "\(reload.errorText)")
            let outcome = try await job.end()
            #expect(outcome.status == .exited(0) && outcome.outputText == "second", "\(outcome.errorText)")
            let text = String(decoding: try Files.read(out), as: UTF8.self)
            #expect(text == "secondCapEff:\t0000000000000000\n", "\(outcome.errorText)")
            try user.expectNothingLeft()
        }

        /// As in a container that was started with a number (`--user 12345`).
        @Test func aUserWithoutANameIsToldWhatFusermountNeeds() async throws {
            let user = try await UserBox(["T": "t"])
            let nobody = "54321"
            _ = try await ChildProcess.run("/bin/chown", ["-R", "\(nobody):\(nobody)", user.sandbox.directory.path])
            func nameless(_ arguments: [String]) async throws -> ChildProcess.Outcome {
                try await ChildProcess.run(
                    "/usr/bin/setpriv",
                    ["--reuid", nobody, "--regid", nobody, "--clear-groups", user.program] + arguments,
                    environment: user.environment
                )
            }
            let job = try await nameless(["run", "--", "sh", "-c", "cat $T_FILE"])
            #expect(job.outputText == "t", "\(job.errorText)")
            for (arguments, status) in [(["mount"], Int32(19)), (["run", "--shared", "--", "true"], 125)] {
                let outcome = try await nameless(arguments)
                outcome.expectRefusal(status, "could not determine username", hint: "/etc/passwd: ci:x:\(nobody):")
            }
            try user.expectNothingLeft()
        }

        @Test func aSharedMountIsForTheJobOnly() async throws {
            let user = try await UserBox(["T": "t"])
            let ready = user.home + "/ready"
            let script = "echo $T_FILE >\(ready); cat $T_FILE; exec sleep 30"
            let job = try user.start(["run", "--shared", "--", "/bin/sh", "-c", script])
            let path = try await Eventually.text(of: ready)
            // Another process of the same user is let in by the kernel and refused by us.
            let sibling = try await user.runAsUser(["cat", path])
            #expect(sibling.errorText.contains("Permission denied"), "\(sibling.outputText)")
            // Root and other users are refused by the kernel.
            let root = try await ChildProcess.run("/bin/cat", [path])
            #expect(root.errorText.contains("Permission denied"))
            let other = try await ChildProcess.run(
                "/usr/bin/setpriv",
                ["--reuid", "12345", "--clear-groups", "cat", path]
            )
            #expect(other.errorText.contains("Permission denied"))
            kill(job.id, SIGTERM)
            let outcome = try await job.end()
            #expect(outcome.outputText == "t", "\(outcome.errorText)")
            #expect(outcome.status == .exited(143))
            try user.expectNothingLeft()
        }

        @Test func aKilledServerOfASharedMountLeavesNoMount() async throws {
            let user = try await UserBox(["T": "t"])
            let ready = user.home + "/ready"
            let job = try user.start(["run", "--shared", "--", "/bin/sh", "-c", "echo $$ >\(ready); exec sleep 30"])
            let process = try #require(Int32(try await Eventually.text(of: ready)))
            kill(job.id, SIGKILL)
            _ = try await job.end()
            try await Eventually.holds("the end of the mount") {
                !String(decoding: try Files.read("/proc/self/mountinfo"), as: UTF8.self).contains(user.runtime)
            }
            #expect(ProcessState.isAlive(process))
            kill(process, SIGKILL)
            _ = try await user.run([], ["status"])
            try user.expectNothingLeft()
        }

        @Test func aKilledKeeperLeavesARecordForTheNextCommand() async throws {
            let user = try await UserBox(["T": "t"])
            let ready = user.home + "/ready"
            let job = try user.start(["run", "--shared", "--", "/bin/sh", "-c", "echo $$ >\(ready); exec sleep 30"])
            _ = try await Eventually.text(of: ready)
            let children = String(decoding: try Files.read("/proc/\(job.id)/task/\(job.id)/children"), as: UTF8.self)
            for child in children.split(separator: " ").compactMap({ Int32($0) }) {
                let name = String(decoding: try Files.read("/proc/\(child)/cmdline"), as: UTF8.self)
                if name.contains("keep-mount") { kill(child, SIGKILL) }
            }
            kill(job.id, SIGTERM)
            _ = try await job.end()
            #expect(try await user.run([], ["status"]).outputText.hasPrefix("stale"))
            try user.expectNothingLeft()
        }

        @Test func lingeringDoesNotWaitForTheKeeper() async throws {
            let user = try await UserBox(["T": "t"])
            let began = ContinuousClock.now
            #expect(try await user.run([], ["run", "--shared", "--linger", "250s", "--", "true"]).status == .exited(0))
            #expect(ContinuousClock.now - began < .seconds(200))
        }

        @Test func aKilledCredfsLeavesNoFilesInTheSystemsMemoryForLong() async throws {
            let user = try await UserBox(["T": "t"])
            let ready = user.home + "/ready"
            let script = "echo $CREDENTIALS_DIRECTORY >\(ready); exec sleep 2"
            let job = try user.start(["run", "--backend", "shm", "--", "/bin/sh", "-c", script])
            let directory = try await Eventually.text(of: ready)
            kill(job.id, SIGKILL)
            _ = try await job.end()
            #expect(Files.exists(directory))
            #expect(try await user.run([], ["status"]).outputText.hasPrefix("stale"))
            #expect(!Files.exists(directory))
        }

        @Test func mountAndUnmountWithTheHelper() async throws {
            let user = try await UserBox(["T": "t"])
            let mounted = try await user.run([], ["mount"])
            let path = String(mounted.outputText.dropLast())
            #expect(try await user.runAsUser(["cat", "\(path)/T"]).outputText == "t", "\(mounted.errorText)")
            #expect(try await ChildProcess.run("/bin/cat", ["\(path)/T"]).errorText.contains("Permission denied"))
            #expect(try await user.run([], ["unmount", "--all"]).status == .exited(0))
            try user.expectNothingLeft()
        }

        @Test func withoutTheDeviceTheErrorSaysWhatToDo() async throws {
            let user = try await UserBox(["T": "t"], opensDevice: false)
            // A device that only root may open, whatever that of the machine allows.
            let closed = """
                umask 077; mknod "$1/closed" c 10 229; mount --bind "$1/closed" /dev/fuse; rm "$1/closed"; shift; exec "$@"
                """
            let outcome = try await ChildProcess.run(
                "/usr/bin/unshare",
                ["--mount", "/bin/sh", "-ec", closed, "sh", user.sandbox.directory.path] + user.wrapper([])
                    + ["run", "--", "echo", "started"],
                environment: user.environment
            )
            #expect(outcome.status == .exited(125))
            #expect(outcome.standardOutput.isEmpty)
            #expect(outcome.lines("hint").first?.contains("/dev/fuse") == true, "\(outcome.errorText)")
            try user.expectNothingLeft()
        }

        @Test func withoutNamespacesTheMountIsSharedAndThatIsSaid() async throws {
            let user = try await UserBox(["T": "t"])
            // Behind chroot(2) the kernel makes no user namespaces.
            let root = user.home + "/root"
            try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: false)
            let outcome = try await ChildProcess.run(
                "/usr/bin/unshare",
                ["--mount", "/bin/sh", "-c", "mount --rbind / \"$0\" && exec chroot \"$0\" \"$@\"", root]
                    + user.wrapper([]) + ["run", "--", "/bin/sh", "-c", "cat $T_FILE"],
                environment: user.environment
            )
            #expect(outcome.outputText == "t")
            let warnings = outcome.lines("warning")
            #expect(
                warnings.count == 1 && warnings[0].contains("cannot make a private namespace"),
                "\(outcome.errorText)"
            )
            try user.expectNothingLeft()
        }

        @Test(arguments: [("65536", 0), ("0", 125)])
        func littleOrNoLockedMemory(_ limit: String, _ status: Int32) async throws {
            let user = try await UserBox(["T": String(repeating: "t", count: 100_000)])
            let outcome = try await ChildProcess.run(
                "/usr/bin/prlimit",
                ["--memlock=\(limit)"] + user.wrapper([]) + ["run", "--", "/bin/sh", "-c", "wc -c <$T_FILE"],
                environment: user.environment
            )
            #expect(outcome.status == .exited(status), "\(outcome.errorText)")
            if status == 0 {
                #expect(outcome.outputText == "100000\n")
            } else {
                #expect(outcome.errorText.contains("ulimit -l"))
            }
            try user.expectNothingLeft()
        }

        @Test func aRuntimeDirectoryOfSomebodyElseIsRefused() async throws {
            let user = try await UserBox(["T": "t"])
            let outcome = try await user.run([], ["run", "--", "true"], adding: ["XDG_RUNTIME_DIR": "/"])
            outcome.expectRefusal(125, "is owned by uid 0", hint: "XDG_RUNTIME_DIR")
            let missing = try await user.run([], ["mount"], adding: ["XDG_RUNTIME_DIR": user.home + "/nowhere"])
            missing.expectRefusal(10, "cannot open")
        }

        @Test(arguments: ["ramfs", "tmpfs"]) func weakerBackendsAreAnnounced(_ backend: String) async throws {
            let user = try await UserBox(["T": "t"])
            let script =
                "cat $T_FILE; stat -f -c %T $CREDENTIALS_DIRECTORY; stat -c %a $T_FILE; touch $CREDENTIALS_DIRECTORY/x || echo refused"
            let outcome = try await user.run([], ["run", "--backend", backend, "--", "/bin/sh", "-c", script])
            #expect(outcome.outputText == "t\(backend)\n400\nrefused\n", "\(outcome.errorText)")
            #expect(outcome.lines("warning").contains { $0.contains("weaker") })
            try user.expectNothingLeft()
        }

        @Test func theBackendOfTheSystemsOwnMemoryIsCleanedUp() async throws {
            let user = try await UserBox(["T": "t"])
            let outcome = try await user.run(
                [],
                [
                    "run", "--backend", "shm", "--", "/bin/sh", "-c",
                    "cat $T_FILE; dirname $T_FILE; stat -c %a $T_FILE $CREDENTIALS_DIRECTORY",
                ]
            )
            let lines = outcome.outputText.split(separator: "\n")
            #expect(
                lines.count == 3 && lines[0].hasPrefix("t/dev/shm/credfs-") && lines[1] == "400" && lines[2] == "500"
            )
            #expect(!Files.exists(String(lines.first?.dropFirst() ?? "")))
            try user.expectNothingLeft()
        }
    }
}

/// A store of an ordinary user, in a directory that only they enter, with a copy of the program that they can run.
final class UserBox: Sendable {
    let sandbox: Sandbox
    let program: String
    private let device: FuseDeviceForEverybody?

    init(_ secrets: [String: String], opensDevice: Bool = true) async throws {
        sandbox = try await Sandbox(secrets)
        device = opensDevice ? try FuseDeviceForEverybody() : nil
        program = sandbox.directory.path("home/credfs")
        // By a process of its own: one that is started here meanwhile would hold the copy open, which could not be run.
        _ = try await ChildProcess.run("/bin/cp", [credfs, program])
        try FileManager.default.createDirectory(atPath: runtime, withIntermediateDirectories: false)
        for path in [runtime, sandbox.store] { try Files.setMode(0o700, path) }
        for path in try [sandbox.directory.path]
            + FileManager.default.subpathsOfDirectory(atPath: sandbox.directory.path)
            .map({ sandbox.directory.path($0) })
        {
            guard unsafe lchown(path, 65534, 65534) == 0 else { throw CocoaError(.fileWriteNoPermission) }
        }
    }

    var store: String { sandbox.store }
    var home: String { sandbox.directory.path("home") }
    var runtime: String { sandbox.directory.path("runtime") }
    var environment: [String: String] { sandbox.environment.merging(["XDG_RUNTIME_DIR": runtime]) { $1 } }

    /// What makes a program that of the user.
    func wrapper(_ options: [String]) -> [String] {
        ["/usr/bin/setpriv", "--reuid", stranger, "--regid", stranger, "--clear-groups"] + options + [program]
    }

    /// Runs credfs as the user.
    func run(
        _ options: [String],
        _ arguments: [String],
        adding variables: [String: String] = [:]
    ) async throws -> ChildProcess.Outcome {
        let words = wrapper(options) + arguments
        return try await ChildProcess.run(
            words[0],
            Array(words.dropFirst()),
            environment: environment.merging(variables) { $1 },
            timeout: .seconds(30)
        )
    }

    /// Runs another program as the user.
    func runAsUser(_ arguments: [String]) async throws -> ChildProcess.Outcome {
        try await ChildProcess.run(
            "/usr/bin/setpriv",
            ["--reuid", stranger, "--regid", stranger, "--clear-groups"] + arguments
        )
    }

    /// Starts credfs as the user.
    func start(_ arguments: [String]) throws -> ChildProcess.Running {
        let words = wrapper([]) + arguments
        return try ChildProcess.Running(words[0], Array(words.dropFirst()), environment: environment)
    }

    /// Expects that no mount, record or directory is left.
    func expectNothingLeft(at location: SourceLocation = #_sourceLocation) throws {
        let mounts = String(decoding: try Files.read("/proc/self/mountinfo"), as: UTF8.self)
        #expect(!mounts.contains(runtime), sourceLocation: location)
        #expect(try FileManager.default.subpathsOfDirectory(atPath: runtime).isEmpty, sourceLocation: location)
    }
}
