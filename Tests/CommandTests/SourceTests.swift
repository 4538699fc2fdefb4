// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

/// Values of other sources over those of a store, in real jobs and mounts.
extension RunTests {
    @Suite(.timeLimit(.minutes(20))) struct Sources {
        private func directory(_ box: JobBox, _ files: [String: String], mode: Int = 0o700) throws -> String {
            let path = box.sandbox.directory.path("delivered")
            try? FileManager.default.removeItem(atPath: path)
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
            for (name, text) in files {
                try box.sandbox.directory.write(Array(text.utf8), to: "delivered/\(name)", permissions: 0o444)
            }
            try Files.setMode(mode, path)
            return path
        }

        @Test func theLastSourceOfANameCounts() async throws {
            let box = try await JobBox(["A": "store a", "B": "store b", "C": "store c", "D": "store d"])
            let delivered = try directory(box, ["B": "dir b", "C": "dir c", "FRESH": "dir fresh", ".hidden": "x"])
            let dotenv = try box.sandbox.directory.write(
                Array("C='dotenv c'\nD=dotenv\n".utf8),
                to: "secrets.env",
                permissions: 0o600
            )
            let outcome = try await box.run(
                ["--source", "dir:\(delivered)", "--source", "dotenv:\(dotenv)", "--source", "env:D,APP_*"],
                shell: """
                    cd $CREDENTIALS_DIRECTORY; for name in *; do printf '%s=%s\\n' $name "$(cat $name)"; done
                    echo "${D-no D} ${APP_KEY-no APP_KEY} $(stat -c %a APP_KEY) $APP_KEY_FILE" | sed "s|$PWD/||"
                    """,
                adding: ["D": "env d", "APP_KEY": "env app", "APPLE": "not taken"]
            )
            #expect(
                outcome.outputText == """
                    A=store a
                    APP_KEY=env app
                    B=dir b
                    C=dotenv c
                    D=env d
                    FRESH=dir fresh
                    no D no APP_KEY 400 APP_KEY

                    """,
                "\(outcome.errorText)"
            )
            #expect(outcome.status == .exited(0))
            let piped = try await ChildProcess.run(
                "/bin/bash",
                ["-c", "\"$0\" run --source yaml:<(echo 'A: piped') -- sh -c 'cat $A_FILE'", CommandTests.credfs],
                environment: box.environment
            )
            #expect(piped.outputText == "piped", "\(piped.errorText)")
            // The other order.
            let other = try await box.run(
                ["--source", "dotenv:\(dotenv)", "--source", "dir:\(delivered)", "--env", "C"],
                shell: "cat $C_FILE; echo \" $C\""
            )
            #expect(other.outputText == "dir c dir c\n", "\(other.errorText)")
            try box.expectNothingLeft()
        }

        @Test func whatTheStoreSaysOfASecretHoldsForTheValueOfASource() async throws {
            let box = try await JobBox(["A": "store a", "B": "store b"])
            try await box.sandbox.succeed("policy", "set", "A", "--allow-exe", "/usr/bin/head")
            let outcome = try await box.run(
                ["--source", "env:A", "--env", "B"],
                shell: "cat $A_FILE 2>&1 | sed 's/.*: //'; head -c 99 $A_FILE",
                adding: ["A": "env a"]
            )
            #expect(outcome.outputText == "Permission denied\nenv a", "\(outcome.errorText)")
            let shown = try await box.run(["--source", "env:A", "--env", "A"], shell: "true", adding: ["A": "env a"])
            #expect(shown.status == .exited(21) && shown.errorText.contains("policy"), "\(shown.errorText)")
        }

        @Test(arguments: ["fuse", "ramfs", "shm"]) func aRequiredValueMayComeFromASource(_ backend: String) async throws
        {
            let box = try await JobBox(["A": "store a"])
            let template = try box.sandbox.directory.write(
                Array("secrets:\n  NEEDED:\n    value: \"\"\n    required: true\n".utf8),
                to: "template.yaml",
                permissions: 0o600
            )
            try await box.sandbox.succeed("encrypt", template, "-y")
            let options = ["--backend", backend]
            let refused = try await box.run(options, shell: "true")
            #expect(refused.status == .exited(125) && refused.errorText.contains("NEEDED"), "\(refused.errorText)")
            let other = try await box.run(options + ["--source", "env:OTHER"], shell: "true", adding: ["OTHER": "o"])
            #expect(other.status == .exited(125) && other.errorText.contains("NEEDED"), "\(other.errorText)")
            let outcome = try await box.run(
                options + ["--source", "env:NEEDED", "--only", "NEEDED,A"],
                shell: "cat $NEEDED_FILE $A_FILE",
                adding: ["NEEDED": "n "]
            )
            #expect(outcome.outputText == "n store a", "\(outcome.errorText)")
        }

