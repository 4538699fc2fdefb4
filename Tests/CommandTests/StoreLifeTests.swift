// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

@Suite struct InitTests {
    @Test(arguments: [
        ["--password-file", "/nonexistent"], ["--key-file", "/nonexistent"], ["--password-file", "weak"],
    ])
    func aStoreThatIsNotMadeLeavesNothing(_ options: [String]) async throws {
        let sandbox = try Sandbox()
        let weak = try sandbox.directory.write(Array("short\n".utf8), to: "weak", permissions: 0o600)
        let before = try sandbox.snapshot()
        let outcome = try await sandbox.run(["init", "--empty"] + options.map { $0 == "weak" ? weak : $0 })
        #expect(outcome.status != .exited(0))
        #expect(try sandbox.snapshot() == before, "\(outcome.errorText)")
    }

    @Test func makesAStoreWithPlaceholdersAndSaysWhatItEnsured() async throws {
        let sandbox = try Sandbox()
        let outcome = try await sandbox.succeed("init", "--require", "GHCR_USER", "GHCR_TOKEN", "COSIGN_KEY")
        #expect(outcome.standardOutput.isEmpty)
        for message in [
            "ensured 0700 on \(sandbox.store)", "ensured 0700 on \(sandbox.store)/state", "ensured 0600 on secrets.key",
            "permissions verified", "made a store at \(sandbox.store)",
        ] {
            #expect(outcome.errorText.contains("credfs: \(message)\n"))
        }
        #expect(try Files.mode(sandbox.store) == 0o700)
        #expect(try Files.mode(sandbox.path("state")) == 0o700)
        for name in ["secrets.key", "secrets.yaml", ".gitignore", "state/lock"] {
            #expect(try Files.mode(sandbox.path(name)) == 0o600, "\(name)")
        }
        #expect(try await sandbox.run("list").outputText == "COSIGN_KEY\nGHCR_TOKEN\nGHCR_USER\n")
        let key = String(decoding: try Files.read(sandbox.path("secrets.key")), as: UTF8.self)
        #expect(key.wholeMatch(of: /CREDFS-KEY-1:[A-Za-z0-9_-]{43}\n/) != nil)
        let ignored = String(decoding: try Files.read(sandbox.path(".gitignore")), as: UTF8.self)
        for pattern in ["/secrets.key\n", "/state/\n"] { #expect(ignored.contains(pattern)) }
    }

    @Test func anExistingStoreIsRepairedAndNothingIsOverwritten() async throws {
        let sandbox = try await Sandbox(["KEPT": "value"])
        let before = try sandbox.snapshot()
        let again = try await sandbox.succeed("init", "--require", "OTHER")
        #expect(again.errorText.contains("there is a store at \(sandbox.store)"))
        #expect(try sandbox.snapshot() == before)
        for (name, mode) in [("secrets.key", 0o644), ("secrets.yaml", 0o666), ("state", 0o777), ("", 0o755)] {
            try Files.setMode(mode, sandbox.path(name))
        }
        try await sandbox.succeed("init")
        #expect(try sandbox.snapshot() == before)
        #expect(try Files.mode(sandbox.store) == 0o700)
    }

    @Test func aValueIsGenerated() async throws {
        let sandbox = try await Sandbox([:])
        let digits = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
        var seen: Set<[UInt8]> = []
        for (name, option, count) in [
            ("A", "--generate", 43), ("B", "--generate=16", 22), ("C", "--generate=4096", 5462),
        ] {
            let outcome = try await sandbox.succeed("set", option, name)
            #expect(outcome.outputText.isEmpty && outcome.errorText.isEmpty)
            let value = try await sandbox.value(name)
            #expect(value.count == count && value.allSatisfy(digits.contains), "\(option)")
            seen.insert(Array(value.prefix(22)))
        }
        try await sandbox.succeed("set", "A", "--generate")
        seen.insert(Array(try await sandbox.value("A").prefix(22)))
        #expect(seen.count == 4)
        for arguments in [
            ["--generate=15"], ["--generate=4097"], ["--generate=x"], ["--generate", "-"],
            ["--generate", "--keep-value"],
        ] {
            (try await sandbox.run(["set", "D"] + arguments, input: [65])).expectRefusal(64)
        }
        #expect(try await sandbox.succeed("list").outputText == "A\nB\nC\n")
    }

    @Test func whereNobodyCanBeAskedTheUsualSecretsAreRequired() async throws {
        let sandbox = try Sandbox()
        let outcome = try await sandbox.succeed("init")
        #expect(
            outcome.errorText.contains("give values to GHCR_USER, GHCR_TOKEN, COSIGN_KEY: credfs set NAME, or make")
        )
        #expect(outcome.errorText.contains("credfs init --empty"))
        #expect(try await sandbox.succeed("list").outputText == "COSIGN_KEY\nGHCR_TOKEN\nGHCR_USER\n")
        (try await sandbox.run("verify")).expectRefusal(17, "GHCR_USER")
        let required = try await Sandbox().succeed("init", "--require", "ONE").errorText
        #expect(!required.contains("init --empty"))
    }

