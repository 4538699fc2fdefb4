// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

extension RunTests {
    /// Jobs of root's that run as somebody else, with accounts of their own below a mount namespace.
    @Suite(.enabled(if: isRoot, "runs as other users"), .timeLimit(.minutes(20))) struct OtherUsers {
        /// Runs credfs with an /etc/passwd and /etc/group that have a worker (4711, of three groups) and nobody else.
        private func run(
            _ box: JobBox,
            _ arguments: [String],
            adding variables: [String: String] = [:]
        ) async throws -> ChildProcess.Outcome {
            let passwd = try box.sandbox.directory.write(
                "root:x:0:0::/root:/bin/sh\nworker:x:4711:4712::/srv/worker:/bin/sh\n".utf8,
                to: "passwd"
            )
            let group = try box.sandbox.directory.write(
                "root:x:0:\nworker:x:4712:\nweb:x:4800:other,worker\nlogs:x:4801:worker\nnone:x:4802:workers\n".utf8,
                to: "group"
            )
            try Files.setMode(0o711, box.sandbox.directory.path)
            try Files.setMode(0o711, box.runtime)
            let script = "mount --bind $0 /etc/passwd; mount --bind $1 /etc/group; shift; exec \"$@\""
            return try await ChildProcess.run(
                "/usr/bin/unshare",
                ["--mount", "--propagation", "private", "/bin/sh", "-c", script, passwd, group, credfs] + arguments,
                environment: box.environment.merging(["USER": "root", "LOGNAME": "root"].merging(variables) { $1 }) {
                    $1
                }
            )
        }

        private static let identity =
            "id -u; id -g; id -G; echo $HOME $USER $LOGNAME; cat $T_FILE; stat -c ' %u %a' $T_FILE"

        @Test(arguments: ["worker", "4711"]) func theJobRunsAsTheUserWithItsGroups(user: String) async throws {
            let box = try await JobBox(["T": "t"])
            let outcome = try await run(box, ["run", "--user", user, "--", "/bin/sh", "-c", Self.identity])
            let expected = "4711\n4712\n4712 4800 4801\n/srv/worker worker worker\nt 4711 400\n"
            #expect(outcome.outputText == expected, "\(outcome.errorText)")
            #expect(outcome.errorText.isEmpty)
            try box.expectNothingLeft()
        }

        @Test func aGroupThatIsNamedTakesThePlaceOfTheUsual() async throws {
            let box = try await JobBox(["T": "t"])
            let named = try await run(box, ["run", "--user", "worker:web", "--", "/bin/sh", "-c", Self.identity])
            let expected = "4711\n4800\n4800 4801\n/srv/worker worker worker\nt 4711 400\n"
            #expect(named.outputText == expected, "\(named.errorText)")
            let nameless = try await run(
                box,
                ["run", "--pristine", "--user", "5000:5001", "--", "/bin/sh", "-c", Self.identity]
            )
            #expect(nameless.outputText == "5000\n5001\n5001\n/\nt 5000 400\n", "\(nameless.errorText)")
        }

        @Test func rightsOfRootAndItsKeysAreNotTheJobs() async throws {
            let box = try await JobBox(["T": "t"])
            let script = """
                grep -E '^Cap(Eff|Prm|Amb)' /proc/self/status | cut -f 2 | sort -u
                cat "$CREDFS_STORE/secrets.key" "$CREDFS_STORE/secrets.yaml" 2>&1 | grep -c denied
                env | grep -c CREDFS_KEY; umount "$CREDENTIALS_DIRECTORY" 2>/dev/null || echo stays
                """
            let outcome = try await run(
                box,
                ["run", "--user", "worker", "--", "/bin/sh", "-c", script],
                adding: ["CREDFS_KEY": String(decoding: try Files.read(box.sandbox.path("secrets.key")), as: UTF8.self)]
            )
            #expect(outcome.outputText == "0000000000000000\n2\n0\nstays\n", "\(outcome.errorText)")
        }

        @Test func theSecretsAreForThatUserAlone() async throws {
            let box = try await JobBox(["T": "t"])
            let go = try box.sandbox.directory.write([], to: "go")
            try Files.setMode(0o711, box.sandbox.directory.path)
            let ready = box.sandbox.directory.path("home/ready")
            try #require(unsafe chown(box.sandbox.directory.path("home"), 4711, 4712) == 0)
            let script = "echo $$ $T_FILE >\(ready); while [ -e \(go) ]; do sleep 0.05; done"
            let job = Task {
                try await run(box, ["run", "--shared", "--user", "worker", "--", "/bin/sh", "-c", script])
            }
            let words = try await Eventually.text(of: ready).split(separator: " ").map(String.init)
            for user in ["0", "4711", "4713"] {
                // The mount is in the namespace of the job here; those who enter it are none of its processes.
                let other = try await ChildProcess.run(
                    "/usr/bin/nsenter",
                    ["--target", words[0], "--mount", "setpriv", "--reuid", user, "--clear-groups", "cat", words[1]]
                )
                #expect(other.errorText.contains("Permission denied"), "\(user): \(other.errorText)")
            }
            try FileManager.default.removeItem(atPath: go)
            #expect(try await job.value.status == .exited(0))
            try box.expectNothingLeft()
        }

        @Test(arguments: ["ramfs", "shm"]) func weakerBackendsAreForTheUserToo(backend: String) async throws {
            let box = try await JobBox(["T": "t"])
            let outcome = try await run(
                box,
                ["run", "--backend", backend, "--user", "worker", "--", "/bin/sh", "-c", Self.identity]
            )
            #expect(outcome.outputText.hasSuffix("worker worker\nt 4711 400\n"), "\(outcome.errorText)")
        }

        @Test func whatCannotBeMeantIsRefused() async throws {
            let box = try await JobBox(["T": "t"])
            func refused(_ user: String, _ more: [String] = []) async throws -> ChildProcess.Outcome {
                try await run(box, ["run", "--user", user] + more + ["--", "/bin/true"])
            }
            try await refused("nobody-here").expectRefusal(64, "no user of the name in --user", hint: "id -u")
            try await refused("worker:nothing").expectRefusal(64, "no group of the name in --user", hint: "getent")
            try await refused("5000").expectRefusal(64, "uid 5000 has no name", hint: "--user 5000:GROUP")
            try await refused("4294967295").expectRefusal(64, "--user takes numbers below")
            for text in ["", ":", "worker:", ":web", "a:b:c"] {
                #expect(try await refused(text).status == .exited(64), "\(text)")
            }
            try await refused("worker", ["--owner", "worker"]).expectRefusal(
                64,
                "--owner cannot",
                hint: "leave out --owner"
            )
            try box.expectNothingLeft()
        }

        @Test func onlyRootCanAndRightsThatAreMissingAreNamed() async throws {
            let box = try await JobBox(["T": "t"])
            let prefix = try box.sandbox.giveToStranger()
            let ordinary = try await ChildProcess.run(
                "/bin/sh",
                ["-c", "exec \(prefix) \"$0\" run --user nobody -- /bin/true", credfs],
                environment: box.environment
            )
            ordinary.expectRefusal(64, "only root can run a program as another user", hint: "sudo")
            let other = try await JobBox(["T": "t"])
            let without = try await ChildProcess.run(
                "/usr/bin/setpriv",
                ["--bounding-set=-setuid,-setgid", credfs, "run", "--user", "5000:5001", "--", "/bin/true"],
                environment: other.environment
            )
            without.expectRefusal(125, "cannot become the user of the job", hint: "CAP_SETUID")
            try other.expectNothingLeft()
        }
    }
}
