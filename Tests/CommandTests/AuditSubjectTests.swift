// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

/// What entries of the audit log say beside operation and status, through the program.
@Suite(.serialized, .timeLimit(.minutes(20)))
struct AuditSubjectTests {
    private struct Entry: Decodable {
        struct Claims: Decodable {
            let argument: String?
            let name: String?
        }

        let operation: String
        let secret: String?
        let secrets: [String]?
        let slots: [String]?
        let status: String
        let reason: String?
        let mount: String?
        let authMode: String?
        let authReason: String?
        let exitStatus: Int?
        let pid: Int
        let user: String?
        let startTime: UInt64?
        let executable: String?
        let parent: String?
        let ancestors: [String]?
        let claimed: Claims?

        var names: [String] { (secrets ?? []) + [secret].compactMap(\.self) }
    }

    private func entries(_ sandbox: Sandbox) throws -> [Entry] {
        try String(decoding: Files.read(sandbox.path("state/audit.log")), as: UTF8.self).split(separator: "\n").map {
            try JSONDecoder().decode(Entry.self, from: Data($0.utf8))
        }
    }

    private func last(_ sandbox: Sandbox, _ operation: String) throws -> Entry {
        try #require(try entries(sandbox).last { $0.operation == operation })
    }

    private func telemetry(_ sandbox: Sandbox) throws -> [String: Any] {
        let bytes = Data(try Files.read(sandbox.path("state/telemetry.json")))
        return try #require(try JSONSerialization.jsonObject(with: bytes) as? [String: Any])
    }

    @Test(arguments: [
        ("true", "success", 0), ("exit 3", "failed", 3), ("kill -KILL $$", "failed", 137),
        ("exec /nonexistent", "failed", 127),
    ])
    func aJobIsAsSuccessfulAsItsStatus(script: String, status: String, exit: Int) async throws {
        let box = try await JobBox(["T": "t"])
        #expect(try await box.run([], shell: script).status == .exited(Int32(exit)))
        let entry = try last(box.sandbox, "run")
        #expect(entry.status == status)
        #expect(entry.exitStatus == exit)
        #expect(entry.authMode == "authenticated")
        #expect(entry.authReason == nil)
        let runs = try entries(box.sandbox).filter { $0.operation == "run" }
        #expect(runs.map(\.reason) == ["started", "ended"])
        #expect(runs[0].mount != nil && runs[0].mount == runs[1].mount)
        #expect(try telemetry(box.sandbox)["status"] as? String == status)
        #expect(try telemetry(box.sandbox)["exitStatus"] as? Int == exit)
    }

    @Test func aProgramThatCannotBeRunIsAFailure() async throws {
        let box = try await JobBox(["T": "t"])
        #expect(try await box.credfs("run", "--", "/nonexistent").status == .exited(127))
        let entry = try last(box.sandbox, "run")
        #expect(entry.status == "failed" && entry.exitStatus == 127)
        #expect(entry.reason == "not started: no such file or directory")
    }

    @Test func secretsThatAreIgnoredAreRecordedWithTheirReason() async throws {
        let box = try await JobBox(["T": "t"])
        let outcome = try await box.credfs("run", "--", "true", adding: ["CREDFS_IGNORE_SECRETS": "1"])
        #expect(outcome.status == .exited(0))
        let entry = try last(box.sandbox, "run")
        #expect(entry.authMode == "unauthenticated" && entry.authReason == "CREDFS_IGNORE_SECRETS")
        let summary = try telemetry(box.sandbox)
        #expect(summary["authMode"] as? String == "unauthenticated")
        #expect(summary["reason"] as? String == "CREDFS_IGNORE_SECRETS")
        #expect(summary["secretCount"] as? Int == 0)
    }

    @Test(arguments: [[], ["--on-reject", "unauthenticated"]])
    func aRejectionIsRecordedAndRemembered(options: [String]) async throws {
        let box = try await JobBox(["T": "t"])
        #expect(try await box.run([], shell: "true").status == .exited(0))
        try Files.setMode(0o644, box.sandbox.path("secrets.key"))
        let outcome = try await box.run(options, shell: "true")
        #expect(outcome.status == .exited(options.isEmpty ? 125 : 0))
        let entry = try last(box.sandbox, "run")
        #expect(entry.status == (options.isEmpty ? "denied" : "success"))
        #expect(entry.authMode == "unauthenticated" && entry.authReason == "permissions")
        let summary = try telemetry(box.sandbox)
        #expect(summary["authMode"] as? String == "unauthenticated")
        #expect(summary["reason"] as? String == "permissions")
        #expect(summary["status"] as? String == entry.status)
        #expect(summary["secretCount"] as? Int == 0)
        #expect(summary["durationMilliseconds"] as? Int != nil)
    }

    @Test func aRunWithBadArgumentsSaysThatNothingWasShown() async throws {
        let box = try await JobBox(["T": "t"])
        #expect(try await box.run(["--file-var", "ABSENT=X"], shell: "true").status == .exited(125))
        #expect(try last(box.sandbox, "run").authMode == "authenticated")
        #expect(try await box.run(["--env", "=X"], shell: "true").status == .exited(64))
        #expect(try last(box.sandbox, "run").authMode == "unauthenticated")
        #expect(try telemetry(box.sandbox)["authMode"] as? String == "unauthenticated")
    }

    @Test func valuesInTheEnvironmentAreNamed() async throws {
        let box = try await JobBox(["ONE": "1", "TWO": "2"])
        #expect(try await box.run(["--env", "TWO"], shell: "true").status == .exited(0))
        #expect(try last(box.sandbox, "run").names == ["TWO"])
    }