    @Test func emptyAndRequireChooseThePlaceholders() async throws {
        let empty = try Sandbox()
        try await empty.succeed("init", "--empty")
        #expect(try await empty.run("list").standardOutput.isEmpty)
        #expect(try await empty.run("verify").status == .exited(0))
        let chosen = try Sandbox()
        try await chosen.succeed("init", "--require", "ONE", "TWO", "SERVICE/KEY")
        #expect(try await chosen.run("list").outputText == "ONE\nSERVICE.KEY\nTWO\n")
        let verification = try await chosen.run("verify")
        verification.expectRefusal(17, "ONE, TWO, SERVICE.KEY", hint: "credfs set ONE")
        (try await chosen.run("init", "--empty", "--require", "ONE")).expectRefusal(64, "exclude each other")
        (try await chosen.run("show", "ONE")).expectRefusal(17, "'ONE' has no value yet", hint: "credfs set ONE")
    }

    @Test(arguments: ["--require BAD:NAME", "--require .hidden", "--require ONE ONE", "--require A/B/C"])
    func badPlaceholdersMakeNoStore(arguments: String) async throws {
        let sandbox = try Sandbox()
        let outcome = try await sandbox.run(["init"] + arguments.split(separator: " ").map(String.init))
        outcome.expectRefusal(64)
        #expect(!Files.exists(sandbox.path("secrets.yaml")))
        #expect(!Files.exists(sandbox.path("secrets.key")))
    }

    @Test(arguments: ["0777", "0000", "0277"])
    func noUmaskMattersToAnybody(umask: String) async throws {
        for isUnprivileged in isRoot ? [false, true] : [false] {
            let sandbox = try Sandbox()
            let prefix = isUnprivileged ? try sandbox.giveToStranger() : ""
            let script = "umask \(umask); exec \(prefix) \"$@\""
            for arguments in [["init", "--empty"], ["set", "NAME"], ["set", "NAME"], ["verify"], ["init"]] {
                let outcome = try await sandbox.shell(script, arguments, input: Array("value".utf8))
                #expect(outcome.status == .exited(0), "\(isUnprivileged) \(arguments): \(outcome.errorText)")
            }
            let entries = try Snapshot(sandbox.store).entries
            for (name, entry) in entries {
                #expect(entry.mode == (name == "state" ? 0o700 : 0o600), "\(name)")
            }
            #expect(entries["secrets.yaml.bak"] != nil)
            #expect(try Files.mode(sandbox.store) == 0o700)
        }
    }

