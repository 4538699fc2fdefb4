// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

/// Policies of secrets on real mounts, with real processes that ask.
@Suite(.serialized, .timeLimit(.minutes(20)))
struct PolicyTests {
    private struct Entry: Decodable {
        let operation: String
        let secret: String?
        let status: String
        let reason: String?
        let executable: String?
    }

    private func opens(_ box: JobBox, _ operation: String = "open") throws -> [Entry] {
        let text = String(decoding: try Files.read(box.sandbox.path("state/audit.log")), as: UTF8.self)
        return try text.split(separator: "\n").map { try JSONDecoder().decode(Entry.self, from: Data($0.utf8)) }
            .filter { $0.operation == operation }
    }

    private func box(_ options: String..., secrets: [String: String] = ["T": "t"]) async throws -> JobBox {
        let box = try await JobBox(secrets)
        try await set(options, box)
        return box
    }

    private func set(_ options: [String], _ box: JobBox) async throws {
        let outcome = try await ChildProcess.run(
            credfs,
            ["policy", "set", "T"] + options,
            environment: box.environment
        )
        #expect(outcome.status == .exited(0), "\(outcome.errorText)")
    }

    private func resolved(_ path: String) -> String { URL(filePath: path).resolvingSymlinksInPath().path }

    private var cat: String { resolved("/bin/cat") }

    /// Expects that an open is refused with a key of the policy, and that the entry was there before the reply.
    private func expectDenied(_ key: String, _ box: JobBox, _ options: [String] = [], shell: String? = nil) async throws
    {
        let log = box.sandbox.path("state/audit.log")
        let script = (shell ?? "cat $T_FILE") + "; status=$?; grep -c '\"status\":\"denied\"' \(log) >&2; exit $status"
        let outcome = try await box.run(["--keep-store"] + options, shell: script)
        #expect(outcome.outputText == "" && outcome.errorText.contains("Permission denied"), "\(outcome.errorText)")
        #expect(!outcome.errorText.hasSuffix("\n0\n"))
        let denial = try #require(try opens(box).last)
        #expect(denial.status == "denied" && denial.reason == "policy: \(key)")
    }

    @Test func anExecutableIsLetInAndAnotherIsNot() async throws {
        let box = try await box("--allow-exe", cat)
        #expect(try await box.run([], shell: "cat $T_FILE").outputText == "t")
        try await expectDenied("executables", box, shell: "head -c9 $T_FILE")
    }

    @Test func anExecutableIsTheFileAndNoPath() async throws {
        let box = try await JobBox(["T": "t"])
        let program = box.sandbox.directory.path("reader")
        #expect(try await ChildProcess.run("/bin/cp", [cat, program]).status == .exited(0))
        try await set(["--allow-exe", program], box)
        #expect(try await box.run([], shell: "\(program) $T_FILE").outputText == "t")
        // Replaced after the start.
        let replace = "cp \(program) \(program).new; mv \(program).new \(program); \(program) $T_FILE"
        try await expectDenied("executables", box, shell: replace)
        // Written to after the start.
        try await expectDenied("executables", box, shell: "echo >> \(program); \(program) $T_FILE")
    }

    @Test(.enabled(if: isRoot, "mounts over a program"))
    func anImpostorAtTheAllowedPathIsRefused() async throws {
        let box = try await JobBox(["T": "t"])
        let program = box.sandbox.directory.path("reader")
        #expect(try await ChildProcess.run("/bin/cp", [cat, program]).status == .exited(0))
        try await set(["--allow-exe", program], box)
        try await expectDenied(
            "executables",
            box,
            shell: "mount --bind /usr/bin/head \(program) && \(program) -c9 $T_FILE"
        )
    }

    @Test func aDigestHoldsForACopyAndFailsForAnotherProgram() async throws {
        let box = try await box("--allow-exe-sha256", cat)
        let copy = box.sandbox.directory.path("copy")
        let reader = "cp \(cat) \(copy) && \(copy) $T_FILE && cat $T_FILE"
        #expect(try await box.run([], shell: reader).outputText == "tt")
        try await expectDenied("executables", box, shell: "head -c9 $T_FILE")
    }

