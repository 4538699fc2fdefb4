// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

/// Files in the state directory are checked, and the log never ends unseen.
@Suite struct StateFileTests {
    @Test(arguments: ["audit.key", "signed.yaml", "lock"])
    func anOpenFileInTheStateDirectoryIsRefusedFoundAndMended(_ name: String) async throws {
        let sandbox = try await Sandbox(["A": "value"])
        let path = sandbox.path("state/\(name)")
        try Files.setMode(0o644, path)
        try await sandbox.run("show", "A").expectRefusal(14, "\(path): mode 0644", hint: "chmod 0600 \(path)")
        let doctor = try await sandbox.run("doctor")
        #expect(doctor.outputText.contains("problem"), "\(doctor.outputText)")
        #expect(doctor.outputText.contains("\(path): mode 0644"), "\(doctor.outputText)")
        let fixed = try await sandbox.run("doctor", "--fix")
        #expect(fixed.errorText.contains("ensured 0600 on \(path)"), "\(fixed.errorText)")
        #expect(try Files.mode(path) == 0o600)
        #expect(try await sandbox.value("A") == Array("value".utf8))
        // So does init.
        try Files.setMode(0o640, path)
        let again = try await sandbox.succeed("init")
        #expect(again.errorText.contains("ensured 0600 on \(path)"), "\(again.errorText)")
        #expect(try Files.mode(path) == 0o600)
    }

    @Test(arguments: ["audit.log", "audit.key", "audit.lock", "audit.root", "lock", "signed.yaml", "telemetry.json"])
    func whatOnlyDecryptsMendsNoMode(_ name: String) async throws {
        let sandbox = try await Sandbox(["A": "value"])
        try await sandbox.succeed("run", "--", "true")
        let path = sandbox.path("state/\(name)")
        try Files.setMode(0o644, path)
        for command in [
            ["show", "A"], ["get", "A"], ["list"], ["export"], ["verify"], ["run", "--", "true"], ["audit", "show"],
        ] {
            for variables in [[:], ["CREDFS_PERMISSIONS_STRICT": "0"], ["CREDFS_IGNORE_SECRETS": "1"]] {
                _ = try await sandbox.run(command, adding: variables)
                #expect(try Files.mode(path) == 0o644, "\(command) \(variables)")
            }
        }
        try await sandbox.run("show", "A").expectRefusal(14, "\(path): mode 0644")
    }

    /// The chain goes on, and whoever may have read the key is spoken of, `--quiet` or not.
    @Test(arguments: [["init"], ["doctor", "--fix"]], [0o644, 0o620])
    func aKeyOfTheLogThatWasOpenIsMendedAndTheChainIsKept(_ command: [String], _ mode: Int) async throws {
        let sandbox = try await Sandbox(["A": "value"])
        let path = sandbox.path("state/audit.key")
        let head = try await sandbox.succeed("audit", "head").outputText.trimmingCharacters(in: .whitespacesAndNewlines)
        let before = try Files.read(sandbox.path("state/audit.log"))
        try Files.setMode(mode, path)
        let doctor = try await sandbox.run("doctor")
        #expect(doctor.outputText.contains("problem  audit-log"), "\(doctor.outputText)")
        #expect(!doctor.outputText.contains("has ended"), "\(doctor.outputText)")
        // Once, and not as a mode that a chmod mends.
        #expect(doctor.outputText.components(separatedBy: "problem ").count == 2, "\(doctor.outputText)")
        #expect(!doctor.outputText.contains("chmod"), "\(doctor.outputText)")
        let outcome = try await sandbox.run(command + ["--quiet"])
        let words =
            "\(path) may have been \(mode == 0o644 ? "read" : "changed") by others: its mode was 0\(String(mode, radix: 8))"
        #expect(outcome.lines("warning").contains { $0.hasPrefix(words) }, "\(outcome.errorText)")
        #expect(try Files.mode(path) == 0o600)
        let log = try Files.read(sandbox.path("state/audit.log"))
        #expect(log.starts(with: before))
        #expect(String(decoding: log, as: UTF8.self).contains(words))
        #expect(!Files.exists(sandbox.path("state/ended-audit-1")))
        try await sandbox.succeed("audit", "verify", "--head", head)
        let again = try await sandbox.run(command)
        #expect(!again.errorText.contains("may have been"), "\(again.errorText)")
    }