    @Test func aMountHasOneIdentifierFromBeginToEnd() async throws {
        let box = try await JobBox(["T": "t"])
        let directory = try await box.credfs("mount").outputText.trimmingCharacters(in: .whitespacesAndNewlines)
        #expect(try await box.credfs("unmount", directory).status == .exited(0))
        let mounts = try entries(box.sandbox).filter { ["mount", "unmount"].contains($0.operation) }
        let identifiers = Set(mounts.map(\.mount))
        #expect(identifiers.count == 1 && identifiers.first != .some(nil))
        #expect(mounts.contains { $0.operation == "unmount" && $0.status == "success" })
        #expect(mounts.filter { $0.operation == "mount" }.allSatisfy { $0.authMode == "authenticated" })
        #expect(mounts.contains { $0.operation == "mount" && $0.reason == "ended" })
    }

    @Test func aShownValueIsShowWhicheverCommandShowsIt() async throws {
        let sandbox = try await Sandbox(["ONE": "1"])
        try await sandbox.succeed("get", "ONE")
        #expect(try entries(sandbox).last?.operation == "get")
        try await sandbox.succeed("get", "ONE", "--show")
        #expect(try entries(sandbox).last?.operation == "show")
        #expect(try entries(sandbox).last?.names == ["ONE"])
    }

    @Test func theSecretsThatACommandTouchesAreNamed() async throws {
        let box = try await EditBox(["ONE": "old-value", "TWO": "kept"])
        let sandbox = box.sandbox
        #expect(try await box.edit("sed -i s/old-value/new-value/").status == .exited(0))
        #expect(try last(sandbox, "edit").names == ["ONE"])
        try await sandbox.succeed("rotate", "TWO", input: [65])
        #expect(try last(sandbox, "rotate").names == ["TWO"])
        try await sandbox.succeed("rotate")
        #expect(try last(sandbox, "rotate").names == ["ONE", "TWO"])
        try await sandbox.succeed(
            "import",
            "-",
            "--format",
            "dotenv",
            "--skip-existing",
            input: Array("ONE=9\nTEN=1\n".utf8)
        )
        #expect(try last(sandbox, "import").names == ["TEN"])
        let plain = try sandbox.manifest().replacing(/value: ENC\[[^\]]*\]/, with: "value: plain")
        try sandbox.replaceManifest(plain.utf8)
        try await sandbox.succeed("encrypt")
        #expect(try last(sandbox, "encrypt").names.sorted() == ["ONE", "TEN", "TWO"])
        // What was not sealed but changed is named, too.
        try sandbox.replaceManifest(sandbox.manifest().replacing("  TEN:\n", with: "  TEN:\n    mode: '0440'\n").utf8)
        try await sandbox.succeed("encrypt")
        #expect(try last(sandbox, "encrypt").names == ["TEN"])
        try await sandbox.succeed("export")
        #expect(try last(sandbox, "export").names.sorted() == ["ONE", "TEN", "TWO"])
        try await sandbox.succeed("audit", "verify")
    }

    @Test func manyNamesAreWrittenInSeveralEntries() async throws {
        let sandbox = try await Sandbox([:])
        let names = (0..<300).map { "A_RATHER_LONG_NAME_OF_A_SECRET_FOR_THIS_TEST_\($0)" }
        try await sandbox.succeed(
            "import",
            "-",
            "--format",
            "dotenv",
            input: Array(names.map { "\($0)=1\n" }.joined().utf8)
        )
        let imports = try entries(sandbox).filter { $0.operation == "import" }
        #expect(imports.count > 1)
        #expect(imports.flatMap(\.names) == names)
        try await sandbox.succeed("audit", "verify")
    }

    @Test func theSlotsThatACommandIsAboutAreNamed() async throws {
        let sandbox = try await Sandbox(["ONE": "1"])
        let password = try sandbox.directory.write(Array("a password of some length\n".utf8), to: "password")
        try Files.setMode(0o600, password)
        try await sandbox.succeed("keys", "add", "--new-password-file", password, "--id", "second")
        #expect(try last(sandbox, "keys-add").slots == ["second"])
        try await sandbox.succeed("password", "--new-password-file", password)
        #expect(try last(sandbox, "password").slots == ["second"])
        try await sandbox.succeed("keys", "remove", "second")
        #expect(try last(sandbox, "keys-remove").slots == ["second"])
        #expect(try await sandbox.run("keys", "remove", "third").status == .exited(64))
        // What is no slot may be a password.
        #expect(try last(sandbox, "keys-remove").slots == nil)
    }

    @Test func whatTheKernelSaysAndWhatIsClaimedAreApart() async throws {
        let sandbox = try await Sandbox(["ONE": "1"])
        let outcome = try await ChildProcess.run(
            "/bin/bash",
            ["-c", "exec -a made-up \"$1\" list", "bash", credfs],
            environment: sandbox.environment
        )
        #expect(outcome.status == .exited(0), "\(outcome.errorText)")
        let entry = try last(sandbox, "list")
        #expect(entry.executable?.hasSuffix("/credfs") == true)
        #expect(entry.user == NSUserName())
        #expect(entry.claimed?.argument == "made-up")
        #expect(entry.claimed?.name == "credfs")
        #expect((entry.startTime ?? 0) > 0)
        #expect(entry.ancestors?.first == entry.parent)
        #expect((entry.ancestors?.count ?? 0) > 1)
    }
}
