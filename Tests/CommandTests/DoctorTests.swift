// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import SystemCalls
import SystemPackage
import Testing

/// A report as JSON.
private struct Diagnosis: Decodable {
    struct Check: Decodable {
        let check: String
        let status: String
        let message: String
        let fix: String?
    }

    let schemaVersion: Int
    let ok: Bool
    let checks: [Check]

    init(_ outcome: CredfsTestSupport.ChildProcess.Outcome) throws {
        self = try JSONDecoder().decode(Diagnosis.self, from: Data(outcome.standardOutput))
    }

    func checks(_ name: String) -> [Check] { checks.filter { $0.check == name } }

    var hasProblem: Bool { checks.contains { $0.status == "problem" } }
    var hasWarning: Bool { checks.contains { $0.status == "warning" } }
}

@Suite struct DoctorTests {
    private static let names = [
        "fuse-device", "fusermount3", "capability", "user-namespaces", "isolation", "memlock", "secret-memory",
        "swap", "core-pattern", "proc", "runtime", "mounts", "environment", "store", "permissions", "audit-log",
        "manifest", "configuration", "clock", "expiry", "git", "leftovers",
    ]

    /// Where a check of this machine decides, only what follows from it can be expected.
    private func expectConsistent(
        _ outcome: CredfsTestSupport.ChildProcess.Outcome,
        strict: Bool,
        at location: SourceLocation = #_sourceLocation
    ) throws {
        let diagnosis = try Diagnosis(outcome)
        let isOK = !diagnosis.hasProblem && !(strict && diagnosis.hasWarning)
        #expect(diagnosis.schemaVersion == 1, sourceLocation: location)
        #expect(diagnosis.ok == isOK, "\(outcome.outputText)", sourceLocation: location)
        #expect(outcome.status == .exited(isOK ? 0 : 1), "\(outcome.errorText)", sourceLocation: location)
        var seen: [String] = []
        for check in diagnosis.checks where seen.last != check.check { seen.append(check.check) }
        #expect(seen == Self.names, sourceLocation: location)
    }

    @Test func everyCheckHasALineAndNothingIsAsked() async throws {
        let sandbox = try await Sandbox(["A": "value-of-a"])
        let outcome = try await sandbox.run("doctor")
        for name in Self.names {
            let lines = outcome.outputText.split(separator: "\n").filter {
                $0.split(separator: " ").dropFirst().first == name[...]
            }
            #expect(!lines.isEmpty, "\(name): \(outcome.outputText)")
        }
        #expect(!outcome.outputText.contains("value-of-a"))
        try expectConsistent(try await sandbox.run("doctor", "--json"), strict: false)
        try expectConsistent(try await sandbox.run("doctor", "--json", "--strict"), strict: true)
    }

    @Test func anOrdinaryUserGetsAReport() async throws {
        try #require(isRoot)
        let sandbox = try await Sandbox([:])
        let user = try sandbox.giveToStranger()
        let outcome = try await sandbox.shell("exec \(user) \"$@\"", ["doctor", "--json"])
        try expectConsistent(outcome, strict: false)
        let diagnosis = try Diagnosis(outcome)
        #expect(diagnosis.checks("capability").first?.message == "no CAP_SYS_ADMIN")
        #expect(diagnosis.checks("permissions").first?.status == "ok")
        // The trial and the kernel agree, whatever this machine allows.
        let trial = try await sandbox.shell("\(user) unshare -Urm true", [])
        let works = diagnosis.checks("user-namespaces").first?.message.hasPrefix("a file system can be mounted") == true
        #expect(works == (trial.status == .exited(0)))
    }