        @Test func aReloadReadsDirectoriesAgainAndALockWipesEverySource() async throws {
            let box = try await JobBox(["A": "store a", "B": "store b"])
            let delivered = try directory(box, ["B": "first"])
            let outcome = try await ChildProcess.run(
                CommandTests.credfs,
                ["mount", "--source", "dir:\(delivered)", "--source", "env:E"],
                environment: box.environment.merging(["E": "env e"]) { $1 }
            )
            try #require(outcome.status == .exited(0), "\(outcome.errorText)")
            let path = String(outcome.outputText.dropLast())
            let read = { (name: String) in
                (try? Files.read("\(path)/\(name)")).map { String(decoding: $0, as: UTF8.self) }
            }
            #expect(["A", "B", "E"].map(read) == ["store a", "first", "env e"])
            _ = try directory(box, ["B": "second", "N": "new"])
            let reload = try await box.credfs("reload")
            #expect(reload.status == .exited(0), "\(reload.errorText)")
            #expect(["A", "B", "E", "N"].map(read) == ["store a", "second", "env e", "new"])

            #expect(try await box.credfs("lock").status == .exited(0))
            #expect(["A", "B", "E", "N"].map(read) == [nil, nil, nil, nil])
            let unlocked = try await box.credfs("unlock")
            #expect(unlocked.status == .exited(0), "\(unlocked.errorText)")
            #expect(["A", "B", "E", "N"].map(read) == ["store a", "second", "env e", "new"])

            // Not after the store has another data key: then the values of the environment are lost, and nothing is shown.
            #expect(try await box.credfs("lock").status == .exited(0))
            try await box.sandbox.succeed("rotate")
            try await box.credfs("unlock").expectRefusal(15, "a new data key", hint: "anew")
            #expect(["A", "B", "E"].map(read) == [nil, nil, nil])
            try await box.unmountAll()
        }

        @Test func aRelativeDirectoryIsFoundAgainByAServerThatLeftItsOwn() async throws {
            let box = try await JobBox(["A": "store a"])
            _ = try directory(box, ["A": "first"])
            let outcome = try await ChildProcess.run(
                "/bin/sh",
                [
                    "-c", "cd \"$0\" && exec \"$1\" mount --source dir:delivered", box.sandbox.directory.path,
                    CommandTests.credfs,
                ],
                environment: box.environment
            )
            try #require(outcome.status == .exited(0), "\(outcome.errorText)")
            let path = String(outcome.outputText.dropLast())
            #expect(try Files.read("\(path)/A") == Array("first".utf8))
            _ = try directory(box, ["A": "second"])
            let reload = try await box.credfs("reload")
            #expect(reload.status == .exited(0), "\(reload.errorText)")
            #expect(try Files.read("\(path)/A") == Array("second".utf8))
            try await box.unmountAll()
        }

        @Test func aChangeOfADirectoryIsAnotherGenerationAndNoChangeIsNone() async throws {
            let box = try await JobBox(["A": "store a", "B": "store b"])
            let delivered = try directory(box, ["A": "first"])
            let out = box.sandbox.directory.path("out")
            let mount = try await box.mount("--source", "dir:\(delivered)", "--on-change", "echo changed >>\(out)")
            let first = try await box.generation()
            let time = try modified("\(mount.path)/A")
            // The same again: nobody is woken, no time changes, and what may be read once was read.
            try await Task.sleep(for: .milliseconds(1100))
            _ = try directory(box, ["A": "first"])
            #expect(try await box.credfs("reload").status == .exited(0))
            #expect(try await box.generation() == first)
            #expect(try modified("\(mount.path)/A") == time)

            async let waited = box.credfs("wait", "--change", "--timeout", "60s")
            try await Task.sleep(for: .milliseconds(200))
            _ = try directory(box, ["A": "second"])
            #expect(try await box.credfs("reload").status == .exited(0))
            let outcome = try await waited
            #expect(outcome.status == .exited(0), "\(outcome.errorText)")
            #expect(try await box.generation() == first + 1)
            #expect(try Files.read("\(mount.path)/A") == Array("second".utf8))
            #expect(try await Eventually.text(of: out) == "changed")
            // The manifest's own number goes on from there.
            try await box.sandbox.succeed("set", "B", input: Array("new b".utf8))
            #expect(try await box.credfs("reload").status == .exited(0))
            #expect(try await box.generation() == first + 2)
            try await box.unmountAll()
        }