    @Test func manyReadersWaitForOneDigest() async throws {
        let box = try await box("--allow-exe-sha256", resolved("/usr/bin/python3"))
        let program = """
            import os, threading
            def read(): results.append(open(os.environ["T_FILE"]).read())
            results = []
            threads = [threading.Thread(target=read) for _ in range(32)]
            [thread.start() for thread in threads]
            [thread.join() for thread in threads]
            print(results.count("t"))
            """
        let outcome = try await box.run([], shell: "exec /usr/bin/python3 -c '\(program)'")
        #expect(outcome.outputText == "32\n", "\(outcome.errorText)")
    }

    @Test func anotherProgramInTheSameProcessIsRefused() async throws {
        let box = try await box("--allow-exe", resolved("/bin/bash"))
        let outcome = try await box.run([], shell: "read -r x < $T_FILE; echo $x; exec cat $T_FILE")
        #expect(outcome.outputText == "t\n" && outcome.status != .exited(0), "\(outcome.errorText)")
        #expect(try opens(box).map(\.status) == ["success", "denied"])
    }

    @Test func aScriptIsItsInterpreter() async throws {
        let python = resolved("/usr/bin/python3")
        let box = try await box("--allow-exe", python)
        let text = "#!\(python)\nimport os; print(open(os.environ['T_FILE']).read(), end='')\n"
        let script = try await box.sandbox.directory.writeProgram(text, to: "script")
        #expect(try await box.run([], shell: script).outputText == "t")
    }

    @Test func aThreadThatIsNotTheLeaderIsItsProcess() async throws {
        let box = try await box("--allow-exe", resolved("/usr/bin/python3"), "--allow-uid", String(geteuid()))
        let program = """
            import os, threading
            thread = threading.Thread(target=lambda: print(open(os.environ["T_FILE"]).read(), end=""))
            thread.start(); thread.join()
            """
        #expect(try await box.run([], shell: "exec /usr/bin/python3 -c '\(program)'").outputText == "t")
    }

    @Test func aUserIsRefused() async throws {
        let box = try await box("--allow-uid", "12345")
        try await expectDenied("uids", box)
        try await set(["--allow-uid", String(geteuid())], box)
        #expect(try await box.run([], shell: "cat $T_FILE").outputText == "t")
    }

    @Test func timesAreKept() async throws {
        let box = try await box("--not-before", "2099-01-01T00:00:00Z")
        try await expectDenied("not_before", box)
        try await set(["--no-policy", "--not-after", "2001-01-01T00:00:00Z"], box)
        try await expectDenied("not_after", box)
        try await set(
            ["--no-policy", "--not-before", "2001-01-01T00:00:00Z", "--not-after", "2099-01-01T00:00:00Z"],
            box
        )
        #expect(try await box.run([], shell: "cat $T_FILE").outputText == "t")
    }

    @Test func aUnitIsRefused() async throws {
        let box = try await box("--allow-unit", "nobody-has-this.service")
        try await expectDenied("units", box)
    }

    @Test(.enabled(if: isRoot, "makes a control group"))
    func aProcessInTheUnitIsLetIn() async throws {
        let box = try await box("--allow-unit", "credfs-test.service")
        // A hierarchy of its own, so that nothing of the machine is changed.
        let script = """
            set -e
            mount -t cgroup2 none /mnt
            mkdir -p /mnt/credfs-test.service
            sh -c 'echo $$ > /mnt/credfs-test.service/cgroup.procs; exec cat "$T_FILE"'
            rmdir /mnt/credfs-test.service
            """
        let outcome = try await box.run([], shell: script)
        #expect(outcome.outputText == "t", "\(outcome.errorText)")
    }

