// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

/// Sources that are asked over time, in real jobs and mounts, by a real program.
extension RunTests {
    @Suite(.timeLimit(.minutes(20))) struct AskedSources {
        /// A program that says what is in files, writes down what it is asked, and fails as a file says.
        private struct Program {
            let box: JobBox
            let path: String

            init(_ box: JobBox, _ values: [String: String]) async throws {
                self.box = box
                let directory = box.sandbox.directory.path("asked")
                try FileManager.default.createDirectory(
                    atPath: "\(directory)/values",
                    withIntermediateDirectories: true
                )
                path = "\(directory)/provider"
                for (name, value) in values { try set(name, value) }
                let script = """
                    #!/bin/sh
                    echo "$1" >>\(directory)/calls
                    case $(cat \(directory)/mode 2>/dev/null) in
                    down) echo 'cannot reach it' >&2; exit 1 ;;
                    hang) sleep 1000 & echo $! >>\(directory)/children; wait ;;
                    esac
                    [ -e "\(directory)/values/$1" ] || exit 11
                    cat "\(directory)/values/$1"
                    """
                _ = try await box.sandbox.directory.writeProgram(script, to: "asked/provider")
            }

            func set(_ name: String, _ value: String) throws {
                try box.sandbox.directory.write(Array(value.utf8), to: "asked/new", permissions: 0o600)
                let directory = box.sandbox.directory.path("asked")
                _ = unsafe rename("\(directory)/new", "\(directory)/values/\(name)")
            }

            func remove(_ name: String) throws {
                try FileManager.default.removeItem(atPath: box.sandbox.directory.path("asked/values/\(name)"))
            }

            func fail(_ mode: String?) throws {
                try box.sandbox.directory.write(Array((mode ?? "").utf8), to: "asked/mode", permissions: 0o600)
            }

            /// The names that it was called with, in their order.
            var calls: [String] {
                let text = (try? Files.read(box.sandbox.directory.path("asked/calls"))) ?? []
                return String(decoding: text, as: UTF8.self).split(separator: "\n").map(String.init)
            }
        }

        private func text(_ path: String) -> String? {
            (try? Files.read(path)).map { String(decoding: $0, as: UTF8.self) }
        }

        @Test func aProgramIsAskedForNamedSecretsAndForThoseWithoutAValue() async throws {
            let box = try await JobBox(["A": "store a"])
            let template = try box.sandbox.directory.write(
                Array("secrets:\n  EMPTY:\n    value: \"\"\n    required: true\n".utf8),
                to: "template.yaml",
                permissions: 0o600
            )
            try await box.sandbox.succeed("encrypt", template, "-y")
            let program = try await Program(box, ["A": "asked a\n", "B": "asked b\n\n", "EMPTY": "filled\n"])
            let outcome = try await box.run(
                ["--source", "exec:\(program.path)"],
                shell: "cat $A_FILE $EMPTY_FILE; ls $CREDENTIALS_DIRECTORY | tr '\\n' ' '"
            )
            #expect(outcome.outputText == "store afilledA EMPTY ", "\(outcome.errorText)")
            #expect(program.calls == ["EMPTY"])
            let named = try await box.run(
                ["--source", "exec:\(program.path)?names=A,B,GONE,EMPTY", "--env", "A"],
                shell: "echo \"$A\"; cat $B_FILE; ls $CREDENTIALS_DIRECTORY | tr '\\n' ' '"
            )
            #expect(named.outputText == "asked a\nasked b\nA B EMPTY ", "\(named.errorText)")
            #expect(named.errorText.contains("'GONE': \(program.path) knows no such secret"), "\(named.errorText)")
            let exact = try await box.run(
                ["--source", "exec:\(program.path)?names=B,EMPTY&newline=exact"],
                shell: "cat $B_FILE"
            )
            #expect(exact.outputText == "asked b\n\n", "\(exact.errorText)")
            // By its name alone, out of PATH; a relative path too.
            let directory = box.sandbox.directory.path("asked")
            let found = try await box.run(
                ["--source", "exec:provider?names=B,EMPTY"],
                shell: "cat $B_FILE",
                adding: ["PATH": "\(directory):/usr/bin:/bin"]
            )
            #expect(found.outputText == "asked b\n", "\(found.errorText)")
            try box.expectNothingLeft()
        }

        @Test func aMountAsksAgainWhenTheTimeOfAValueEnds() async throws {
            let box = try await JobBox(["S": "store"])
            let program = try await Program(box, ["A": "first", "B": "b"])
            let mount = try await box.mount("--source", "exec:\(program.path)?names=A,B&ttl=300ms")
            #expect(text("\(mount.path)/A") == "first")
            let generation = try await box.generation()
            for value in ["second", "third, longer"] {
                async let waited = box.credfs("wait", "--change", "--timeout", "60s")
                try await Task.sleep(for: .milliseconds(200))
                try program.set("A", value)
                #expect(try await waited.status == .exited(0))
                #expect(text("\(mount.path)/A") == value)
                #expect(text("\(mount.path)/S") == "store")
            }
            #expect(try await box.generation() == generation + 2, "what is the same is no other generation")
            // The source is down: what was there stays, until the source knows better.
            try program.fail("down")
            try await Task.sleep(for: .milliseconds(800))
            #expect(text("\(mount.path)/A") == "third, longer" && text("\(mount.path)/B") == "b")
            try program.fail(nil)
            try program.remove("B")
            try await Eventually.holds("the end of B", within: .seconds(60)) { text("\(mount.path)/B") == nil }
            #expect(text("\(mount.path)/A") == "third, longer")
            try await box.unmountAll()
        }

        @Test func aRefreshIsSeenWhenItReturns() async throws {
            let box = try await JobBox(["S": "store"])
            let program = try await Program(box, ["A": "a 0", "B": "b 0"])
            let mount = try await box.mount("--source", "exec:\(program.path)?names=A,B,C")
            for round in 1...5 {
                try program.set("A", "a \(round)")
                try program.set("B", "b \(round)")
                let calls = program.calls.count
                let refresh = try await box.credfs("refresh", "A")
                #expect(refresh.status == .exited(0), "\(refresh.errorText)")
                #expect(text("\(mount.path)/A") == "a \(round)" && text("\(mount.path)/B") == "b \(round - 1)")
                #expect(Array(program.calls.dropFirst(calls)) == ["A"])
                // C is not there, which is said, and B is seen all the same.
                let all = try await box.credfs("refresh", "--all", mount.path)
                #expect(all.status == .exited(11) && all.errorText.contains("'C'"), "\(all.errorText)")
                #expect(text("\(mount.path)/B") == "b \(round)")
            }
            try program.set("C", "c")
            #expect(try await box.credfs("refresh", "C", mount.path).status == .exited(0))
            #expect(text("\(mount.path)/C") == "c")
            try program.fail("down")
            try program.set("A", "unseen")
            let down = try await box.credfs("refresh", "A,B")
            #expect(down.status == .exited(20), "\(down.errorText)")
            #expect(down.errorText.contains("ended with status 1; the value of before is served (and 1 more)"))
            #expect(text("\(mount.path)/A") == "a 5")
            #expect(!down.errorText.contains("cannot reach it"))
            try await box.credfs("refresh", "OTHER").expectRefusal(11, "no source is asked for 'OTHER'")
            try await box.credfs("refresh").expectRefusal(64, "name the secrets")
            try await box.credfs("refresh", "A=b").expectRefusal(11)
            // A locked mount asks nothing.
            try program.fail(nil)
            #expect(try await box.credfs("lock").status == .exited(0))
            let calls = program.calls.count
            try await box.credfs("refresh", "A").expectRefusal(21, "locked")
            #expect(program.calls.count == calls)
            #expect(try await box.credfs("unlock").status == .exited(0))
            #expect(text("\(mount.path)/A") == "a 5")
            #expect(try await box.credfs("refresh", "A").status == .exited(0))
            #expect(text("\(mount.path)/A") == "unseen")
            try await box.unmountAll()
            #expect(try await box.credfs("audit", "show").outputText.contains("success refresh A "))
        }

        @Test func aJobOfARunIsRefreshedToo() async throws {
            let box = try await JobBox(["S": "store"])
            let program = try await Program(box, ["A": "first"])
            let job = try await box.start(
                ["--source", "exec:\(program.path)?names=A"],
                shell: "echo $$ >$READY; until grep -q last $A_FILE; do sleep 0.02; done; cat $A_FILE"
            )
            try program.set("A", "last")
            #expect(try await box.credfs("refresh", "A").status == .exited(0))
            let outcome = try await job.credfs.end()
            #expect(outcome.status == .exited(0) && outcome.outputText == "last", "\(outcome.errorText)")
            try box.expectNothingLeft()
        }

        @Test func aSourceThatIsSetUpWronglyStopsTheStart() async throws {
            let box = try await JobBox(["S": "store"])
            let good = try await Program(box, ["A": "a"])
            func run(_ source: String, _ options: String...) async throws -> ChildProcess.Outcome {
                try await box.run(["--source", "exec:\(source)"] + options, shell: "cat $S_FILE")
            }
            let lost = try await box.sandbox.directory.writeProgram("#!/nowhere/sh\n", to: "lost")
            for option in ["--if-missing=error", "--if-missing=warn"] {
                let outcome = try await run("\(lost)?names=A", option)
                #expect(outcome.status == .exited(125) && outcome.outputText.isEmpty)
                #expect(outcome.errorText.contains("\(lost) cannot be started: no such file"), "\(outcome.errorText)")
                #expect(outcome.errorText.contains("hint: see its first line"))
            }
            let named = try await run("\(good.path)?names=A=content")
            #expect(named.status == .exited(64) && named.errorText.contains("names has a name with '=' in it"))
            #expect(!named.errorText.contains("content"), "\(named.errorText)")
            // What is named and not there stops only those who say so; what is left out of --only is not wanted.
            let missing = "\(good.path)?names=A,GONE"
            #expect(try await run(missing).status == .exited(0))
            #expect(try await run(missing, "--if-missing=error", "--only", "A,S").status == .exited(0))
            let refused = try await run(missing, "--if-missing=error")
            #expect(refused.status == .exited(125) && refused.errorText.contains("error: exec:\(missing): 'GONE'"))
            // Of a mount that is live it stops nothing.
            let mount = try await box.mount("--source", "exec:\(good.path)?names=A&ttl=1h", "--if-missing=error")
            try good.remove("A")
            #expect(try await box.credfs("refresh", "A").status == .exited(11))
            #expect(try await box.credfs("reload").status == .exited(0) && text("\(mount.path)/A") == nil)
            try await box.unmountAll()
        }

        @Test func aValueThatIsTooLargeIsCalledSo() async throws {
            let box = try await JobBox(["S": "store"])
            let endless = try await box.sandbox.directory.writeProgram("#!/bin/sh\nexec cat /dev/zero\n", to: "endless")
            let began = ContinuousClock.now
            let outcome = try await box.run(["--source", "exec:\(endless)?names=A&timeout=100s"], shell: "cat $S_FILE")
            #expect(outcome.outputText == "store")
            #expect(outcome.errorText.contains("wrote a value larger than 1048576 bytes"), "\(outcome.errorText)")
            #expect(ContinuousClock.now - began < .seconds(50))
            // The newline at its end does not count.
            let full = try await box.sandbox.directory.writeProgram(
                "#!/bin/sh\nhead -c 64 /dev/zero | tr '\\0' x; echo\n",
                to: "full"
            )
            let exact = try await box.run(
                ["--source", "exec:\(full)?names=A", "--max-size", "64"],
                shell: "wc -c <$A_FILE"
            )
            #expect(exact.outputText == "64\n", "\(exact.errorText)")
        }

        @Test func whatHangsIsKilledWithAllThatItStarted() async throws {
            let box = try await JobBox(["S": "store"])
            let program = try await Program(box, ["A": "a"])
            try program.fail("hang")
            let names = (0..<20).map { "N\($0)" }.joined(separator: ",")
            let began = ContinuousClock.now
            let outcome = try await box.run(
                ["--source", "exec:\(program.path)?names=\(names)&timeout=400ms"],
                shell: "cat $S_FILE"
            )
            #expect(outcome.outputText == "store" && outcome.errorText.contains("did not end in time"))
            // Twice, and then not for each of twenty.
            #expect(ContinuousClock.now - began < .seconds(6))
            #expect(program.calls.count == 2)
            let children = try Files.read(box.sandbox.directory.path("asked/children"))
            let processes = String(decoding: children, as: UTF8.self).split(separator: "\n").compactMap { Int32($0) }
            #expect(processes.count == 2)
            for process in processes {
                try await Eventually.holds("the end of \(process)", within: .seconds(20)) {
                    !ProcessState.isAlive(process)
                }
            }
            // A job that ends while a refresh waits keeps nobody waiting.
            try program.fail(nil)
            let mount = try await box.mount("--source", "exec:\(program.path)?names=A&timeout=100s")
            #expect(text("\(mount.path)/A") == "a")
            try program.fail("hang")
            let calls = program.calls.count
            async let refreshed = box.credfs("refresh", "A")
            try await Eventually.holds("the call") { program.calls.count > calls }
            let end = ContinuousClock.now
            try await box.unmountAll()
            #expect(ContinuousClock.now - end < .seconds(20))
            #expect(try await refreshed.status != .exited(0))
            // Nor does the program outlive the mount by its timeout.
            let all = String(decoding: try Files.read(box.sandbox.directory.path("asked/children")), as: UTF8.self)
            let last = try #require(all.split(separator: "\n").last.flatMap { Int32($0) })
            #expect(!processes.contains(last))
            try await Eventually.holds("the end of \(last)", within: .seconds(20)) { !ProcessState.isAlive(last) }
        }

        @Test func missingAndUnavailableAreDifferentFailures() async throws {
            let box = try await JobBox(["S": "store"])
            let template = try box.sandbox.directory.write(
                Array("secrets:\n  NEEDED:\n    value: \"\"\n    required: true\n".utf8),
                to: "template.yaml",
                permissions: 0o600
            )
            try await box.sandbox.succeed("encrypt", template, "-y")
            let program = try await Program(box, [:])
            let source = ["--source", "exec:\(program.path)"]
            try await box.credfs("mount", source[0], source[1]).expectRefusal(11, "'NEEDED'")
            try program.fail("down")
            try await box.credfs("mount", source[0], source[1]).expectRefusal(
                20,
                "ended with status 1",
                hint: "by hand"
            )
            let run = try await box.run(source, shell: "true")
            #expect(run.status == .exited(125) && run.errorText.contains("ended with status 1"), "\(run.errorText)")
            // What is there is served, and what is not is said; it comes by itself.
            let mount = try await box.mount(source[0], "\(source[1])?ttl=300ms", "--if-missing", "warn")
            #expect(text("\(mount.path)/S") == "store" && text("\(mount.path)/NEEDED") == nil)
            try program.fail(nil)
            try program.set("NEEDED", "now")
            try await Eventually.holds("the value", within: .seconds(60)) { text("\(mount.path)/NEEDED") == "now" }
            try await box.unmountAll()
            let ignored = try await box.run(
                ["--source", "exec:\(program.path)?names=X,NEEDED", "--only", "X", "--if-missing", "ignore"],
                shell: "ls $CREDENTIALS_DIRECTORY"
            )
            #expect(ignored.status == .exited(0) && ignored.outputText.isEmpty, "\(ignored.errorText)")
            let only = try await box.run(
                ["--source", "exec:\(program.path)?names=X,NEEDED", "--only", "X"],
                shell: "true"
            )
            #expect(only.status == .exited(125) && only.errorText.contains("'X'"), "\(only.errorText)")
        }

        @Test func oneSourceFallsBackToTheNextAndToADefault() async throws {
            let box = try await JobBox(["A": "store a"])
            let program = try await Program(box, ["A": "asked a", "B": "asked b"])
            let file = try box.sandbox.directory.write(
                Array(
                    """
                    sources:
                      - env:A,B,C
                      - source: exec:asked/provider
                        names: [A, B, D, E]
                        ttl: 60s
                        timeout: 2s
                    default:
                      D: declared
                      B: never seen

                    """.utf8
                ),
                to: "credfs.yaml",
                permissions: 0o644
            )
            let variables = ["CREDFS_CONFIG": file, "B": "env b", "C": "env c"]
            let script = "cd $CREDENTIALS_DIRECTORY; for n in *; do printf '%s=%s ' $n \"$(cat $n)\"; done"
            let outcome = try await box.run([], shell: script, adding: variables)
            #expect(outcome.outputText == "A=asked a B=asked b C=env c D=declared ", "\(outcome.errorText)")
            #expect(outcome.errorText.contains("'D': \(program.path) knows no such secret"))
            try program.fail("down")
            let down = try await box.run([], shell: script, adding: variables)
            #expect(down.outputText == "A=store a B=env b C=env c D=declared ", "\(down.errorText)")
            #expect(
                down.errorText.contains("'B': \(program.path) ended with status 1; its value is that of another source")
            )
            // An option lies above the configuration.
            let above = try await box.run(
                ["--source", "env:A"],
                shell: script,
                adding: variables.merging(["A": "top"]) { $1 }
            )
            #expect(above.outputText.hasPrefix("A=top "), "\(above.errorText)")
            #expect(!program.calls.suffix(3).contains("A"))
            for (text, message) in [
                ("sources: env:A\n", "a list is expected"), ("sources: [x:y]\n", "no source of this form"),
                ("sources: [{names: [A]}]\n", "without its address"),
                ("sources: [{source: exec:x, other: 1}]\n", "unknown key"),
                ("sources: [{source: env:A, ttl: 1s}]\n", "ttl is for sources that are asked"),
                ("sources: [{source: exec:x, ttl: soon}]\n", "ttl is an integer"),
                ("default: {A/B/C: x}\n", "bad name"),
            ] {
                try box.sandbox.directory.write(Array(text.utf8), to: "credfs.yaml", permissions: 0o644)
                let refused = try await box.run([], shell: "true", adding: variables)
                #expect(refused.status == .exited(125) && refused.errorText.contains(message), "\(refused.errorText)")
            }
        }