        private func modified(_ path: String) throws -> Date {
            try #require(try FileManager.default.attributesOfItem(atPath: path)[.modificationDate] as? Date)
        }

        /// A volume as the kubelet makes and changes it.
        @Test func aWatchingMountFollowsAVolumeOfKubernetes() async throws {
            let box = try await JobBox(["A": "store a"])
            let manager = FileManager.default
            let volume = box.sandbox.directory.path("volume")
            func publish(_ version: String) throws {
                try manager.createDirectory(atPath: "\(volume)/..\(version)", withIntermediateDirectories: true)
                try Files.setMode(0o755, volume)
                try Files.setMode(0o755, "\(volume)/..\(version)")
                try box.sandbox.directory.write(Array(version.utf8), to: "volume/..\(version)/A", permissions: 0o444)
                try manager.createSymbolicLink(atPath: "\(volume)/..data_tmp", withDestinationPath: "..\(version)")
                #expect(unsafe rename("\(volume)/..data_tmp", "\(volume)/..data") == 0)
            }
            try publish("v1")
            try manager.createSymbolicLink(atPath: "\(volume)/A", withDestinationPath: "..data/A")
            let mount = try await box.mount("--watch", "--source", "dir:\(volume)")
            #expect(try Files.read("\(mount.path)/A") == Array("v1".utf8))
            for version in ["v2", "v3"] {
                async let waited = box.credfs("wait", "--change", "--timeout", "60s")
                try await Task.sleep(for: .milliseconds(200))
                try publish(version)
                #expect(try await waited.status == .exited(0))
                #expect(try Files.read("\(mount.path)/A") == Array(version.utf8))
            }
            try await box.unmountAll()
        }

        @Test func aVariableOfASourceIsKeptFromAJobWithoutSecretsToo() async throws {
            let box = try await JobBox(["A": "a"])
            let script = "echo \"$CREDFS_AUTH_MODE ${A-no A} ${B-no B}\""
            let ignored = try await box.run(
                ["--source", "env:A"],
                shell: script,
                adding: ["A": "env a", "B": "env b", "CREDFS_IGNORE_SECRETS": "1"]
            )
            #expect(ignored.outputText == "unauthenticated no A env b\n", "\(ignored.errorText)")
            try box.sandbox.replaceManifest("secrets: [".utf8)
            let rejected = try await box.run(
                ["--source", "env:A", "--on-reject", "unauthenticated"],
                shell: script,
                adding: ["A": "env a", "B": "env b"]
            )
            #expect(rejected.outputText == "unauthenticated no A env b\n", "\(rejected.errorText)")
        }

        /// A writer that goes on for as long as a file is there.
        @Test func aFileThatIsBeingWrittenIsNotTakenInParts() async throws {
            let box = try await JobBox(["A": "store a"])
            let delivered = try directory(box, ["A": "whole", "B": "b"])
            let mount = try await box.mount("--source", "dir:\(delivered)")
            let stop = box.sandbox.directory.path("stop")
            let program = """
                import os, sys, time
                try: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))  # Writes on beside any load.
                except OSError: pass
                with open(sys.argv[1], 'r+b', buffering=0) as file:
                    file.truncate(0)
                    print('began', flush=True)
                    while not os.path.exists(sys.argv[2]):
                        file.write(b'part ')
                        time.sleep(0.002)
                    file.truncate(0)
                    file.seek(0)
                    file.write(b'half')
                    time.sleep(0.003)
                    file.write(b' and half')
                """
            let writer = try ChildProcess.Running(
                "/usr/bin/python3",
                ["-c", program, "\(delivered)/A", stop],
                environment: [:]
            )
            try await Eventually.holds("the first part") {
                try Files.read("\(delivered)/A").starts(with: Array("part".utf8))
            }
            let reload = try await box.credfs("reload")
            #expect(reload.status == .exited(20), "\(reload.errorText)")
            #expect(reload.errorText.contains("\(delivered)/A was written to while it was read"))
            #expect(try Files.read("\(mount.path)/A") == Array("whole".utf8))
            try box.sandbox.directory.write([], to: "stop")
            try await Eventually.holds("the end of the writer") {
                let value = try Files.read("\(delivered)/A")
                let now = try await box.credfs("reload")
                // Whatever moment it is: everything, or what was there before.
                let shown = String(decoding: try Files.read("\(mount.path)/A"), as: UTF8.self)
                #expect(["whole", "half and half"].contains(shown), "\(now.errorText)")
                return value.count == 13
            }
            #expect(try await writer.end().status == .exited(0))
            #expect(try await box.credfs("reload").status == .exited(0))
            #expect(try Files.read("\(mount.path)/A") == Array("half and half".utf8))
            try await box.unmountAll()
        }

