// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

/// Opens of secrets as entries of the audit log, on real mounts.
@Suite(.serialized, .timeLimit(.minutes(20)))
struct OpenAuditTests {
    private struct Entry: Decodable {
        struct Repeat: Decodable {
            let count: Int
        }

        struct Claims: Decodable {
            let argument: String?
            let name: String?
        }

        let operation: String
        let secret: String?
        let status: String
        let reason: String?
        let uid: Int?
        let pid: Int
        let mount: String?
        let executable: String?
        let parent: String?
        let startTime: UInt64?
        let ancestors: [String]?
        let claimed: Claims?
        let `repeat`: Repeat?
    }

    private func entries(_ box: JobBox) throws -> [Entry] {
        try String(decoding: Files.read(box.sandbox.path("state/audit.log")), as: UTF8.self).split(separator: "\n").map
        {
            try JSONDecoder().decode(Entry.self, from: Data($0.utf8))
        }
    }

    private func opens(_ box: JobBox) throws -> [Entry] { try entries(box).filter { $0.operation == "open" } }

    private func resolved(_ path: String) -> String { URL(filePath: path).resolvingSymlinksInPath().path }

    @Test func aProgramWhoseNameIsNotUTF8HasAName() async throws {
        let box = try await JobBox(["T": "t"])
        let name = "$(printf '\\377\\376prog')"
        let script = "cd \(box.sandbox.directory.path) && cp /bin/cat \(name) && ./\(name) $T_FILE"
        let outcome = try await box.run([], shell: script)
        #expect(outcome.outputText == "t", "\(outcome.errorText)")
        let shown = try await box.sandbox.succeed("audit", "show").outputText
        #expect(shown.contains("bytes:\(box.sandbox.directory.path)/\\xff\\xfeprog"), "\(shown)")
        let suggested = try await box.sandbox.run("policy", "suggest")
        #expect(suggested.outputText.isEmpty)
        #expect(suggested.errorText.contains("unknown or gone"), "\(suggested.errorText)")
    }

    @Test func anOpenIsInTheLogBeforeItsReaderHasTheValue() async throws {
        let box = try await JobBox(["T": "t", "U": "u"])
        let log = box.sandbox.path("state/audit.log")
        let outcome = try await box.run(
            ["--keep-store"],
            shell: "read -r value < $T_FILE; grep -c '\"operation\":\"open\",\"secret\":\"T\"' \(log)"
        )
        #expect(outcome.outputText == "1\n", "\(outcome.errorText)")
        let open = try #require(try opens(box).first)
        #expect(try opens(box).map(\.secret) == ["T"])
        #expect(open.status == "success")
        #expect(open.executable == resolved("/bin/bash"))
        #expect(open.uid == Int(geteuid()))
        #expect((open.startTime ?? 0) > 0)
        #expect(open.claimed?.name == "bash" && open.claimed?.argument == "/bin/bash")
        #expect(open.ancestors?.first == open.parent && open.parent?.hasSuffix("/credfs") == true)
        let run = try #require(try entries(box).last { $0.operation == "run" })
        #expect(open.mount == run.mount && open.mount != nil)
        try await box.sandbox.succeed("audit", "verify")
        let shown = try await box.sandbox.succeed("audit", "show", "--secret", "T").outputText
        #expect(shown.contains(" success open T "))
    }

    @Test func everyReaderIsNamed() async throws {
        let box = try await JobBox(["T": "t"])
        let outcome = try await box.run([], shell: "cat $T_FILE; head -c1 $T_FILE; exec -a made-up cat $T_FILE")
        #expect(outcome.outputText == "ttt", "\(outcome.errorText)")
        let opens = try opens(box)
        #expect(opens.map(\.executable) == [resolved("/bin/cat"), resolved("/usr/bin/head"), resolved("/bin/cat")])
        #expect(opens.map(\.claimed?.argument) == ["cat", "head", "made-up"])
        #expect(Set(opens.map(\.pid)).count == 3)
    }

    @Test func aThreadAndAScriptAreTheirProcess() async throws {
        let box = try await JobBox(["T": "t"])
        let script = """
            import os, threading
            def read(): print(open(os.environ["T_FILE"]).read(), os.getpid(), end="")
            thread = threading.Thread(target=read)
            thread.start()
            thread.join()
            """
        let path = try box.sandbox.directory.write(Array(script.utf8), to: "read.py")
        let outcome = try await box.run([], shell: "exec /usr/bin/python3 \(path)")
        let words = outcome.outputText.split(separator: " ")
        try #require(words.count == 2, "\(outcome.errorText)")
        let open = try #require(try opens(box).first)
        #expect(open.pid == Int(words[1]))
        #expect(open.executable == resolved("/usr/bin/python3"))
    }