    @Test(arguments: [1, 3]) func burnAfterReadingIsExact(_ limit: Int) async throws {
        let box = try await box("--max-reads", String(limit))
        let program = """
            import os, threading
            granted = []
            def read():
                try: granted.append(open(os.environ["T_FILE"]).read())
                except PermissionError: pass
            threads = [threading.Thread(target=read) for _ in range(64)]
            [thread.start() for thread in threads]
            [thread.join() for thread in threads]
            os.stat(os.environ["T_FILE"]); os.listdir(os.environ["CREDENTIALS_DIRECTORY"])
            print(granted)
            """
        let outcome = try await box.run([], shell: "exec /usr/bin/python3 -c '\(program)'")
        let granted = Array(repeating: "'t'", count: limit).joined(separator: ", ")
        #expect(outcome.outputText == "[\(granted)]\n", "\(outcome.errorText)")
        #expect(try opens(box).count { $0.reason == "policy: max_reads" } == 64 - limit)
        // Each mount counts for itself.
        #expect(try await box.run([], shell: "cat $T_FILE").outputText == "t")
    }

    @Test func whatIsHiddenIsNotThereForOthers() async throws {
        let box = try await box("--allow-exe", cat, "--hidden", secrets: ["T": "t", "U": "u"])
        let script = """
            cd $CREDENTIALS_DIRECTORY
            cat T; ls; stat T; [ -e T ] && echo seen; cat T; head -c1 T; stat -c %s T; ls -l T
            """
        let outcome = try await box.run([], shell: script)
        #expect(outcome.outputText == "tU\nt", "\(outcome.outputText)")
        let errors = outcome.errorText.split(separator: "\n").filter { $0.hasSuffix("No such file or directory") }
        #expect(errors.count == 4, "\(outcome.errorText)")
        #expect(
            try opens(box).contains {
                $0.reason == "policy: executables (hidden)" && $0.executable == resolved("/bin/ls")
            }
        )
    }

    /// A variable would tell every process of the job that there is such a secret.
    @Test func whatIsHiddenHasNoVariableUnlessItIsNamed() async throws {
        let box = try await box("--allow-exe", cat, "--hidden", secrets: ["T": "t", "U": "u"])
        #expect(try await box.run([], shell: "env | grep -c -e '^T_FILE' -e '^U_FILE'").outputText == "1\n")
        let named = try await box.run(["--file-var", "T=WHERE"], shell: "cat \"$WHERE\" $CREDENTIALS_DIRECTORY/T")
        #expect(named.outputText == "tt", "\(named.errorText)")
    }

    @Test func aPlaceholderHasNoByteOfTheValue() async throws {
        let box = try await box("--allow-exe", cat, "--placeholder")
        let script =
            "cat $T_FILE; echo; head -c99 $T_FILE; echo; tail -c +8 $T_FILE; echo; dd if=$T_FILE bs=3 status=none"
        let outcome = try await box.run([], shell: script)
        let text = "credfs-placeholder:T"
        #expect(outcome.outputText == "t\n\(text)\n\(text.dropFirst(7))\n\(text)", "\(outcome.errorText)")
        #expect(try opens(box).last?.reason == "policy: executables (placeholder)")
    }

    @Test func aDecoyRaisesAnAlert() async throws {
        let box = try await box("--decoy")
        let outcome = try await box.run([], shell: "cat $T_FILE; cat $T_FILE")
        #expect(outcome.outputText == "tt")
        #expect(outcome.lines("warning").filter { $0 == "alert: the decoy 'T' was opened" }.count == 2)
        #expect(try opens(box, "alert").map(\.reason) == ["decoy opened", "decoy opened"])
        #expect(try opens(box).count == 2)
    }

    @Test func observingRefusesNobodyAndSaysWhoWouldBe() async throws {
        let box = try await box("--allow-exe", cat, "--max-reads", "1")
        let script = "head -c9 $T_FILE; cat $T_FILE; cat $T_FILE"
        let outcome = try await box.run(["--policy", "observe"], shell: script)
        #expect(outcome.outputText == "ttt", "\(outcome.errorText)")
        #expect(try opens(box).map(\.status) == ["would-deny", "success", "would-deny"])
        #expect(
            try opens(box).map(\.reason) == ["policy: executables", nil, "policy: max_reads"]
        )
    }

    @Test func whatWasSeenIsSuggestedAndNothingMore() async throws {
        let box = try await JobBox(["T": "t", "U": "u", "UNREAD": "x"])
        let job = "cat $T_FILE; head -c9 $T_FILE; cat $U_FILE"
        #expect(try await box.run(["--policy", "observe"], shell: job).outputText == "ttu")
        let text = try await box.sandbox.succeed("policy", "suggest").outputText
        let head = resolved("/usr/bin/head")
        let lines = [
            "credfs policy set T --allow-exe \(cat) --allow-exe \(head) --allow-uid \(geteuid())",
            "credfs policy set U --allow-exe \(cat) --allow-uid \(geteuid())",
        ]
        #expect(text == lines.map { $0 + "\n" }.joined())
        try await box.sandbox.succeed("policy", "suggest", "--apply")
        let before = try opens(box).count { $0.status == "denied" }
        #expect(try await box.run([], shell: job).outputText == "ttu")
        #expect(try opens(box).count { $0.status == "denied" } == before)
        let more = try await box.run([], shell: job + "; head -c9 $U_FILE")
        #expect(more.outputText == "ttu" && more.errorText.contains("Permission denied"))
        #expect(try opens(box).count { $0.status == "denied" } == before + 1)
        #expect(try opens(box).last { $0.status == "denied" }?.secret == "U")
    }

    /// What is suggested is pasted into a shell, whatever a program is called.
    @Test(arguments: ["a,b", "with space", "it's $HOME `x`", "/comma,/abs"])
    func aSuggestionIsTakenBackAsItWasPrinted(_ name: String) async throws {
        let box = try await JobBox(["T": "t"])
        let program = box.sandbox.directory.path("bin/\(name.hasPrefix("/") ? String(name.dropFirst()) : name)")
        let job = "\"$P\" $T_FILE"
        let made = try await box.run(
            [],
            shell: "mkdir -p \"$(dirname \"$P\")\" && cp /bin/cat \"$P\" && \(job)",
            adding: ["P": program]
        )
        #expect(made.outputText == "t", "\(made.errorText)")
        let text = try await box.sandbox.succeed("policy", "suggest").outputText
        let pasted = try await ChildProcess.run(
            "/bin/sh",
            ["-c", "credfs() { \"$CREDFS_UNDER_TEST\" \"$@\"; }; \(text)"],
            environment: box.environment.merging(["CREDFS_UNDER_TEST": CommandTests.credfs]) { $1 }
        )
        #expect(pasted.status == .exited(0) && pasted.errorText.isEmpty, "\(pasted.errorText)")
        let again = try await box.run([], shell: "\(job); cat $T_FILE", adding: ["P": program])
        #expect(again.outputText == "t" && again.errorText.contains("Permission denied"), "\(again.errorText)")
    }

    /// No manifest can hold such a path, and whoever is observed chooses his own.
    @Test(arguments: ["line\nbreak", "tab\tbed", "\u{1b}[2Jcleared", "turned\u{202e}round", "bell\u{7}"])
    func aPathThatNoManifestHoldsIsRefused(_ name: String) async throws {
        let box = try await JobBox(["T": "t", "U": "u"])
        let program = box.sandbox.directory.path(name)
        let before = try box.sandbox.manifest()
        for arguments in [["policy", "set", "T"], ["set", "T", "--keep-value"]] {
            for option in ["--allow-exe", "--allow-exe-sha256"] {
                try await box.sandbox.run(arguments + [option, program]).expectRefusal(64, "\(option) takes")
            }
        }
        #expect(try box.sandbox.manifest() == before)
        let job = "cp /bin/cat \"$P\" && \"$P\" $T_FILE && cat $U_FILE"
        #expect(try await box.run([], shell: job, adding: ["P": program]).outputText == "tu")
        let printed = try await box.sandbox.succeed("policy", "suggest")
        #expect(printed.outputText == "credfs policy set U --allow-exe \(cat) --allow-uid \(geteuid())\n")
        #expect(printed.lines("warning").count == 1 && printed.errorText.contains("opened T have a path"))
        let applied = try await box.sandbox.succeed("policy", "suggest", "--apply")
        #expect(applied.lines("warning") == printed.lines("warning"))
        try await box.sandbox.succeed("verify")
        #expect(try await box.sandbox.succeed("policy", "show").outputText.hasPrefix("U:\n"))
    }

    /// Whoever opened a decoy is the last who should be let in.
    @Test func whoOpenedADecoyIsNotSuggested() async throws {
        let box = try await box("--decoy", secrets: ["T": "t", "U": "u"])
        #expect(try await box.run([], shell: "cat $T_FILE $U_FILE").outputText == "tu")
        let printed = try await box.sandbox.succeed("policy", "suggest")
        #expect(printed.outputText == "credfs policy set U --allow-exe \(cat) --allow-uid \(geteuid())\n")
        #expect(
            printed.lines("warning") == [
                "the decoy T was opened, which makes no policy: see who in credfs audit report"
            ]
        )
        try await box.sandbox.succeed("policy", "suggest", "--apply")
        #expect(
            try await box.sandbox.succeed("policy", "show", "T").outputText == "T:\n  decoy: any open raises an alert\n"
        )
    }

    @Test func anExecutableThatCannotReadIsWarnedOf() async throws {
        let box = try await JobBox(["T": "t"])
        let script = try await box.sandbox.directory.writeProgram("#!/bin/sh\ncat\n", to: "script")
        for (path, warning) in [
            ("/nonexistent/tool", "is not there"), ("/etc", "is no program"), ("/etc/passwd", "is no program"),
            (script, "is a script"),
        ] {
            let outcome = try await box.sandbox.succeed("policy", "set", "T", "--allow-exe", path)
            #expect(outcome.lines("warning").count == 1 && outcome.errorText.contains(warning), "\(outcome.errorText)")
            let set = try await box.sandbox.succeed("set", "T", "--keep-value", "--allow-exe", path)
            #expect(set.lines("warning") == outcome.lines("warning"))
        }
        let outcome = try await box.sandbox.succeed("policy", "set", "T", "--allow-exe", "\(cat),/usr/bin/head")
        #expect(outcome.errorText.isEmpty)
        #expect(try await box.sandbox.succeed("policy", "show").outputText.contains("/usr/bin/head"))
    }

    @Test func aLogThatWasChangedMakesNoPolicy() async throws {
        let box = try await JobBox(["T": "t"])
        _ = try await box.run([], shell: "cat $T_FILE")
        let log = box.sandbox.path("state/audit.log")
        let text = String(decoding: try Files.read(log), as: UTF8.self)
        try Data(text.replacing("\"executable\":\"\(cat)\"", with: "\"executable\":\"/bin/sh\"").utf8)
            .write(to: URL(filePath: log))
        try await box.sandbox.run("policy", "suggest", "--apply").expectRefusal(15, "no policy is made of it")
        #expect(try await box.sandbox.succeed("policy", "show").outputText == "")
    }

    @Test func aTestSaysWhichKeyRefuses() async throws {
        let box = try await box("--allow-exe", cat, "--allow-uid", "7", "--allow-unit", "a.service")
        func test(_ options: String...) async throws -> (String, Bool) {
            let outcome = try await ChildProcess.run(
                credfs,
                ["policy", "test", "T"] + options,
                environment: box.environment
            )
            return (outcome.outputText, outcome.status == .exited(outcome.outputText == "allow\n" ? 0 : 21))
        }
        #expect(try await test("--exe", cat, "--uid", "7", "--unit", "a.service") == ("allow\n", true))
        #expect(
            try await test("--exe", "/bin/sh", "--uid", "7", "--unit", "a.service") == ("deny: executables\n", true)
        )
        #expect(try await test("--exe", cat, "--uid", "8", "--unit", "a.service") == ("deny: uids\n", true))
        #expect(try await test("--exe", cat, "--uid", "7") == ("deny: units\n", true))
    }

    @Test func aPolicyIsShownAndTakenAway() async throws {
        let box = try await box("--allow-exe", "/usr/bin/git,/usr/bin/docker", "--max-reads", "2", "--hidden")
        let text = try await box.sandbox.succeed("policy", "show", "T").outputText
        #expect(
            text == """
                T:
                  executables: /usr/bin/git
                  executables: /usr/bin/docker
                  max_reads: 2
                  refused callers: see no such secret

                """
        )
        let json = try await box.sandbox.succeed("policy", "show", "--json").outputText
        #expect(json.contains("\"max_reads\" : 2") && json.contains("\"path\" : \"/usr/bin/git\""))
        #expect(try await box.sandbox.succeed("get", "T").outputText.contains("policy max_reads: 2\n"))
        try await box.sandbox.succeed("policy", "set", "T", "--no-policy")
        let none = try await box.sandbox.succeed("policy", "show")
        #expect(none.outputText == "" && none.errorText == "credfs: no secret has a policy\n")
    }

    @Test func whereNothingEnforcesAPolicyNothingIsShown() async throws {
        let box = try await box("--allow-exe", cat)
        try await box.run(["--env", "T"], shell: "true").expectRefusal(21, "'T'", hint: "--ignore-policy")
        try await box.run(["--backend", "ramfs"], shell: "true").expectRefusal(21, "'T'", hint: "--ignore-policy")
        let outcome = try await box.run(["--env", "T", "--ignore-policy"], shell: "echo $T")
        #expect(outcome.outputText == "t\n", "\(outcome.errorText)")
    }

    @Test(arguments: [
        ("executables: [{path: bin/cat}]", "an absolute path is expected"),
        ("executables: [/bin/cat]", "a mapping with 'path' is expected"),
        ("units: ['a b']", "the name of a unit or container is expected"),
        ("hidden: true\n      placeholder: true", "hidden and placeholder exclude each other"),
        ("not_before: 2030-01-01T00:00:00Z\n      not_after: 2020-01-01T00:00:00Z", "not_after is not later"),
        ("max_reads: 0", "max_reads must be at least 1"),
        ("callers: everybody", "unknown word"),
        ("executable: []", "unknown key"),
    ])
    func aMalformedPolicyIsRefusedWithItsLine(_ text: String, _ message: String) async throws {
        let box = try await JobBox(["T": "t"])
        var manifest = try box.sandbox.manifest()
        manifest.replace("  T:\n", with: "  T:\n    policy:\n      \(text)\n")
        try box.sandbox.replaceManifest(manifest.utf8)
        let outcome = try await box.sandbox.run("verify")
        #expect(outcome.status == .exited(17) && outcome.outputText.contains(message), "\(outcome.outputText)")
        #expect(outcome.outputText.contains("line "))
    }

    @Test func aReloadResetsReadsOnlyWithANewValue() async throws {
        let box = try await box("--max-reads", "1", secrets: ["T": "t", "U": "u"])
        let mounted = try await box.credfs("mount")
        let path = mounted.outputText.trimmingCharacters(in: .newlines)
        try #require(mounted.status == .exited(0), "\(mounted.errorText)")
        func read() async throws -> String { try await ChildProcess.run("/bin/cat", ["\(path)/T"]).outputText }
        #expect(try await read() == "t")
        #expect(try await read() == "")
        try await box.sandbox.succeed("set", "U", input: Array("v".utf8))
        try await reload(box, path, until: "v")
        #expect(try await read() == "")
        try await box.sandbox.succeed("set", "T", input: Array("n".utf8))
        try await box.sandbox.succeed("set", "U", input: Array("w".utf8))
        try await reload(box, path, until: "w")
        #expect(try await read() == "n")
        #expect(try await box.credfs("unmount", path).status == .exited(0))
    }

    private func reload(_ box: JobBox, _ path: String, until value: String) async throws {
        let status = try await box.credfs("status", "--json").outputText
        let match = try #require(status.firstMatch(of: /"pid" : (\d+)/))
        kill(try #require(Int32(match.1)), SIGHUP)
        for _ in 0..<500 {
            if try await ChildProcess.run("/bin/cat", ["\(path)/U"]).outputText == value { return }
            try await Task.sleep(for: .milliseconds(20))
        }
        Issue.record("the mount does not serve \(value)")
    }
}