        @Test func aProgramThatOthersCouldWriteIsNotRun() async throws {
            let box = try await JobBox(["S": "store"])
            let program = try await Program(box, ["A": "a"])
            for (mode, message) in [(0o777, "insecure permissions"), (0o644, "cannot be run")] {
                try Files.setMode(mode, program.path)
                let outcome = try await box.run(["--source", "exec:\(program.path)?names=A"], shell: "true")
                #expect(outcome.status == .exited(125) && outcome.errorText.contains(message), "\(outcome.errorText)")
            }
            for (source, message) in [
                ("exec:/nonexistent", "no such file"), ("exec:no-such-program", "no program no-such-program in PATH"),
                ("exec:\(box.sandbox.directory.path)", "not a regular file"),
            ] {
                let outcome = try await box.run(["--source", source], shell: "true")
                #expect(outcome.status == .exited(125) && outcome.errorText.contains(message), "\(outcome.errorText)")
            }
            #expect(program.calls.isEmpty)
            let usage = try await box.run(["--source", "exec:/x?s3cr3t=1"], shell: "true")
            #expect(usage.status == .exited(64) && !usage.errorText.contains("s3cr3t"), "\(usage.errorText)")
        }

        @Test func aReaderOfANameWhoseSourceFailsIsToldSo() async throws {
            let box = try await JobBox(["A": "store a"])
            let template = try box.sandbox.directory.write(
                Array("secrets:\n  HIDDEN:\n    value: \"\"\n    policy:\n      hidden: true\n      uids: [0]\n".utf8),
                to: "template.yaml",
                permissions: 0o600
            )
            try await box.sandbox.succeed("encrypt", template, "-y")
            let program = try await Program(box, [:])
            try program.fail("down")
            let mounted = try await box.credfs(
                "mount",
                "--source",
                "exec:\(program.path)?names=DOWN,HIDDEN,UP&ttl=1h"
            )
            try #require(mounted.status == .exited(0), "\(mounted.errorText)")
            let path = String(mounted.outputText.dropLast())
            func failure(_ name: String) -> Int32 {
                let descriptor = unsafe open("\(path)/\(name)", O_RDONLY)
                if descriptor >= 0 { close(descriptor) }
                return descriptor >= 0 ? 0 : errno
            }
            #expect(failure("A") == 0)
            // It is not listed, and not said to be none either; a hidden one is never said to be there.
            #expect(["DOWN", "UP", "HIDDEN", "OTHER"].map(failure) == [EIO, EIO, ENOENT, ENOENT])
            #expect(try FileManager.default.contentsOfDirectory(atPath: path) == ["A"])
            try program.set("UP", "up")
            try program.fail(nil)
            let refresh = try await box.credfs("refresh", "--all")
            #expect(refresh.status == .exited(11), "\(refresh.errorText)")
            #expect(text("\(path)/UP") == "up")
            // Now it is known that there is none.
            try await Eventually.holds("DOWN is known to be none") { failure("DOWN") == ENOENT }
            #expect(try await box.credfs("unmount", path).status == .exited(0))
            try box.expectNothingLeft()
        }