    @Test func repeatsAreCountedAndNoneIsMissed() async throws {
        let box = try await JobBox(["T": "t"])
        let loop = "for i in {1..200}; do read -r x < $T_FILE; [[ $x == t ]] || exit; done"
        let outcome = try await box.run([], shell: loop)
        #expect(outcome.status == .exited(0), "\(outcome.errorText)")
        let opens = try opens(box)
        let first = opens.count { $0.repeat == nil }
        #expect(first + opens.reduce(0) { $0 + ($1.repeat?.count ?? 0) } == 200)
        #expect(opens.count < 200)
        try await box.sandbox.succeed("audit", "verify")
    }

    @Test(.enabled(if: isRoot, "the mount is shared without a helper"))
    func aRefusalIsRecordedEachTime() async throws {
        let box = try await JobBox(["T": "t"])
        let script = "echo $T_FILE > $READY.new; mv $READY.new $READY; exec sleep 60"
        let job = try await box.start(["--shared"], shell: script)
        let path = job.text.trimmingCharacters(in: .whitespacesAndNewlines)
        for _ in 0..<3 {
            let outcome = try await ChildProcess.run("/bin/cat", [path], environment: ["LC_ALL": "C"])
            #expect(outcome.errorText.contains("Permission denied"))
        }
        kill(job.credfs.id, SIGTERM)
        _ = try await job.credfs.end()
        let denied = try opens(box)
        #expect(denied.map(\.status) == ["denied", "denied", "denied"])
        #expect(denied.allSatisfy { $0.executable == resolved("/bin/cat") && $0.reason != nil })
    }

    @Test func opensOfAMountAreRecorded() async throws {
        let box = try await JobBox(["T": "t"])
        let directory = try await box.credfs("mount").outputText.trimmingCharacters(in: .whitespacesAndNewlines)
        #expect(try await ChildProcess.run("/bin/cat", ["\(directory)/T"], environment: [:]).outputText == "t")
        let open = try #require(try opens(box).first)
        #expect(open.status == "success")
        #expect(open.mount == (try entries(box).last { $0.operation == "mount" }?.mount))
        #expect(try await box.credfs("unmount", directory).status == .exited(0))
        try await box.sandbox.succeed("audit", "verify")
    }

    @Test(.enabled(if: isRoot, "a file system is mounted"), arguments: ["default", "required"])
    func onAFullDiskTheRuleDecides(rule: String) async throws {
        let box = try await JobBox(["T": "t"])
        let state = try Snapshot(box.sandbox.path("state"))
        let path = box.sandbox.path("state")
        let result = unsafe "size=64k,mode=0700".withCString {
            unsafe mount("tmpfs", path, "tmpfs", 0, UnsafeRawPointer($0))
        }
        try #require(result == 0)
        defer { unsafe umount2(path, Int32(MNT_DETACH)) }
        for (name, entry) in state.entries { try box.sandbox.directory.write(entry.bytes, to: "store/state/\(name)") }
        // The last page of the log still has room for some entries, but not for these.
        let outcome = try await box.run(
            ["--audit", rule, "--keep-store"],
            shell: "cat /dev/zero > \(path)/filler; for i in {1..30}; do cat $T_FILE || exit 9; done"
        )
        if rule == "required" {
            #expect(outcome.status == .exited(9))
            #expect(outcome.errorText.contains("Input/output error"), "\(outcome.errorText)")
        } else {
            #expect(outcome.status == .exited(0), "\(outcome.errorText)")
            #expect(outcome.outputText == String(repeating: "t", count: 30))
        }
        let warnings = outcome.lines("warning").filter { $0.hasPrefix("opens are not recorded in the audit log: ") }
        #expect(warnings.count == 1, "\(outcome.errorText)")
        try FileManager.default.removeItem(atPath: "\(path)/filler")
        try await box.sandbox.succeed("show", "T")
        let verdict = try await box.sandbox.succeed("audit", "verify").outputText
        #expect(verdict.contains("could not be recorded"))
    }

    /// Puts something over the log that takes no entry, as long as a function runs.
    private func whileLogIsReadOnly<R>(_ box: JobBox, _ body: () async throws -> R) async throws -> R {
        let log = box.sandbox.path("state/audit.log")
        try #require(unsafe mount(log, log, nil, UInt(MS_BIND), nil) == 0)
        defer { unsafe umount2(log, Int32(MNT_DETACH)) }
        try #require(unsafe mount(nil, log, nil, UInt(MS_BIND | MS_REMOUNT | MS_RDONLY), nil) == 0)
        return try await body()
    }