    @Test func aPasswordFileMakesAPasswordSlotAndNoKeyFile() async throws {
        let sandbox = try Sandbox()
        let password = "four random words \(UUID().uuidString)"
        let file = try sandbox.directory.write(Array("\(password)\n".utf8), to: "password")
        try await sandbox.succeed("init", "--empty", "--password-file", file)
        #expect(!Files.exists(sandbox.path("secrets.key")))
        try await sandbox.succeed("set", "NAME", "--password-file", file, input: [1, 2, 3])
        let before = try sandbox.snapshot()
        #expect(try await sandbox.run("show", "NAME", "--password-file", file).standardOutput == [1, 2, 3])
        for variables in [
            ["CREDFS_PASSWORD": password], ["CREDFS_PASSWORD_FILE": file], ["CREDFS_PASSWORD_CMD": "cat '\(file)'"],
        ] {
            #expect(try await sandbox.run("show", "NAME", adding: variables).standardOutput == [1, 2, 3])
        }
        let descriptor = try await sandbox.shell("exec \"$@\" 9<'\(file)'", ["show", "NAME", "--password-fd", "9"])
        #expect(descriptor.standardOutput == [1, 2, 3])
        (try await sandbox.run("show", "NAME", adding: ["CREDFS_PASSWORD": password + "x"]))
            .expectRefusal(12, "incorrect password")
        (try await sandbox.run("set", "NAME", input: [4], adding: ["CREDFS_PASSWORD": ""])).expectRefusal(12)
        // The wrong one was counted; a right one forgets it.
        #expect(Files.exists(sandbox.path("state/attempts")))
        try await sandbox.succeed("verify", "--password-file", file)
        let failing = try await sandbox.run("show", "NAME", adding: ["CREDFS_PASSWORD_CMD": "cat '\(file)'; exit 3"])
        failing.expectRefusal(1, "failed", hint: "run it by hand")
        // Names need no password; a value does.
        #expect(try await sandbox.run("list").outputText == "NAME\n")
        let offTerminal = try await ChildProcess.run(
            "/usr/bin/setsid",
            ["--wait", credfs, "show", "NAME"],
            environment: sandbox.environment
        )
        offTerminal.expectRefusal(1, "no terminal", hint: "--password-file")
        #expect(try sandbox.snapshot() == before)
    }

    @Test(arguments: ["short", "aaaaaaaaaaaaaa", "abcabcabcabcabc", "password123456", "123456789012", "abcdefghijklmn"])
    func aPasswordThatIsGuessedFirstMakesNoStore(password: String) async throws {
        let sandbox = try Sandbox()
        let file = try sandbox.directory.write(Array(password.utf8), to: "password")
        (try await sandbox.run("init", "--empty", "--password-file", file)).expectRefusal(
            64,
            "password",
            hint: "random words"
        )
        #expect(!Files.exists(sandbox.path("secrets.yaml")))
    }

    @Test func aGivenKeyOpensTheStoreAndIsNotWritten() async throws {
        let donor = try Sandbox()
        try await donor.succeed("init", "--empty")
        let key = donor.path("secrets.key")
        let text = String(decoding: try Files.read(key), as: UTF8.self).trimmingCharacters(in: .newlines)
        for (arguments, variables) in [(["--key-file", key], [:]), ([], ["CREDFS_KEY": text])] {
            let sandbox = try Sandbox()
            #expect(try await sandbox.run(["init", "--empty"] + arguments, adding: variables).status == .exited(0))
            #expect(!Files.exists(sandbox.path("secrets.key")))
            try await sandbox.succeed("set", "NAME", "--key-file", key, input: [7])
            #expect(try await sandbox.run("show", "NAME", adding: ["CREDFS_KEY": text]).standardOutput == [7])
            #expect(try await sandbox.run("show", "NAME", adding: ["CREDFS_KEY_FILE": key]).standardOutput == [7])
            let descriptor = try await sandbox.shell("exec \"$@\" 9<'\(key)'", ["show", "NAME", "--key-fd", "9"])
            #expect(descriptor.standardOutput == [7])
            (try await sandbox.run("show", "NAME")).expectRefusal(15, "there is no key", hint: "--key-file")
        }
    }
}

