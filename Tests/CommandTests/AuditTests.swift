// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

/// The audit log through the program.
struct AuditTests {
    private struct Entry: Decodable {
        let timestamp: String
        let sequence: Int
        let operation: String
        let secret: String?
        let service: String?
        let status: String
        let reason: String?
        let uid: Int?
        let pid: Int?
        let executable: String?
        let store: String?
        let secrets: [String]?

        var names: String { secret ?? secrets?.joined(separator: ",") ?? "-" }
    }

    private func entries(_ sandbox: Sandbox, _ arguments: String...) async throws -> [Entry] {
        let outcome = try await sandbox.run(["audit", "show", "--json"] + arguments)
        try #require(outcome.status == .exited(0), "\(outcome.errorText)")
        let lines = outcome.outputText.split(separator: "\n")
        #expect(lines.allSatisfy { $0.hasPrefix("{\"schemaVersion\":1,\"timestamp\":") })
        return try lines.map {
            try JSONDecoder().decode(Entry.self, from: Data($0.utf8))
        }
    }

    @Test func everyCommandIsAnEntry() async throws {
        let sandbox = try Sandbox()
        try await sandbox.succeed("init", "--empty")
        try await sandbox.succeed("set", "API/TOKEN", input: [65])
        try await sandbox.succeed("get", "API/TOKEN")
        try await sandbox.succeed("show", "API.TOKEN")
        try await sandbox.succeed("list")
        try await sandbox.succeed("verify")
        try await sandbox.succeed("verify", "--no-key")
        try await sandbox.succeed("encrypt")
        #expect(try await sandbox.run("show", "ABSENT").status == .exited(11))
        try await sandbox.succeed("delete", "API.TOKEN", "-y")
        try Files.setMode(0o644, sandbox.path("secrets.key"))
        #expect(try await sandbox.run("show", "API.TOKEN").status == .exited(14))
        try await sandbox.succeed("init")
        try await sandbox.succeed("audit", "head")
        try await sandbox.succeed("audit", "verify")
        let entries = try await entries(sandbox)
        #expect(
            entries.filter { $0.operation != "permissions" }.map { "\($0.operation) \($0.secret ?? "-") \($0.status)" }
                == [
                    "audit-log - success", "init - success", "set API.TOKEN success", "get API.TOKEN success",
                    "show API.TOKEN success", "list - success", "verify - success", "verify - success",
                    "encrypt - success",
                    "show ABSENT failed", "delete API.TOKEN success", "show API.TOKEN denied", "init - success",
                    "audit-head - success", "audit-verify - success",
                ]
        )
        #expect(entries.map(\.sequence) == Array(1...entries.count))
        #expect(entries.contains { $0.operation == "permissions" && $0.reason == "ensured 0600 on secrets.key" })
        let set = try #require(entries.first { $0.operation == "set" })
        #expect(set.service == "API")
        #expect(set.uid == Int(geteuid()))
        #expect(set.executable?.hasSuffix("/credfs") == true)
        #expect(set.store.map { try? sandbox.manifest().contains($0) } == true)
        #expect(set.timestamp.wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/) != nil)
    }

    @Test func importsAndExportsAreEntries() async throws {
        let sandbox = try await Sandbox([:])
        let count = try await entries(sandbox).count
        try await sandbox.succeed("import", "-", "--format", "dotenv", input: Array("A=1\nB=2\n".utf8))
        #expect(try await sandbox.run("import", "-", "--format", "dotenv", input: [65]).status == .exited(17))
        try await sandbox.succeed("export")
        try await sandbox.succeed("export", "A")
        try await sandbox.succeed("export", "A", "B")
        let new = try await entries(sandbox).dropFirst(count).filter { $0.operation.hasSuffix("port") }
        #expect(
            new.map { "\($0.operation) \($0.names) \($0.status)" } == [
                "import A,B success", "import - failed", "export A,B success", "export A success", "export A,B success",
            ]
        )
    }

    @Test func whatIsShownCanBeChosen() async throws {
        let sandbox = try await Sandbox(["ONE": "1", "TWO": "2"])
        try await sandbox.succeed("show", "ONE")
        let cut = try #require(try await entries(sandbox).last?.timestamp)
        try await Task.sleep(for: .milliseconds(5))
        try await sandbox.succeed("show", "TWO")
        #expect(try await entries(sandbox, "--secret", "ONE").map(\.operation) == ["set", "show"])
        let later = try await entries(sandbox, "--since", cut)
        #expect(later.first?.operation == "show")
        #expect(later.contains { $0.secret == "TWO" })
        #expect(try await entries(sandbox, "--since", "2999-01-01T00:00:00Z").isEmpty)
        for time in ["yesterday", "2026-01-01", "2026-01-01T00:00:00.1Z"] {
            try await sandbox.run("audit", "show", "--since", time).expectRefusal(64, "--since takes a time")
        }
        let text = try await sandbox.succeed("audit", "show", "--secret", "TWO").outputText
        #expect(text.contains(" success show TWO uid="))
    }

    @Test func followingShowsWhatIsWrittenLater() async throws {
        let sandbox = try await Sandbox(["ONE": "1"])
        let output = try sandbox.directory.write([], to: "followed")
        let file = try FileHandle(forWritingTo: URL(filePath: output, directoryHint: .notDirectory))
        let following = try ChildProcess.Running(
            credfs,
            ["audit", "show", "--follow", "--json"],
            environment: sandbox.environment,
            output: file.fileDescriptor
        )
        try await sandbox.succeed("show", "ONE")
        var text = ""
        for _ in 0..<500 where !text.contains("\"operation\":\"show\"") {
            try await Task.sleep(for: .milliseconds(20))
            text = String(decoding: try sandbox.directory.read("followed"), as: UTF8.self)
        }
        #expect(text.contains("\"operation\":\"show\""))
        kill(following.id, SIGTERM)
        #expect(try await following.end().status == .signal(SIGTERM))
    }

    @Test func tamperingIsFoundAndSaidWhere() async throws {
        let sandbox = try await Sandbox(["ONE": "1"])
        try await sandbox.succeed("audit", "verify")
        let head = try await sandbox.succeed("audit", "head").outputText.trimmingCharacters(in: .whitespacesAndNewlines)
        try await sandbox.succeed("audit", "verify", "--head", head)
        let state = try Snapshot(sandbox.path("state"))
        let log = String(decoding: try Files.read(sandbox.path("state/audit.log")), as: UTF8.self)
        try sandbox.directory.write(
            log.replacing("\"secret\":\"ONE\"", with: "\"secret\":\"TWO\"").utf8,
            to: "store/state/audit.log"
        )
        let outcome = try await sandbox.run("audit", "verify")
        outcome.expectRefusal(15, "the audit log is not as it was written: 1 problem")
        #expect(outcome.outputText.hasPrefix("changed: audit.log line "))
        let document = try await sandbox.run("audit", "verify", "--json")
        let json = try #require(try JSONSerialization.jsonObject(with: Data(document.standardOutput)) as? [String: Any])
        #expect(json["intact"] as? Bool == false)
        #expect(json["schemaVersion"] as? Int == 1)
        #expect((json["problems"] as? [[String: Any]])?.first?["kind"] as? String == "changed")
        // The whole directory of before: only the head tells.
        try FileManager.default.removeItem(atPath: sandbox.path("state"))
        try state.write(to: sandbox.path("state"))
        try await sandbox.succeed("audit", "verify")
        try await sandbox.succeed("audit", "verify", "--head", head)
        try FileManager.default.removeItem(atPath: sandbox.path("state"))
        #expect(try await sandbox.run("audit", "verify", "--head", head).status == .exited(15))
        // Looking for a log begins none; using the store does.
        try await sandbox.run("audit", "verify").expectRefusal(1, "there is no audit log")
        try await sandbox.run("audit", "show").expectRefusal(1, "there is no audit log")
        try await sandbox.run("audit", "head").expectRefusal(1, "there is no audit log")
        try await sandbox.succeed("show", "ONE")
        try await sandbox.succeed("audit", "verify")
        try await sandbox.run("audit", "verify", "--head", head).expectRefusal(15)
        try await sandbox.run("audit", "verify", "--head", "1").expectRefusal(64, "--head takes a value")
    }

    /// What a killed process leaves, and what somebody changed.
    @Test(arguments: ["torn", "adopted", "changed", "gone"])
    func verifyingLeavesTheLogByteForByteAndTheNextCommandSaysWhatItRepairs(_ damage: String) async throws {
        let sandbox = try await Sandbox(["ONE": "1"])
        let path = "store/state/audit.log"
        let (log, key) = (try sandbox.directory.read(path), try sandbox.directory.read("store/state/audit.key"))
        switch damage {
        case "torn": try sandbox.directory.write(log + Array("{\"timestamp\":\"20".utf8), to: path)
        case "adopted":
            try await sandbox.succeed("show", "ONE")
            try sandbox.directory.write(key, to: "store/state/audit.key")
        case "changed":
            let text = String(decoding: log, as: UTF8.self)
            try sandbox.directory.write(text.replacing("\"set\"", with: "\"get\"").utf8, to: path)
        default: try FileManager.default.removeItem(atPath: sandbox.directory.path(path))
        }
        let before = try Snapshot(sandbox.path("state")).entries
        // What fails before anything was verified is an entry where none repairs anything.
        let failing = damage == "changed" ? [] : [["--key-file", "/dev/null"], ["--head", "1"]]
        for arguments in [[], ["--json"]] + failing {
            let outcome = try await sandbox.run(["audit", "verify"] + arguments)
            let isIntact = damage == "adopted" && arguments.first ?? "--json" == "--json"
            #expect((outcome.status == .exited(0)) == isIntact, "\(arguments): \(outcome.errorText)")
            if damage == "adopted", arguments.isEmpty {
                #expect(outcome.outputText.contains("written by a process that was killed"), "\(outcome.outputText)")
            }
            #expect(try Snapshot(sandbox.path("state")).entries == before, "\(arguments)")
        }
        try await sandbox.succeed("show", "ONE")
        let repairs = try await entries(sandbox).filter { $0.operation == "audit-repair" }
        let words = [
            "torn": "16 bytes of an unfinished entry cut off", "adopted": "an entry of a killed process adopted",
        ]
        #expect(
            repairs.map { $0.reason ?? "" }.contains { $0.contains(words[damage] ?? "missing") }
                == (damage != "changed")
        )
        if words[damage] != nil { try await sandbox.succeed("audit", "verify") }
    }

    @Test func aCommandWithoutKeyWritesToALogAndBeginsNone() async throws {
        let sandbox = try await Sandbox(["ONE": "1"])
        try await sandbox.succeed("verify", "--no-key")
        #expect(try await entries(sandbox).last?.operation == "verify")
        try FileManager.default.removeItem(atPath: sandbox.path("state"))
        let outcome = try await sandbox.succeed("verify", "--no-key", "-v")
        #expect(outcome.errorText.contains("credfs: not recorded: there is no audit log yet"))
        #expect(!Files.exists(sandbox.path("state")))
        #expect(try await sandbox.succeed("verify", "--no-key").errorText.contains("not recorded") == false)
    }

    @Test(.enabled(if: isRoot, "a file system is mounted read-only"))
    func aStateDirectoryThatCannotBeWrittenStopsNoReader() async throws {
        let sandbox = try await Sandbox(["ONE": "1"])
        let path = sandbox.path("state")
        try #require(unsafe mount(path, path, nil, UInt(MS_BIND), nil) == 0)
        defer { unsafe umount2(path, Int32(MNT_DETACH)) }
        try #require(unsafe mount(nil, path, nil, UInt(MS_BIND | MS_REMOUNT | MS_RDONLY), nil) == 0)
        let quiet = try await sandbox.succeed("show", "ONE")
        #expect(quiet.outputText == "1")
        #expect(quiet.errorText == "")
        let verbose = try await sandbox.succeed("show", "ONE", "-v")
        #expect(verbose.errorText.components(separatedBy: "not recorded: cannot open").count == 2)
        try await sandbox.succeed("audit", "verify")
        try await sandbox.succeed("audit", "show")
    }

    @Test(.enabled(if: isRoot, "a file system is mounted"))
    func aFullDiskIsSaidAndTheCommandGoesOn() async throws {
        let sandbox = try await Sandbox(["ONE": "1"])
        let state = try Snapshot(sandbox.path("state"))
        let path = sandbox.path("state")
        let result = unsafe "size=64k,mode=0700".withCString {
            unsafe mount("tmpfs", path, "tmpfs", 0, UnsafeRawPointer($0))
        }
        try #require(result == 0)
        defer { unsafe umount2(path, Int32(MNT_DETACH)) }
        for (name, entry) in state.entries { try sandbox.directory.write(entry.bytes, to: "store/state/\(name)") }
        var fillers = 0
        let page = [UInt8](repeating: 0, count: 4096)
        while (try? sandbox.directory.write(page, to: "store/state/filler\(fillers)")) != nil { fillers += 1 }
        try #require((1...16).contains(fillers))
        let doctor = try await sandbox.run("doctor")
        let full = "the audit log cannot be written: cannot write \(path)/audit.log: no space left"
        #expect(doctor.outputText.contains(full) && doctor.outputText.contains("df -h"), "\(doctor.outputText)")
        // The last page of the log still has room for some entries.
        var said: [String] = []
        for _ in 0..<20 where said.isEmpty { said = try await sandbox.succeed("show", "ONE").lines("warning") }
        #expect(said == ["not recorded in the audit log: cannot write \(path)/audit.log: no space left on device"])
        for name in try FileManager.default.contentsOfDirectory(atPath: path) where name.hasPrefix("filler") {
            try FileManager.default.removeItem(atPath: sandbox.path("state/\(name)"))
        }
        try await sandbox.succeed("show", "ONE")
        let outcome = try await sandbox.succeed("audit", "verify")
        #expect(outcome.outputText.contains("could not be recorded"))
        #expect(outcome.outputText.contains("ok: entries 1 to "))
    }

    @Test func anEntryOfEveryOneOfManyParallelCommandsIsKept() async throws {
        let sandbox = try await Sandbox(["ONE": "1"])
        let before = try await entries(sandbox).count
        let processes = try (0..<8).map { _ in
            try ChildProcess.Running(
                "/bin/sh",
                ["-c", "for i in 1 2 3 4 5; do \"$@\" || exit; done", "sh", credfs, "list"],
                environment: sandbox.environment
            )
        }
        var missed = 0
        for process in processes {
            let outcome = try await process.end()
            #expect(outcome.status == .exited(0))
            // A machine that is too busy says so.
            missed += outcome.lines("warning").count {
                $0 == "not recorded in the audit log: another process keeps the audit log locked"
            }
        }
        #expect(try await entries(sandbox).count(where: { $0.operation == "list" }) == 40 - missed)
        #expect(before > 0)
        try await sandbox.succeed("audit", "verify")
    }

    @Test func aLogWithoutItsKeyIsSaidAtEveryCommand() async throws {
        let sandbox = try await Sandbox(["ONE": "1"])
        try FileManager.default.removeItem(atPath: sandbox.path("state/audit.key"))
        let outcome = try await sandbox.succeed("show", "ONE")
        #expect(
            outcome.lines("warning") == [
                "not recorded in the audit log: \(sandbox.path("state/audit.key")) is missing beside an audit log"
            ]
        )
        try await sandbox.run("audit", "verify").expectRefusal(15)
    }

    @Test func theSecondImplementationAgrees() async throws {
        let sandbox = try await Sandbox(["ONE": "1"])
        let outcome = try await ChildProcess.run(
            "/usr/bin/python3",
            [
                "-B", PackageDirectory.root + "Tests/Scripts/verify_audit.py", "--manifest",
                sandbox.path("secrets.yaml"),
                "--key-file", sandbox.path("secrets.key"), sandbox.path("state"),
            ]
        )
        #expect(outcome.status == .exited(0), "\(outcome.outputText)\(outcome.errorText)")
        let head = try await sandbox.succeed("audit", "head").outputText.trimmingCharacters(in: .whitespacesAndNewlines)
        #expect(outcome.outputText.contains("\"head\": \"\(head)\""))
    }
}