    @Test func aLogThatWasCutIsAProblem() async throws {
        let sandbox = try await Sandbox(["A": "value"])
        #expect(try await sandbox.run("doctor").outputText.contains("ok       audit-log"))
        let path = sandbox.path("state/audit.log")
        let log = try Files.read(path)
        try sandbox.directory.write(Array(log.dropLast(200)), to: "store/state/audit.log", permissions: 0o600)
        let doctor = try await sandbox.run("doctor")
        #expect(doctor.outputText.contains("problem  audit-log"), "\(doctor.outputText)")
        #expect(doctor.outputText.contains("entries were taken away"), "\(doctor.outputText)")
    }

    @Test(arguments: ["rm audit.key", "echo x > audit.key", "rm audit.log; mkdir audit.log", "ln audit.key k"])
    func aLogThatHasEndedIsAProblemThatFixMends(_ damage: String) async throws {
        let sandbox = try await Sandbox(["A": "value"])
        _ = try await sandbox.shell("cd \"$CREDFS_STORE/state\" && \(damage)", [])
        let doctor = try await sandbox.run("doctor", "--json")
        #expect(doctor.outputText.contains("the audit log has ended"), "\(doctor.outputText)")
        let fixed = try await sandbox.run("doctor", "--fix")
        #expect(fixed.errorText.contains("state/ended-audit-1"), "\(fixed.errorText)")
        #expect(Files.exists(sandbox.path("state/ended-audit-1/audit.root")))
        try await sandbox.succeed("show", "A")
        try await sandbox.succeed("audit", "verify")
        #expect(try await !sandbox.run("doctor").outputText.contains("has ended"))
    }

    /// What takes from an ordinary user the right to write an entry.
    @Test(
        .enabled(if: isRoot, "becomes another user"),
        arguments: ["chmod 0400 audit.log", "chmod 0400 audit.lock", "rm audit.lock; chmod 0500 ."]
    )
    func aLogThatAUserMayNotWriteIsSaidByEveryCommandAndByDoctor(_ damage: String) async throws {
        let sandbox = try await Sandbox(["A": "value"])
        let user = try sandbox.giveToStranger()
        let script = "export PATH=/usr/bin:/bin; cd / && exec \(user) \"$@\""
        _ = try await sandbox.shell("cd \"$CREDFS_STORE/state\" && \(damage)", [])
        for command in [["show", "A"], ["list"], ["verify", "--no-key"]] {
            let outcome = try await sandbox.shell(script, command)
            #expect(outcome.status == .exited(0), "\(outcome.errorText)")
            let warnings = outcome.lines("warning").filter {
                $0.hasPrefix("not recorded in the audit log: cannot open ")
            }
            #expect(warnings.count == 1, "\(command): \(outcome.errorText)")
        }
        let doctor = try await sandbox.shell(script, ["doctor"])
        #expect(doctor.outputText.contains("problem  audit-log"), "\(doctor.outputText)")
        #expect(doctor.outputText.contains("the audit log cannot be written: "), "\(doctor.outputText)")
        let fixed = try await sandbox.shell(script, ["doctor", "--fix"])
        #expect(fixed.outputText.contains("ok       audit-log"), "\(fixed.outputText)\(fixed.errorText)")
        #expect(!Files.exists(sandbox.path("state/ended-audit-1")))
        #expect(try await sandbox.shell(script, ["show", "A"]).lines("warning") == [])
    }