@Suite struct ValueTests {
    @Test func everyByteIsKept() async throws {
        let sandbox = try Sandbox()
        try await sandbox.succeed("init", "--empty")
        let values: [[UInt8]] = [[0], [10], Array(0...255), [1, 0, 10, 10], [0xff, 0xfe], Array("text".utf8)]
        for value in values {
            try await sandbox.succeed("set", "BYTES", input: value)
            #expect(try await sandbox.value("BYTES") == value)
            #expect(try await sandbox.run("get", "--show", "BYTES").standardOutput == value)
            let file = try sandbox.directory.write(value.reversed(), to: "value")
            try await sandbox.succeed("set", "FILE", "--value-file", file)
            #expect(try await sandbox.value("FILE") == value.reversed())
            try await sandbox.succeed("set", "DASH", "-", input: value)
            #expect(try await sandbox.value("DASH") == value)
        }
        #expect(try await sandbox.run("show", "BYTES", "--newline", "yes").standardOutput == Array("text\n".utf8))
        #expect(try await sandbox.run("show", "BYTES", "--newline=no").standardOutput == Array("text".utf8))
    }

    @Test func aMebibyteIsTheUsualLimit() async throws {
        let sandbox = try await Sandbox(["KEPT": "old"])
        let value = (0..<1 << 20).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        try await sandbox.succeed("set", "LARGE", input: value)
        #expect(try await sandbox.value("LARGE") == value)
        let before = try sandbox.snapshot()
        (try await sandbox.run("set", "KEPT", input: value + [1])).expectRefusal(17, "larger than", hint: "--max-size")
        (try await sandbox.run("set", "KEPT", "--max-size", "3", input: [1, 2, 3, 4])).expectRefusal(17, "3 bytes")
        for limit in ["0", "-1", "16777217", "many"] {
            (try await sandbox.run("set", "KEPT", "--max-size=\(limit)", input: [1])).expectRefusal(64, "--max-size")
        }
        #expect(try sandbox.snapshot() == before)
        try await sandbox.succeed("set", "KEPT", "--max-size", "1048577", input: value + [1])
        #expect(try await sandbox.value("KEPT").count == 1_048_577)
    }

    @Test func theNewlinePolicyIsAppliedWhenAValueEnters() async throws {
        let sandbox = try Sandbox()
        try await sandbox.succeed("init", "--empty")
        try await sandbox.succeed("set", "STRIP", "--trailing-newline", "strip", input: Array("a\n\n".utf8))
        #expect(try await sandbox.value("STRIP") == Array("a\n".utf8))
        try await sandbox.succeed("set", "ENSURE", "--trailing-newline", "ensure", input: Array("a".utf8))
        #expect(try await sandbox.value("ENSURE") == Array("a\n".utf8))
        // The entry remembers it.
        try await sandbox.succeed("set", "STRIP", input: Array("b\n".utf8))
        #expect(try await sandbox.value("STRIP") == Array("b".utf8))
    }

    @Test(arguments: [
        ("json", "{\"a\": [1, true]}", "{\"a\": }"), ("hex32", String(repeating: "0f", count: 32), "0f"),
        ("base64", "AAECAw==", "AAECAw="), ("text", "words", "wo\u{0}rds"),
        ("pem", "-----BEGIN X-----\nAAECAw==\n-----END X-----\n", "-----BEGIN X-----\n"),
    ])
    func aFormatIsCheckedAndNothingElseIsChanged(format: String, good: String, bad: String) async throws {
        let sandbox = try Sandbox()
        try await sandbox.succeed("init", "--empty")
        try await sandbox.succeed("set", "NAME", "--format", format, input: Array(good.utf8))
        #expect(try await sandbox.value("NAME") == Array(good.utf8))
        let before = try sandbox.snapshot()
        (try await sandbox.run("set", "NAME", input: Array(bad.utf8))).expectRefusal(17, "'NAME' is not \(format)")
        #expect(try sandbox.snapshot() == before)
    }

    @Test func anEmptyValueIsMeantOnlyWithAFlag() async throws {
        let sandbox = try await Sandbox(["KEPT": "old"])
        let before = try sandbox.snapshot()
        (try await sandbox.run("set", "KEPT")).expectRefusal(64, "empty", hint: "--allow-empty")
        #expect(try sandbox.snapshot() == before)
        try await sandbox.succeed("set", "KEPT", "--allow-empty")
        #expect(try await sandbox.value("KEPT") == [])
        #expect(try await sandbox.run("get", "KEPT").outputText.contains("value: (none)\n"))
    }