        @Test func aProgramInheritsNoKeyAndNoVariableThatWasTaken() async throws {
            let box = try await JobBox(["S": "store"])
            let path = try await box.sandbox.directory.writeProgram(
                "#!/bin/sh\nenv; ls -l /proc/self/fd\n",
                to: "env-provider"
            )
            let outcome = try await box.run(
                ["--source", "env:TAKEN", "--source", "exec:\(path)?names=A"],
                shell: "cat $A_FILE",
                adding: ["TAKEN": "taken-value", "KEPT": "kept", "CREDFS_KEY_FILE": box.sandbox.path("secrets.key")]
            )
            #expect(outcome.outputText.contains("KEPT=kept"), "\(outcome.errorText)")
            #expect(!outcome.outputText.contains("taken-value") && !outcome.outputText.contains("CREDFS_KEY"))
            // 0 to 2, and the one that ls(1) looks with.
            #expect(
                outcome.outputText.split(separator: "\n").count { $0.contains(" -> ") } == 4,
                "\(outcome.outputText)"
            )
        }

        @Test func theHealthOfALiveMountIsWhatItsServerKnows() async throws {
            let box = try await JobBox(["S": "store"])
            let program = try await Program(box, ["A": "a", "B": "b"])
            let plain = try await box.mount(try box.makeDirectory("plain"))
            let mount = try await box.mount("--source", "exec:\(program.path)?names=A,B&ttl=1h")
            let calls = program.calls.count
            let well = try await box.credfs("health", mount.path, "--json")
            let known = try #require(try well.json()["sources"] as? [[String: Any]])
            #expect(well.status == .exited(0) && known.map { $0["source"] as? String } == ["exec:\(program.path)"])
            #expect(known.first?["cached"] as? Int == 2 && known.first?["stale"] as? Int == 0)
            #expect(known.first?["ageSeconds"] is Int && known.first?["lastError"] is NSNull, "\(well.outputText)")
            #expect(program.calls.count == calls, "nobody is asked for it")
            try program.fail("down")
            #expect(try await box.credfs("refresh", "A", mount.path).status == .exited(20))
            let sick = try await box.credfs("health", mount.path)
            #expect(sick.status == .exited(20) && sick.outputText.contains("  2 values  1 of before  "))
            #expect(sick.outputText.contains("ended with status 1"), "\(sick.outputText)")
            let none = try await box.credfs("health", plain.path)
            #expect(none.status == .exited(0) && none.errorText.contains("no source of this mount is asked"))
            try await box.unmountAll()
        }

        @Test func itIsExplainedWhichSourceWinsAndWhetherEachAnswers() async throws {
            let box = try await JobBox(["A": "store a", "B": "store b"])
            let program = try await Program(box, ["A": "s3cr3t a"])
            let source = "exec:\(program.path)?names=A,GONE"
            let variables = ["A": "s3cr3t env", "GONE": ""]
            func explain(_ arguments: String...) async throws -> ChildProcess.Outcome {
                try await ChildProcess.run(
                    CommandTests.credfs,
                    ["explain", "--source", "env:A", "--source", source] + arguments,
                    environment: box.environment.merging(variables) { $1 }
                )
            }
            let won = try await explain("A")
            #expect(
                won.outputText == """
                    \(source)  has the value that counts
                    env:A  has a value, below the one that counts
                    store  has a value, below the one that counts

                    """,
                "\(won.errorText)"
            )
            let other = try await explain("B", "--json").json()
            #expect(other["source"] as? String == "store" && other["schemaVersion"] as? Int == 1)
            let gone = try await explain("GONE")
            #expect(gone.status == .exited(11) && gone.outputText.contains("has none: \(program.path) knows no such"))
            try program.fail("down")
            let down = try await explain("GONE")
            #expect(down.status == .exited(20) && down.outputText.contains("cannot tell: "), "\(down.errorText)")
            let below = try await explain("A")
            #expect(below.status == .exited(0) && below.outputText.contains("env:A  has the value that counts"))
            for outcome in [won, gone, down, below] {
                #expect(!(outcome.outputText + outcome.errorText).contains("s3cr3t"))
            }

            let sick = try await box.credfs("health", "--json", "--source", source, "--source", "dir:/nonexistent")
            #expect(sick.status == .exited(20) && sick.errorText.contains("is not available"), "\(sick.errorText)")
            let sources = try #require(try sick.json()["sources"] as? [[String: Any]])
            #expect(sources.map { $0["source"] as? String } == ["dir:/nonexistent", source, "store"])
            #expect(sources.map { $0["reachable"] as? Bool } == [false, false, true])
            #expect(sources[1]["lastError"] as? String == "\(program.path) ended with status 1")
            try program.fail(nil)
            let well = try await box.credfs("health", "--source", source)
            #expect(well.status == .exited(0), "\(well.errorText)")
            #expect(well.outputText.hasPrefix("ok  \(source)  1 value"), "\(well.outputText)")
            #expect(well.outputText.contains("ok  store  2 values"))
        }

        @Test func metricsCountRequestsToSources() async throws {
            let box = try await JobBox(["S": "store"])
            let program = try await Program(box, ["A": "a"])
            let file = box.sandbox.directory.path("metrics.prom")
            let outcome = try await box.run(
                ["--source", "exec:\(program.path)?names=A,GONE", "--metrics", file],
                shell: "cat $A_FILE"
            )
            #expect(outcome.outputText == "a", "\(outcome.errorText)")
            let metrics = try #require(text(file))
            let source = "source=\"exec:\(program.path)\""
            #expect(metrics.contains("credfs_source_requests_total{\(source),result=\"success\"} 1\n"))
            #expect(metrics.contains("credfs_source_requests_total{\(source),result=\"notFound\"} 1\n"))
            #expect(metrics.contains("credfs_source_last_success_timestamp_seconds{\(source)} "))
            #expect(!metrics.contains("GONE"))
        }

        @Test(.enabled(if: isRoot)) func noAskedValueIsInTheMemoryOfAServerOrItsHelper() async throws {
            let marker = "Marker" + UUID().uuidString
            let box = try await JobBox(["S": "store"])
            let program = try await Program(box, ["A": marker])
            let mount = try await box.mount("--source", "exec:\(program.path)?names=A")
            #expect(text("\(mount.path)/A") == marker)
            #expect(try await box.credfs("refresh", "A").status == .exited(0))
            let list = try await ChildProcess.run("/bin/ps", ["-o", "pid=,args=", "--ppid", "\(mount.process)"])
            let helpers = list.outputText.split(separator: "\n")
                .filter { $0.split(separator: " ").dropFirst(2).first == "ask-source" }
                .compactMap { $0.split(separator: " ").first.map(String.init) }
            try #require(helpers.count == 1, "\(list.outputText)")
            for process in [mount.process] + helpers.compactMap({ Int32($0) }) {
                #expect(try await ProcessMemory.count(of: marker, in: process) == 0)
            }
            try await box.unmountAll()
            // The helper ends with the server.
            try await Eventually.holds("the end of the helper", within: .seconds(20)) {
                helpers.allSatisfy { !ProcessState.isAlive(Int32($0) ?? 0) }
            }
        }
    }
}