    @Test func aManifestWithoutAStoreDirectoryHasOneState() async throws {
        let sandbox = try Sandbox()
        let variables = [
            "CREDFS_STORE": sandbox.directory.path("absent"), "CREDFS_MANIFEST": sandbox.directory.path("m"),
        ]
        try await sandbox.succeed(
            "init",
            "--empty",
            "--password-fd",
            "0",
            input: Array("correct horse battery".utf8)
        )
        try FileManager.default.moveItem(atPath: sandbox.path("secrets.yaml"), toPath: sandbox.directory.path("m"))
        try FileManager.default.removeItem(atPath: sandbox.store)
        for _ in 0..<5 {
            _ = try await sandbox.run("verify", "--password-fd", "0", input: Array("wrong".utf8), adding: variables)
        }
        // Without a terminal the question itself would be the refusal.
        try await sandbox.run("verify", adding: variables).expectRefusal(13, "locked out")
        let home = sandbox.directory.path("home/.local/state/credfs")
        let names = try FileManager.default.contentsOfDirectory(atPath: home)
        #expect(names.count == 1)
        let state = "\(home)/\(try #require(names.first))"
        try Files.setMode(0o755, state)
        try await sandbox.run("verify", "--password-fd", "0", input: Array("x".utf8), adding: variables)
            .expectRefusal(14, "mode 0755")
    }

    /// The set-up of docs/teams.md: a manifest in a work tree, no store directory, the state below the home.
    @Test func withoutAStoreDirectoryTheStateIsCheckedMendedAndUsedByEveryCommand() async throws {
        let sandbox = try await Sandbox(["A": "value"])
        for name in ["secrets.yaml", "secrets.key"] {
            let path = sandbox.directory.path(name)
            try FileManager.default.moveItem(atPath: sandbox.path(name), toPath: path)
        }
        try FileManager.default.removeItem(atPath: sandbox.store)
        let variables = [
            "CREDFS_MANIFEST": sandbox.directory.path("secrets.yaml"),
            "CREDFS_KEY_FILE": sandbox.directory.path("secrets.key"),
            "XDG_RUNTIME_DIR": sandbox.directory.path("home"),
        ]
        try await sandbox.succeed("run", "--", "true", adding: variables)
        let home = sandbox.directory.path("home/.local/state/credfs")
        let state = "\(home)/\(try #require(try FileManager.default.contentsOfDirectory(atPath: home).first))"
        #expect(Files.exists("\(state)/telemetry.json"))
        // What reads no manifest is in the log, too.
        for command in [["status"], ["doctor"], ["unmount", "--all"]] {
            _ = try await sandbox.run(command, adding: variables)
            let log = String(decoding: try Files.read("\(state)/audit.log"), as: UTF8.self)
            #expect(log.contains("\"operation\":\"\(command[0])\""), "\(command)")
        }
        let head = try await sandbox.succeed("audit", "head", adding: variables).outputText.dropLast()
        for fix in [["init"], ["doctor", "--fix"]] {
            try Files.setMode(0o644, "\(state)/audit.key")
            let text = "\(state)/audit.key: mode 0644"
            for (command, status) in [
                (["show", "A"], 14), (["list"], 14), (["verify"], 14), (["verify", "--no-key"], 14), (["mount"], 14),
                (["run", "--", "true"], 125),
            ] as [([String], Int32)] {
                try await sandbox.run(command, adding: variables).expectRefusal(status, text)
            }
            let fixed = try await sandbox.run(fix, adding: variables)
            #expect(fixed.errorText.contains("ensured 0600 on \(state)/audit.key"), "\(fixed.errorText)")
            #expect(fixed.errorText.contains("\(state)/audit.key may have been read by others"), "\(fixed.errorText)")
            // No directory is made, in which another log would begin.
            #expect(!Files.exists(sandbox.store))
            try await sandbox.succeed("audit", "verify", "--head", String(head), adding: variables)
        }
        // What init does not mend it refuses.
        let manifest = sandbox.directory.path("secrets.yaml")
        try Files.setMode(0o666, manifest)
        try await sandbox.run("init", adding: variables).expectRefusal(14, "\(manifest): mode 0666")
        try Files.setMode(0o644, manifest)
        // Older manifests go with a key that is taken away.
        let password = try sandbox.directory.write(Array("a password of enough length".utf8), to: "password")
        try Files.setMode(0o600, password)
        try await sandbox.succeed("keys", "add", "--id", "two", "--new-password-file", password, adding: variables)
        try await sandbox.succeed("keys", "remove", "two", adding: variables)
        #expect(!Files.exists(sandbox.directory.path("secrets.yaml.bak")))
        #expect(try !String(decoding: Files.read("\(state)/signed.yaml"), as: UTF8.self).contains("two:"))
    }