    @Test func aServiceAndAKeyMakeOneNameAndAClashIsRefused() async throws {
        let sandbox = try await Sandbox(["payments/TOKEN": "one", "a.b.c": "two"])
        #expect(try await sandbox.run("list").outputText == "a.b.c\npayments.TOKEN\n")
        for name in ["payments/TOKEN", "payments.TOKEN"] {
            #expect(try await sandbox.value(name) == Array("one".utf8))
        }
        try await sandbox.succeed("set", "payments.TOKEN", input: Array("three".utf8))
        #expect(try await sandbox.value("payments/TOKEN") == Array("three".utf8))
        let before = try sandbox.snapshot()
        (try await sandbox.run("set", "a.b/c", input: [1])).expectRefusal(
            17,
            "already the name",
            hint: "delete it first"
        )
        (try await sandbox.run("show", "a/b.c")).expectRefusal(11, "a.b.c", hint: "credfs list")
        #expect(try sandbox.snapshot() == before)
    }

    @Test func deletingRemovesOneSecretAndKeepsTheManifestOfBefore() async throws {
        let sandbox = try await Sandbox(["GONE": "one", "KEPT": "two"])
        let before = try sandbox.snapshot()
        (try await sandbox.run("delete", "GONE")).expectRefusal(64, "cannot ask", hint: "--yes")
        (try await sandbox.run("delete", "NONE", "-y")).expectRefusal(11, "'NONE'", hint: "credfs list")
        #expect(try sandbox.snapshot() == before)
        try await sandbox.succeed("delete", "GONE", "-y")
        #expect(try await sandbox.run("list").outputText == "KEPT\n")
        (try await sandbox.run("show", "GONE")).expectRefusal(11)
        #expect(try await sandbox.value("KEPT") == Array("two".utf8))
        let backup = try sandbox.snapshot().entries["store/secrets.yaml.bak"]
        #expect(backup == before.entries["store/secrets.yaml"])
    }

    @Test func valuesAreMaskedWhereTheyAreNotAskedFor() async throws {
        let value = UUID().uuidString
        let sandbox = try await Sandbox(["NAME": value])
        for arguments in [
            ["get", "NAME"], ["list"], ["get", "NAME", "--json"], ["list", "--json"], ["verify", "-v"],
        ] {
            let outcome = try await sandbox.run(arguments)
            #expect(outcome.status == .exited(0))
            #expect(!outcome.outputText.contains(value) && !outcome.errorText.contains(value))
        }
        #expect(try await sandbox.run("get", "NAME").outputText.contains("value: ********\n"))
        (try await sandbox.run("get", "NAME", "--show", "--json")).expectRefusal(64, "exclude each other")
    }

    @Test(arguments: [
        "", ".hidden", "a:b", "a/b/c", "/a", "a/", "tab\t", "umlaut\u{fc}", String(repeating: "x", count: 256),
    ])
    func aBadNameIsAnErrorOfUsageForEveryCommand(name: String) async throws {
        let sandbox = try await Sandbox(["KEPT": "old"])
        let before = try sandbox.snapshot()
        for arguments in [["set", name], ["show", name], ["get", name], ["delete", "-y", name]] {
            (try await sandbox.run(arguments, input: [1])).expectRefusal(64, "bad name", hint: "printable ASCII")
        }
        #expect(try sandbox.snapshot() == before)
    }

    @Test func unusualNamesWork() async throws {
        let sandbox = try Sandbox()
        try await sandbox.succeed("init", "--empty")
        let names = ["NO", "123", "~", "a b", "<<", "x: y".replacing(":", with: ";"), "'quoted\"", "#b", "*a", "null"]
        for name in names + [String(repeating: "x", count: 255)] {
            try await sandbox.succeed("set", name, input: Array(name.utf8))
        }
        for name in names { #expect(try await sandbox.value(name) == Array(name.utf8), "\(name)") }
        #expect(try await sandbox.run("verify").status == .exited(0))
    }
}