    @Test(
        .enabled(if: isRoot, "a file system is mounted"),
        arguments: [["--env", "T"], ["--backend", "ramfs"], ["--backend", "shm"], []]
    )
    func nothingIsStartedThatMustBeRecordedAndCannotBe(options: [String]) async throws {
        let box = try await JobBox(["T": "t"])
        let mark = box.sandbox.directory.path("mark")
        let script = "touch \(mark); echo $T; cat $CREDENTIALS_DIRECTORY/T"
        for rules in [["--audit", "required"], ["--audit", "sync,required"], []] {
            let refused = try await whileLogIsReadOnly(box) {
                let variables = rules.isEmpty ? ["CREDFS_AUDIT": "required"] : [:]
                return try await box.run(rules + options, shell: script, adding: variables)
            }
            let reason = "a run must be recorded and cannot be: cannot open"
            refused.expectRefusal(125, reason, hint: "see credfs doctor")
            #expect(refused.outputText == "")
            #expect(!Files.exists(mark))
            try box.expectNothingLeft()
        }
        let started = try await whileLogIsReadOnly(box) { try await box.run(["--audit", "sync"], shell: script) }
        #expect(started.status == .exited(0), "\(started.errorText)")
        let telemetry = String(decoding: try Files.read(box.sandbox.path("state/telemetry.json")), as: UTF8.self)
        #expect(telemetry.contains("\"unrecordedCount\" : 2"), "\(telemetry)")
        let recorded = try await box.run(["--audit", "required"] + options, shell: script)
        #expect(recorded.status == .exited(0), "\(recorded.errorText)")
    }

    @Test(.enabled(if: isRoot, "a file system is mounted"))
    func nothingIsMountedThatMustBeRecordedAndCannotBe() async throws {
        let box = try await JobBox(["T": "t"])
        let refused = try await whileLogIsReadOnly(box) { try await box.credfs("mount", "--audit", "required") }
        refused.expectRefusal(1, "a mount must be recorded and cannot be: cannot open", hint: "see credfs doctor")
        #expect(refused.outputText == "")
        try box.expectNothingLeft()
    }

    /// Every command that gives out plaintext itself.
    @Test(
        .enabled(if: isRoot, "a file system is mounted"),
        arguments: [
            ["show", "T"], ["get", "--show", "T"], ["export"], ["export", "--output", "plain"],
            ["env", "--mask", "github"], ["edit"],
        ]
    )
    func nothingIsGivenOutThatMustBeRecordedAndCannotBe(_ command: [String]) async throws {
        let box = try await JobBox(["T": "plain-value"])
        let isMasking = command[0] == "env"
        if isMasking { #expect(try await box.credfs("mount").status == .exited(0)) }
        let output = box.sandbox.directory.path("plain")
        let arguments = command.map { $0 == "plain" ? output : $0 }
        let seen = box.sandbox.directory.path("seen")
        let editor = try box.sandbox.directory.write(Array("cp \"$1\" \(seen) || echo SEEN >&2\n".utf8), to: "editor")
        let run = { (rules: String) in
            try await ChildProcess.run(
                credfs,
                arguments,
                environment: box.environment.merging(["CREDFS_AUDIT": rules, "CREDFS_EDITOR": "/bin/sh \(editor)"]) {
                    $1
                }
            )
        }
        for rules in ["required", "sync,required"] {
            let refused = try await whileLogIsReadOnly(box) { try await run(rules) }
            refused.expectRefusal(1, "this must be recorded and cannot be: cannot open", hint: "see credfs doctor")
            #expect(!(refused.outputText + refused.errorText).contains("plain-value"))
            #expect(!refused.errorText.contains("SEEN"), "\(refused.errorText)")
            #expect(!Files.exists(output))
        }
        try await run("requierd").expectRefusal(64, "CREDFS_AUDIT takes")
        // What is recorded is given out, and recorded once; an edit is when it begins and when it ends.
        let operation = isMasking || command[0] == "get" ? "show" : command[0]
        let before = try entries(box).count { $0.operation == operation }
        let done = try await run("required")
        #expect(done.status == .exited(0), "\(done.errorText)")
        let new = try entries(box).filter { $0.operation == operation }.dropFirst(before)
        #expect(new.map(\.status) == (command == ["edit"] ? ["success", "success"] : ["success"]))
        #expect(new.first?.secret == "T")
        let other = try await whileLogIsReadOnly(box) { try await run("sync") }
        #expect(other.status == .exited(command.contains("plain") ? 1 : 0), "\(other.errorText)")
        if isMasking { #expect(try await box.credfs("unmount", "--all").status == .exited(0)) }
    }

    @Test func withoutALogARequiredOneIsARefusal() async throws {
        let box = try await JobBox(["T": "t"])
        #expect(try await box.run(["--audit", "required,sync"], shell: "cat $T_FILE").outputText == "t")
        try FileManager.default.removeItem(atPath: box.sandbox.path("state/audit.key"))
        let refused = try await box.run(["--audit", "required"], shell: "cat $T_FILE")
        refused.expectRefusal(125, "a run must be recorded and cannot be: ")
        #expect(try await box.run([], shell: "cat $T_FILE").outputText == "t")
        try await box.run(["--audit", "never"], shell: "true").expectRefusal(64, "--audit takes")
        let shown = try await box.credfs("show", "T", adding: ["CREDFS_AUDIT": "required"])
        shown.expectRefusal(1, "this must be recorded and cannot be: ")
        #expect(shown.outputText == "")
        // What gives nothing out goes on.
        #expect(try await box.credfs("list", adding: ["CREDFS_AUDIT": "required"]).status == .exited(0))
    }
}