    @Test func oneKeyOrPasswordIsNamedAndNoOther() async throws {
        let sandbox = try await Sandbox(["A": "value"])
        for arguments in [
            ["show", "A", "--password-file", "f", "--password-fd", "0"],
            ["show", "A", "--key-file", "f", "--key-fd", "0"],
            ["verify", "--password-file", "f", "--password-fd", "0"],
            ["run", "--password-file", "f", "--password-fd", "0", "--", "true"],
            ["init", "--password-file", "f", "--password-fd", "0"],
            ["init", "--key-file", "f", "--password-fd", "0"],
            ["password", "--new-password-file", "f", "--new-password-fd", "0"],
        ] {
            #expect(try await sandbox.run(arguments).status == .exited(64), "\(arguments)")
        }
    }

    @Test func aHintNeverAdvisesAChangeOfADirectoryOfTheSystem() async throws {
        let sandbox = try Sandbox()
        for place in ["/tmp", "/dev/shm"] {
            let outcome = try await sandbox.run("init", "--store", place)
            #expect(outcome.status == .exited(14), "\(outcome.errorText)")
            #expect(!outcome.errorText.contains("chmod"), "\(outcome.errorText)")
            #expect(outcome.lines("hint").count == 1)
        }
    }

    @Test func aKeyThatIsMissingIsNamedInEveryWay() async throws {
        let sandbox = try await Sandbox(["A": "value"])
        try FileManager.default.removeItem(atPath: sandbox.path("secrets.key"))
        let outcome = try await sandbox.run("show", "A")
        #expect(outcome.lines("hint").first?.contains("CREDFS_KEY;") == true, "\(outcome.errorText)")
        #expect(outcome.lines("hint").first?.contains("credfs verify --no-key") == true, "\(outcome.errorText)")
    }

    @Test func anEmptyKeySaysWhatLeavesItEmpty() async throws {
        let sandbox = try await Sandbox(["A": "value"])
        let variable = try await sandbox.run("verify", adding: ["CREDFS_KEY": ""])
        variable.expectRefusal(15, "the variable CREDFS_KEY does not hold", hint: "credfs verify --no-key")
        let descriptor = try await sandbox.run("verify", "--key-fd", "0")
        descriptor.expectRefusal(15, "descriptor 0 does not hold", hint: "nothing was written to it")
        let file = try sandbox.directory.write([], to: "empty", permissions: 0o600)
        try await sandbox.run("verify", "--key-file", file).expectRefusal(15, "does not hold", hint: "--keep-store")
    }

    @Test(arguments: ["--key-file", "--password-file", "--identity"])
    func anOpenDescriptorIsNoFile(option: String) async throws {
        let sandbox = try await Sandbox(["A": "value"])
        for (path, number) in [
            ("/dev/stdin", 0), ("/dev/fd/7", 7), ("/proc/self/fd/7", 7), ("/proc/thread-self/fd/7", 7),
        ] {
            let outcome = try await sandbox.shell("\"$@\" 7</dev/null", ["show", "A", option, path])
            outcome.expectRefusal(64, "\(path) is an open descriptor", hint: "--key-fd \(number)")
        }
    }

    @Test func anEmptyPasswordIsNoGuess() async throws {
        let sandbox = try Sandbox()
        let password = try sandbox.directory.write(
            Array("correct horse battery".utf8),
            to: "password",
            permissions: 0o600
        )
        try await sandbox.succeed("init", "--empty", "--password", "--password-file", password)
        for _ in 0..<6 {
            let outcome = try await sandbox.run("verify", adding: ["CREDFS_PASSWORD": ""])
            outcome.expectRefusal(12, "CREDFS_PASSWORD holds an empty password", hint: "credfs verify --no-key")
        }
        try await sandbox.succeed("verify", "--password-file", password)
    }
}