        @Test func aNameThatMayHoldAValueIsSaidWithoutIt() async throws {
            let box = try await JobBox(["A": "a"])
            let delivered = try directory(box, ["TOKEN=s3cr3t": "x"])
            let outcome = try await box.run(["--source", "dir:\(delivered)"], shell: "true")
            #expect(outcome.status == .exited(0))
            #expect(outcome.errorText.contains("dir: a name has '=' in it ('TOKEN=...')"), "\(outcome.errorText)")
            #expect(!outcome.errorText.contains("s3cr3t"))
        }

        @Test func theFormatThatTheStoreNamesHoldsForAValueOfASource() async throws {
            let box = try await JobBox(["B": "b"])
            try await box.sandbox.succeed("set", "A", "--format", "json", input: Array("{}".utf8))
            let delivered = try directory(box, ["A": "{\"s3cr3t\": "])
            let refused = try await box.run(["--source", "dir:\(delivered)"], shell: "echo began")
            #expect(refused.status == .exited(125) && refused.outputText.isEmpty)
            #expect(refused.errorText.contains("dir: the value of 'A' is not json"), "\(refused.errorText)")
            #expect(!refused.errorText.contains("s3cr3t"))
            _ = try directory(box, ["A": "{\"k\": 1}"])
            let outcome = try await box.run(["--source", "dir:\(delivered)"], shell: "cat $A_FILE")
            #expect(outcome.outputText == "{\"k\": 1}", "\(outcome.errorText)")
            let mount = try await box.mount("--source", "dir:\(delivered)")
            _ = try directory(box, ["A": "no"])
            try await box.credfs("reload").expectRefusal(17, "is not json")
            #expect(try Files.read("\(mount.path)/A") == Array("{\"k\": 1}".utf8))
            try await box.unmountAll()
        }

        @Test func whatCannotBeMeantOrTrustedIsRefused() async throws {
            let box = try await JobBox(["A": "a"])
            func refused(_ source: String, _ status: Int32, _ text: String) async throws {
                let outcome = try await box.run(["--source", source], shell: "echo began")
                #expect(outcome.status == .exited(status) && outcome.outputText.isEmpty, "\(source)")
                #expect(outcome.errorText.contains(text), "\(source): \(outcome.errorText)")
                #expect(!outcome.errorText.contains("s3cr3t"))
            }
            for source in ["s3cr3t", "ssm:", "nothing:x", "dir:", ":x", ""] {
                try await refused(source, 64, "sources are env:")
            }
            for source in ["env:*", "env:A,,B", "env:A=s3cr3t"] { try await refused(source, 64, "by a prefix") }
            try await refused("dir:/nonexistent", 125, "no such file")
            try await refused("dotenv:/nonexistent", 125, "no such file")
            try await refused("dir:\(try directory(box, ["A": "x"], mode: 0o777))", 125, "insecure permissions")
            try await refused("dir:\(try directory(box, ["bad\u{1}name": "x"]))", 125, "no name for a secret")
            let open = try directory(box, ["A": "x"])
            try Files.setMode(0o666, "\(open)/A")
            try await refused("dir:\(open)", 125, "insecure permissions")
            let broken = try box.sandbox.directory.write(
                Array("{\"A\": \"s3cr3t\", ".utf8),
                to: "broken.json",
                permissions: 0o600
            )
            try await refused("json:\(broken)", 125, "json: ")
            let empty = try await box.run(["--source", "env:NOT_SET"], shell: "cat $A_FILE")
            #expect(empty.outputText == "a" && empty.errorText.contains("the source env:NOT_SET has no values"))
        }
    }
}

extension JobBox {
    /// The generation that the only live mount serves.
    func generation() async throws -> Int {
        let mounts = try #require(try await credfs("status", "--json").json()["mounts"] as? [[String: Any]])
        return try #require(mounts.first?["generation"] as? Int)
    }
}