    @Test func noStoreAndNoHomeAreNoProblem() async throws {
        let sandbox = try Sandbox()
        let named = try Diagnosis(try await sandbox.run("doctor", "--json"))
        #expect(named.checks("store").first?.status == "warning")
        let variables = ["CREDFS_STORE": "", "HOME": sandbox.directory.path("home")]
        let usual = try Diagnosis(try await sandbox.run("doctor", "--json", adding: variables))
        #expect(usual.checks("store").first?.status == "ok")
        #expect(usual.checks("store").first?.fix == "make one with: credfs init")
        let homeless = ["CREDFS_STORE": "", "HOME": "", "XDG_CONFIG_HOME": ""]
        let nowhere = try await sandbox.shell(
            "exec setpriv --reuid \(stranger) --clear-groups \"$@\"",
            ["doctor", "--json"],
            adding: homeless
        )
        if isRoot { #expect(try Diagnosis(nowhere).checks("store").first?.status == "warning") }
        #expect(!Files.exists(sandbox.store))
    }

    @Test func modesAreToldAndRepairedOnRequest() async throws {
        let sandbox = try await Sandbox(["A": "x"])
        try Files.setMode(0o755, sandbox.store)
        try Files.setMode(0o644, sandbox.path("secrets.key"))
        let told = try await sandbox.run("doctor", "-q")
        told.expectRefusal(1, "problem", hint: "report")
        #expect(told.outputText.contains("hint:            chmod 0600 \(sandbox.path("secrets.key"))"))
        #expect(!told.outputText.contains("ok  "))
        #expect(try Files.mode(sandbox.path("secrets.key")) == 0o644)

        let fixed = try await sandbox.fix("-v")
        #expect(fixed.errorText.contains("credfs: ensured 0700 on \(sandbox.store)\n"))
        #expect(fixed.errorText.contains("credfs: ensured 0600 on secrets.key\n"))
        #expect(fixed.errorText.contains("\"operation\":\"permissions\""))
        #expect(try Files.mode(sandbox.store) == 0o700)
        #expect(try Files.mode(sandbox.path("secrets.key")) == 0o600)
        try await sandbox.succeed("verify")
        let after = try Diagnosis(try await sandbox.run("doctor", "--json"))
        #expect(after.checks("permissions").map(\.status) == ["ok"])
    }

    @Test func aRepairMakesAndChangesNothingElse() async throws {
        let sandbox = try await Sandbox(["A": "x"])
        let before = try sandbox.snapshot()
        _ = try await sandbox.fix()
        #expect(try sandbox.snapshot() == before)
    }

    @Test func aKeyInARepositoryIsFound() async throws {
        let sandbox = try await Sandbox(["A": "x"])
        try await sandbox.git("init", "-q")
        // The .gitignore that init writes keeps the key out.
        let ignored = try Diagnosis(try await sandbox.run("doctor", "--json"))
        #expect(ignored.checks("git").map(\.status) == ["ok"], "\(ignored.checks("git"))")
        try FileManager.default.removeItem(atPath: sandbox.path(".gitignore"))
        let open = try Diagnosis(try await sandbox.run("doctor", "--json"))
        #expect(open.checks("git").map(\.status) == ["warning", "warning"], "\(open.checks("git"))")
        try await sandbox.git("add", "secrets.key", "secrets.yaml")
        let tracked = try await sandbox.run("doctor", "--json")
        #expect(tracked.status == .exited(1))
        let finding = try #require(try Diagnosis(tracked).checks("git").first)
        #expect(finding.status == "problem" && finding.message.contains("the key is tracked"))
        // What a hook of git leaves in the environment is about another repository.
        let hook = try await sandbox.run(
            "doctor",
            "--json",
            adding: ["GIT_DIR": "/nonexistent", "GIT_INDEX_FILE": "x"]
        )
        #expect(try Diagnosis(hook).checks("git").first?.status == "problem")
    }

    @Test func aRepositoryRunsNoProgram() async throws {
        let sandbox = try await Sandbox(["A": "x"])
        try await sandbox.git("init", "-q")
        let witness = sandbox.directory.path("ran")
        let planted = try await sandbox.directory.writeProgram("#!/bin/sh\ntouch \(witness)\n", to: "planted")
        try await sandbox.git("config", "core.fsmonitor", planted)
        _ = try await sandbox.run("doctor")
        #expect(!Files.exists(witness))
    }

    @Test func initSaysWhatAGitignoreThatIsThereLacks() async throws {
        let sandbox = try Sandbox()
        try FileManager.default.createDirectory(atPath: sandbox.store, withIntermediateDirectories: false)
        try Files.setMode(0o700, sandbox.store)
        try await sandbox.git("init", "-q")
        try sandbox.directory.write("*.o\n".utf8, to: "store/.gitignore")
        let outcome = try await sandbox.run("init", "--empty")
        #expect(outcome.status == .exited(0))
        let warnings = outcome.lines("warning")
        #expect(warnings.contains { $0.contains("the key is not ignored by git") && $0.contains("/secrets.key") })
        #expect(try sandbox.directory.read("store/.gitignore") == Array("*.o\n".utf8))
        let own = try Sandbox()
        try FileManager.default.createDirectory(atPath: own.store, withIntermediateDirectories: false)
        try Files.setMode(0o700, own.store)
        try await own.git("init", "-q")
        #expect(try await own.run("init", "--empty").lines("warning").isEmpty)
    }

    @Test func variablesOfKnownServicesAreNamedAndStrictFailsOnThem() async throws {
        let sandbox = try await Sandbox(["A": "x"])
        let token = ["OPENAI_API_KEY": "not-to-be-repeated"]
        let outcome = try await sandbox.run("doctor", "--json", adding: token)
        try expectConsistent(outcome, strict: false)
        let check = try #require(try Diagnosis(outcome).checks("environment").first)
        #expect(check.status == "warning" && check.message.contains("OPENAI_API_KEY"))
        #expect(check.fix?.hasPrefix("credfs import --preset openai,") == true)
        #expect(!outcome.outputText.contains("not-to-be-repeated"))
        #expect(try await sandbox.run("doctor", "--strict", adding: token).status == .exited(1))
    }

    @Test func aMachineWithoutGitIsFine() async throws {
        let sandbox = try await Sandbox(["A": "x"])
        try await sandbox.git("init", "-q")
        let outcome = try await sandbox.run("doctor", "--json", adding: ["PATH": "/nonexistent"])
        #expect(try Diagnosis(outcome).checks("git").first?.message.contains("no git can be asked") == true)
    }

    @Test func aMountWhoseServerHasGoneIsDetached() async throws {
        try #require(isRoot)
        let sandbox = try await Sandbox([:])
        let path = sandbox.directory.path("left behind")
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        do {
            let device = try FuseMount.openDevice()
            try FuseMount.mount(device, at: path, .init(user: 0, group: 0, maximumReadByteCount: 4096))
        }
        defer { try? FuseMount.detach(path) }
        let told = try Diagnosis(try await sandbox.run("doctor", "--json"))
        #expect(told.checks("mounts").first { $0.message.contains(path) }?.status == "warning")
        let fixed = try await sandbox.fix("--json")
        #expect(fixed.errorText.contains("credfs: detached \(path)\n"), "\(fixed.errorText)")
        #expect(try Diagnosis(fixed).checks("mounts").allSatisfy { !$0.message.contains(path) })
    }

    @Test func aMountThatNobodyAnswersForKeepsNobodyWaiting() async throws {
        try #require(isRoot)
        let sandbox = try await Sandbox([:])
        let path = sandbox.directory.path("stopped")
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        let device = try FuseMount.openDevice()
        try FuseMount.mount(device, at: path, .init(user: 0, group: 0, maximumReadByteCount: 4096))
        defer {
            try? FuseMount.detach(path)
            _ = device.number
        }
        let outcome = try await sandbox.fix("--json")
        #expect(try Diagnosis(outcome).checks("mounts").first { $0.message.contains(path) }?.status == "warning")
        #expect(!outcome.errorText.contains(path), "what is served is left alone")
    }

    @Test func withoutNewPrivilegesTheHelperIsNoWay() async throws {
        try #require(isRoot)
        let sandbox = try await Sandbox([:])
        let user = try sandbox.giveToStranger()
        let bare = user.replacing("setpriv ", with: "setpriv --no-new-privs ")
        let outcome = try await sandbox.shell("exec \(bare) \"$@\"", ["doctor", "--json"])
        let helper = try #require(try Diagnosis(outcome).checks("fusermount3").first)
        #expect(helper.status == "warning" && helper.message.contains("no_new_privs"), "\(helper)")
    }

    @Test func aSmallLimitOfLockedMemoryIsExplained() async throws {
        try #require(isRoot)
        let sandbox = try await Sandbox([:])
        let user = try sandbox.giveToStranger()
        for (limit, status) in [("0", "problem"), ("64", "warning"), ("8192", "ok")] {
            let outcome = try await sandbox.shell("ulimit -l \(limit); exec \(user) \"$@\"", ["doctor", "--json"])
            #expect(try Diagnosis(outcome).checks("memlock").map(\.status) == [status], "\(outcome.outputText)")
        }
    }

    @Test func anOddPathCannotForgeALine() async throws {
        let sandbox = try Sandbox()
        let path = sandbox.directory.path("a\nok       permissions")
        let outcome = try await sandbox.run("doctor", "--store", path)
        #expect(outcome.outputText.contains("a\\u{a}ok       permissions"))
    }
}

extension Sandbox {
    /// Runs `doctor --fix` where it can detach no mount of another test: in a copy of the mount table.
    fileprivate func fix(_ arguments: String...) async throws -> CredfsTestSupport.ChildProcess.Outcome {
        let script = isRoot ? "exec unshare --mount \"$@\"" : "exec \"$@\""
        return try await shell(script, ["doctor", "--fix"] + arguments)
    }

    /// Runs git in the store.
    fileprivate func git(_ arguments: String...) async throws {
        let outcome = try await CredfsTestSupport.ChildProcess.run(
            "/usr/bin/git",
            ["-C", store] + arguments,
            environment: environment
        )
        try #require(outcome.status == .exited(0), "\(outcome.errorText)")
    }
}
