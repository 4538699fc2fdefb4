// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

extension RunTests {
    @Suite(.timeLimit(.minutes(20))) struct Life {
        @Test func theMountIsSeenByTheJobAloneAndNothingStays() async throws {
            let box = try await JobBox(["T": "t"])
            let job = try await box.start([], shell: "echo $$ $CREDENTIALS_DIRECTORY >$READY; exec sleep 20")
            let directory = try #require(job.text.split(separator: " ").last)
            #expect(try FileManager.default.contentsOfDirectory(atPath: "\(box.runtime)/credfs/jobs").isEmpty)
            #expect(!Files.exists(String(directory)))
            let status = try await box.credfs("status", "--json")
            for word in [
                "\"kind\" : \"run\"", "\"isolation\" : \"mount\"", "\"state\" : \"live\"",
                "\"path\" : \"\(directory)\"",
            ] {
                #expect(status.outputText.contains(word), "\(status.outputText)")
            }
            kill(job.credfs.id, SIGTERM)
            #expect(try await job.credfs.end().status == .exited(143))
            try box.expectNothingLeft()
        }

        @Test func theStoreAndTheKeyAreOutOfSight() async throws {
            let box = try await JobBox(["T": "t"])
            let key = box.sandbox.directory.path("elsewhere.key")
            try FileManager.default.copyItem(atPath: box.sandbox.path("secrets.key"), toPath: key)
            try Files.setMode(0o600, key)
            let script =
                "cat $T_FILE; ls -A \(box.sandbox.store); wc -c <\(key); touch \(box.sandbox.store)/x 2>/dev/null || echo refused"
            let hidden = try await box.run(["--key-file", key], shell: script)
            #expect(hidden.outputText == "t0\nrefused\n", "\(hidden.errorText)")
            let kept = try await box.run(
                ["--key-file", key, "--keep-store"],
                shell: "ls \(box.sandbox.store); wc -c <\(key)"
            )
            #expect(kept.outputText.contains("secrets.key\n"))
            #expect(kept.outputText.hasSuffix("57\n"))
        }

        @Test func aWorkingDirectoryInTheStoreDoesNotStayOpen() async throws {
            let box = try await JobBox(["T": "t"])
            let script = "cd \(box.sandbox.store) && exec \"$0\" run -- sh -c 'ls -A; ls -A ..'"
            let outcome = try await ChildProcess.run("/bin/sh", ["-c", script, credfs], environment: box.environment)
            #expect(!outcome.outputText.contains("secrets."), "\(outcome.errorText)")
            #expect(outcome.status == .exited(0))
            let below = try await ChildProcess.run(
                "/bin/sh",
                ["-c", "cd \(box.sandbox.store)/state && exec \"$0\" run -- echo started", credfs],
                environment: box.environment
            )
            below.expectRefusal(125, "working directory")
            #expect(below.standardOutput.isEmpty)
        }

        @Test func afterTheJobItsOrphansReadNothing() async throws {
            let box = try await JobBox(["T": "t"])
            let log = box.sandbox.directory.path("log")
            let script = """
                exec 5<$T_FILE; cat $T_FILE
                (sleep 0.5; cat <&5; cat $T_FILE; echo end) >\(log) 2>&1 </dev/null &
                """
            let outcome = try await box.run([], shell: script)
            #expect(outcome.outputText == "t")
            try await Eventually.holds("the orphan's end") {
                try Files.exists(log) && String(decoding: Files.read(log), as: UTF8.self).hasSuffix("end\n")
            }
            let text = String(decoding: try Files.read(log), as: UTF8.self)
            #expect(text.split(separator: "\n").count == 3 && !text.hasPrefix("t"), "\(text)")
            try box.expectNothingLeft()
        }

        @Test func lingeringWaitsForThemButNotForEver() async throws {
            let box = try await JobBox(["T": "t"])
            let log = box.sandbox.directory.path("log")
            let script = "(setsid sh -c 'sleep 0.4; cat $T_FILE' >\(log) 2>&1 </dev/null &)"
            #expect(try await box.run(["--linger", "20s"], shell: script).status == .exited(0))
            #expect(try Files.read(log) == Array("t".utf8))
            // Its end comes with that of the directory, long after credfs has returned.
            let orphan = "while [ -d \(box.sandbox.directory.path) ]; do sleep 0.1; done"
            #expect(try await box.run(["--linger", "200ms"], shell: "(\(orphan)) & exit 3").status == .exited(3))
        }

        @Test func killedCredfsLeavesTheJobWithoutSecrets() async throws {
            let box = try await JobBox(["T": "t"])
            let log = box.sandbox.directory.path("log")
            let script = """
                exec 5<$T_FILE; echo $$ >$READY
                while kill -0 $PPID 2>/dev/null && [ $(ps -o ppid= -p $$) = $PPID ]; do sleep 0.02; done
                sleep 0.1; cat <&5 >\(log) 2>&1; cat $T_FILE >>\(log) 2>&1; echo end >>\(log)
                """
            let job = try await box.start([], shell: script)
            kill(job.credfs.id, SIGKILL)
            _ = try await job.credfs.end()
            try await Eventually.holds("the end of the job") {
                try Files.exists(log) && String(decoding: Files.read(log), as: UTF8.self).hasSuffix("end\n")
            }
            let text = String(decoding: try Files.read(log), as: UTF8.self)
            let notConnected = "endpoint is not connected"
            #expect(text.components(separatedBy: notConnected).count == 3, "\(text)")
            #expect(try await box.credfs("status").outputText.hasPrefix("stale"))
            #expect(try await box.credfs("status").outputText.isEmpty)
            try box.expectNothingLeft()
        }

        @Test func aDirectoryWithoutARecordGoesWithTheNextCommand() async throws {
            let box = try await JobBox(["T": "t"])
            let mount = try await box.credfs("mount").outputText.split(separator: "\n").first.map(String.init)
            // Of a process that was killed between making its directory and writing its record; and what is not ours.
            let left = box.runtime + "/credfs/0123456789abcdef"
            let other = box.runtime + "/credfs/other"
            for path in [left, other] {
                try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
            }
            // It could be of one that is about to mount.
            #expect(try await box.run(["--shared"], shell: "cat $T_FILE").outputText == "t")
            #expect(Files.exists(left))
            #expect(try Files.read(#require(mount) + "/T") == Array("t".utf8))
            #expect(try await box.credfs("unmount", "--all").status == .exited(0))
            #expect(try await box.run([], shell: "cat $T_FILE").outputText == "t")
            #expect(!Files.exists(left) && Files.exists(other))
            try FileManager.default.removeItem(atPath: other)
            _ = try await box.credfs("status")
            #expect(!Files.exists(box.runtime + "/credfs"))
        }

        @Test func aStoppedCredfsLeavesItsReadersKillable() async throws {
            let box = try await JobBox(["T": "t"])
            let job = try await box.start(
                [],
                shell: "while [ ! -e $READY.go ]; do echo $$ >$READY; sleep 0.02; done; exec cat $T_FILE"
            )
            kill(job.credfs.id, SIGSTOP)
            try await Eventually.holds("the stop") { ProcessState.letter(job.credfs.id) == "T" }
            let ready = try FileManager.default.contentsOfDirectory(atPath: box.sandbox.directory.path)
                .first { $0.hasPrefix("ready-") }
            try box.sandbox.directory.write([], to: "\(try #require(ready)).go")
            try await Task.sleep(for: .milliseconds(200))
            #expect(ProcessState.isAlive(job.process))
            kill(job.process, SIGKILL)
            try await Eventually.holds("the reader's end") { !ProcessState.isAlive(job.process) }
            kill(job.credfs.id, SIGCONT)
            #expect(try await job.credfs.end().status == .exited(137))
            try box.expectNothingLeft()
        }

        @Test func signalsFromOutsideAreHandedOn() async throws {
            let box = try await JobBox(["T": "t"])
            for (signal, name) in [
                (SIGTERM, "TERM"), (SIGHUP, "HUP"), (SIGUSR1, "USR1"), (SIGINT, "INT"), (SIGWINCH, "WINCH"),
            ] {
                let script = "trap 'echo got \(name); exit 5' \(name); echo $$ >$READY; while :; do sleep 0.05; done"
                let job = try await box.start([], shell: script)
                kill(job.credfs.id, signal)
                let outcome = try await job.credfs.end()
                #expect(outcome.outputText == "got \(name)\n", "\(name)")
                #expect(outcome.status == .exited(5))
            }
            try box.expectNothingLeft()
        }

        @Test(arguments: [SIGINT, SIGTERM, SIGHUP]) func aSignalBeforeTheJobIsThereEndsIt(_ signal: Int32) async throws
        {
            let box = try await JobBox(["T": "t"])
            let ready = box.sandbox.directory.path("trace")
            // The process that will become the job waits in its first mount.
            let run = try ChildProcess.Running(
                "/usr/bin/strace",
                [
                    "-D", "-f", "-o", ready, "-e", "trace=mount", "-e", "inject=mount:delay_enter=1500000:when=1",
                    credfs,
                    "run", "--", "echo", "started",
                ],
                environment: box.environment
            )
            try await Eventually.holds("the first mount") {
                try Files.exists(ready) && String(decoding: Files.read(ready), as: UTF8.self).contains("mount(")
            }
            kill(run.id, signal)
            let outcome = try await run.end(within: .seconds(20))
            #expect(outcome.status == .exited(128 + signal), "\(outcome.errorText)")
            #expect(outcome.standardOutput.isEmpty)
            try await Eventually.holds("nothing left") { (try? box.leftovers.isEmpty) == true }
        }

        @Test func membersOfASharedJobAreFoundWhateverTheirAncestorsDo() async throws {
            let box = try await JobBox(["T": "t"])
            let program = """
                import os, sys
                path = os.environ["T_FILE"]
                bad = 0
                for _ in range(300):
                    read, write = os.pipe()
                    if os.fork() == 0:
                        if os.fork() == 0:
                            try: data = open(path).read().encode()
                            except OSError as error: data = str(error).encode()
                            os.write(write, data)
                        os._exit(0)
                    os.wait()
                    os.close(write)
                    bad += os.read(read, 100) != b"t"
                    os.close(read)
                print(bad)
                """
            let outcome = try await box.credfs("run", "--shared", "--", "/usr/bin/env", "python3", "-I", "-c", program)
            #expect(outcome.outputText == "0\n", "\(outcome.errorText)")
        }

        @Test func credfsCanBeTheFirstProcessOfAContainer() async throws {
            let box = try await JobBox(["T": "t"])
            for option in ["--shared", "--max-size=1048576"] {
                let outcome = try await ChildProcess.run(
                    "/usr/bin/unshare",
                    ["--pid", "--fork", "--mount-proc", credfs, "run", option, "--", "/bin/sh", "-c", "cat $T_FILE"],
                    environment: box.environment
                )
                #expect(outcome.outputText == "t", "\(outcome.errorText)")
            }
            try box.expectNothingLeft()
        }

        @Test func aSiblingThatLooksIntoThePrivateMountIsRefused() async throws {
            let box = try await JobBox(["T": "t"])
            let job = try await box.start([], shell: "cat $T_FILE; echo $$ $T_FILE >$READY; exec sleep 20")
            let path = try #require(job.text.split(separator: " ").last)
            let outcome = try await ChildProcess.run("/bin/cat", ["/proc/\(job.process)/root\(path)"])
            #expect(outcome.errorText.contains("Permission denied"), "\(outcome.outputText)")
            kill(job.credfs.id, SIGTERM)
            #expect(try await job.credfs.end().outputText == "t")
        }

        @Test func aWorkingDirectoryThatIsGoneIsKept() async throws {
            let box = try await JobBox(["T": "t"])
            let gone = try box.makeDirectory("gone")
            let outcome = try await ChildProcess.run(
                "/bin/sh",
                ["-c", "cd \(gone) && rmdir \(gone) && exec \"$0\" run -- sh -c 'cat $T_FILE'", credfs],
                environment: box.environment
            )
            #expect(outcome.outputText == "t", "\(outcome.errorText)")
        }

        @Test func aStoppedJobStopsCredfsAndGoesOnWithIt() async throws {
            let box = try await JobBox(["T": "t"])
            let job = try await box.start([], shell: "echo $$ >$READY; kill -STOP $$; cat $T_FILE")
            try await Eventually.holds("the stop") { ProcessState.letter(job.credfs.id) == "T" }
            kill(job.credfs.id, SIGCONT)
            let outcome = try await job.credfs.end()
            #expect(outcome.outputText == "t")
            #expect(outcome.status == .exited(0))
        }

        /// As a person does it: the key of the terminal, then `fg`.
        @Test func aJobIsStoppedByTheTerminalAndGoesOnWithItsSecrets() async throws {
            let box = try await JobBox(["T": "t"])
            let terminal = try PseudoTerminal()
            let job = "cat $T_FILE; echo up; read line; cat $T_FILE; echo $line"
            let script = "set -m; \"$0\" run -- /bin/sh -c \"$1\"; echo stopped $?; fg >/dev/null; echo ended $?"
            try terminal.start("/bin/bash", ["-c", script, credfs, job], environment: box.environment)
            try await terminal.expect("tup")
            terminal.type("\u{1a}")
            try await terminal.expect("stopped 147")
            terminal.type("again\n")
            try await terminal.expect("tagain")
            try await terminal.expect("ended 0")
            #expect(try await terminal.end() == .exited(0))
            try box.expectNothingLeft()
        }

        @Test func theKeysOfATerminalReachTheJobOnce() async throws {
            let box = try await JobBox(["T": "t"])
            let terminal = try PseudoTerminal()
            let script =
                "n=0; trap 'n=$((n+1)); echo caught $n' INT; echo up; while [ $n -lt 2 ]; do sleep 0.05; done; echo done"
            try terminal.start(credfs, ["run", "--", "/bin/bash", "-c", script], environment: box.environment)
            try await terminal.expect("up")
            terminal.type("\u{3}")
            try await terminal.expect("caught 1")
            try await Task.sleep(for: .milliseconds(300))
            #expect(!terminal.transcript.contains("caught 2"))
            terminal.type("\u{3}")
            try await terminal.expect("done")
            #expect(try await terminal.end() == .exited(0))
            try box.expectNothingLeft()
        }

        @Test func aJobWithinAJobHasBothDirectories() async throws {
            let box = try await JobBox(["T": "t"])
            let other = try await JobBox(["U": "u"])
            let script = """
                "$0" run --store \(other.sandbox.store) -- sh -c \
                'cat $U_FILE $T_FILE $CREDFS_OUTER_CREDENTIALS_DIRECTORY/T; ls $CREDENTIALS_DIRECTORY'; cat $T_FILE
                """
            let outcome = try await ChildProcess.run(
                credfs,
                ["run", "--", "/bin/sh", "-c", script, credfs],
                environment: box.environment
            )
            #expect(outcome.outputText == "uttU\nt", "\(outcome.errorText)")
            try box.expectNothingLeft()
        }

        @Test func manyAtOnceKeepOutOfEachOthersWay() async throws {
            let box = try await JobBox(["T": "t"])
            try await withThrowingTaskGroup(of: ChildProcess.Outcome.self) { group in
                for number in 0..<8 {
                    group.addTask {
                        try await box.run([], shell: "sleep 0.0\(number); cat $T_FILE; sleep 0.0\(7 - number)")
                    }
                }
                for try await outcome in group { #expect(outcome.outputText == "t", "\(outcome.errorText)") }
            }
            try box.expectNothingLeft()
        }

        @Test func aThousandOpensAndAReaderThatNeverCloses() async throws {
            let box = try await JobBox(["T": "t"])
            let outcome = try await box.run(
                [],
                shell: """
                    ulimit -n 2000; python3 -I -c 'import os
                    path = os.environ["T_FILE"]
                    files = [os.open(path, os.O_RDONLY) for _ in range(1000)]
                    print(sum(len(os.pread(file, 10, 0)) for file in files))'
                    sleep 5 <$T_FILE &
                    """
            )
            #expect(outcome.outputText == "1000\n", "\(outcome.errorText)")
            try box.expectNothingLeft()
        }

        @Test func aSecretThatExpiresWhileMountedIsRefused() async throws {
            let box = try await JobBox(["T": "t"])
            let soon = Timestamps.text(secondsFromNow: 2)
            try await box.sandbox.succeed("set", "T", "--keep-value", "--expires", soon)
            let outcome = try await box.run([], shell: "cat $T_FILE; sleep 3; LC_ALL=C cat $T_FILE")
            #expect(outcome.outputText == "t", "\(outcome.errorText)")
            #expect(outcome.errorText.contains("Key has expired"))
        }

        @Test func theLastRunIsRememberedBesideTheStore() async throws {
            let box = try await JobBox(["T": "t"])
            _ = try await box.run([], shell: "true")
            let text = String(decoding: try Files.read(box.sandbox.path("state/telemetry.json")), as: UTF8.self)
            #expect(text.contains("\"authMode\" : \"authenticated\""))
            #expect(text.contains("\"secretCount\" : 1"))
            #expect(try Files.mode(box.sandbox.path("state/telemetry.json")) == 0o600)
        }
    }
}

/// Times for arguments.
enum Timestamps {
    static func text(secondsFromNow seconds: Double) -> String {
        let formatter = ISO8601DateFormatter()
        return formatter.string(from: Date().addingTimeInterval(seconds))
    }
}
