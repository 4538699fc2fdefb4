// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

@Suite struct KeysTests {
    private let password = "four random words \(UUID().uuidString)"

    /// The document of `keys list --json`.
    struct Document: Decodable, Equatable {
        struct Slot: Decodable, Equatable {
            let id: String
            let type: String
            let recipient: String?
            let iterations: Int?
        }

        let schemaVersion: Int
        let slots: [Slot]
    }

    @Test func theSlotThatOpenedTheStoreIsMissed() async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        let keyFile = sandbox.directory.path("ci.key")
        try await sandbox.succeed("keys", "add", "--new-key-file", keyFile, "--id", "ci")
        let quiet = try await sandbox.succeed("keys", "remove", "ci")
        #expect(quiet.lines("warning").allSatisfy { !$0.contains("no more") }, "\(quiet.errorText)")
        try await sandbox.succeed("keys", "add", "--new-key-file", keyFile + "2", "--id", "ci")
        let outcome = try await sandbox.succeed("keys", "remove", "keyfile")
        #expect(
            outcome.lines("warning").contains(
                "what opened the store just now opens it no more; it has ci (a key file) left"
            ),
            "\(outcome.errorText)"
        )
    }

    @Test func everyKindIsListedAddedAndRemoved() async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        let identity = try await Identity(sandbox, "identity")
        try sandbox.directory.write(Array((password + "\n").utf8), to: "password")
        let passwordFile = sandbox.directory.path("password")
        let keyFile = sandbox.directory.path("ci.key")
        try await sandbox.succeed("keys", "add", "--recipient", identity.recipient)
        try await sandbox.succeed("keys", "add", "--new-password-file", passwordFile, "--id", "deploy")
        let made = try await sandbox.succeed("keys", "add", "--new-key-file", keyFile)
        #expect(made.errorText.contains("made the key file \(keyFile)"))
        #expect(try Files.mode(keyFile) == 0o600)
        #expect(try await sandbox.run("keys", "list").outputText == "age\ndeploy\nkeyfile\nkeyfile-2\n")
        let json = try await sandbox.run("keys", "list", "--json")
        let document = try JSONDecoder().decode(Document.self, from: Data(json.standardOutput))
        #expect(
            document
                == Document(
                    schemaVersion: 1,
                    slots: [
                        .init(id: "age", type: "age", recipient: identity.recipient, iterations: nil),
                        .init(id: "deploy", type: "password", recipient: nil, iterations: 600_000),
                        .init(id: "keyfile", type: "keyfile", recipient: nil, iterations: nil),
                        .init(id: "keyfile-2", type: "keyfile", recipient: nil, iterations: nil),
                    ]
                )
        )
        let ways = [["--identity", identity.path], ["--password-file", passwordFile], ["--key-file", keyFile]]
        for way in ways { #expect(try await sandbox.run(["show", "ONE"] + way).outputText == "value") }

        for (index, id) in ["age", "deploy", "keyfile-2"].enumerated() {
            let removed = try await sandbox.succeed("keys", "remove", id)
            #expect(removed.errorText.contains("git history"))
            #expect(removed.errorText.contains("credfs rotate"))
            #expect(!Files.exists(sandbox.path("secrets.yaml.bak")))
            #expect(
                try !String(decoding: Files.read(sandbox.path("state/signed.yaml")), as: UTF8.self).contains(
                    "  \(id):\n"
                )
            )
            (try await sandbox.run(["show", "ONE"] + ways[index])).expectRefusal(id == "deploy" ? 12 : 15)
        }
        (try await sandbox.run("keys", "remove", "keyfile")).expectRefusal(64, "the last slot", hint: "keys add")
        #expect(try await sandbox.value("ONE") == Array("value".utf8))
        #expect(try await sandbox.run("verify").status == .exited(0))
    }

    @Test func whatCannotBeMeantIsRefusedAndChangesNothing() async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        let identity = try await Identity(sandbox, "identity")
        try await sandbox.succeed("keys", "add", "--recipient", identity.recipient)
        try sandbox.directory.write(Array("short\n".utf8), to: "weak")
        let before = try sandbox.manifest()
        for (arguments, text) in [
            (["add"], "name what to add"),
            (["add", "--recipient", identity.recipient, "--password"], "name what to add"),
            (["add", "--recipient", identity.recipient], "slot 'age' is for that recipient already"),
            (["add", "--recipient", "age1pq1qq"], "mlkem768x25519"),
            (["add", "--new-password-file", sandbox.directory.path("weak")], "at least 12 characters"),
            (["add", "--new-key-file", sandbox.directory.path("k"), "--id", "age"], "there is a slot 'age' already"),
            (["add", "--new-key-file", sandbox.directory.path("k"), "--id", "A"], "1 to 64 of a-z"),
            (["remove", "other"], "there is no slot of that name"), (["remove"], "missing expected argument"),
        ] {
            (try await sandbox.run(["keys"] + arguments)).expectRefusal(64, text)
        }
        #expect(try sandbox.manifest() == before)
        #expect(!Files.exists(sandbox.directory.path("k")))
    }

    @Test func aKeyFileThatWasLeftBehindDoesNotStandInTheWay() async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        let identity = try await Identity(sandbox, "identity")
        try await sandbox.succeed("keys", "add", "--recipient", identity.recipient)
        let removed = try await sandbox.succeed("keys", "remove", "keyfile")
        #expect(removed.errorText.contains("secrets.key opens nothing any more"))
        #expect(Files.exists(sandbox.path("secrets.key")))
        let shown = try await sandbox.run("show", "ONE", adding: ["CREDFS_AGE_KEY_FILE": identity.path])
        #expect(shown.outputText == "value", "\(shown.errorText)")
    }

    @Test func aPasswordIsChangedWithoutSealingValuesAgain() async throws {
        let sandbox = try Sandbox()
        let new = "other random words \(UUID().uuidString)"
        try sandbox.directory.write(Array((password + "\n").utf8), to: "old")
        try sandbox.directory.write(Array((new + "\n").utf8), to: "new")
        let (oldFile, newFile) = (sandbox.directory.path("old"), sandbox.directory.path("new"))
        try await sandbox.succeed("init", "--empty", "--password-file", oldFile)
        try await sandbox.succeed("set", "ONE", "--password-file", oldFile, input: Array("value".utf8))
        try await sandbox.succeed("set", "TWO", "--password-file", oldFile, input: Array("value".utf8))
        func values() throws -> [Substring] {
            try sandbox.manifest().split(separator: "\n").filter { $0.contains(" value: ") }
        }
        let before = try values()
        let changed = try await sandbox.succeed("password", "--password-file", oldFile, "--new-password-file", newFile)
        #expect(changed.errorText.contains("git history"))
        #expect(try values() == before)
        #expect(!Files.exists(sandbox.path("secrets.yaml.bak")))
        (try await sandbox.run("show", "ONE", "--password-file", oldFile)).expectRefusal(12, "4 attempts remaining")
        #expect(try await sandbox.run("show", "ONE", "--password-file", newFile).outputText == "value")

        // On a terminal: the old one once, the new one twice.
        let terminal = try PseudoTerminal()
        try terminal.start(credfs, ["password"], environment: sandbox.environment)
        try await terminal.expect("password for \(sandbox.store): ")
        terminal.type(new + "\n")
        for question in ["new password for", "the same password again: "] {
            try await terminal.expect(question)
            terminal.type(password + "\n")
        }
        try await terminal.expect("changed the password of slot password")
        #expect(try await terminal.end() == .exited(0))
        #expect(!terminal.transcript.contains(password) && !terminal.transcript.contains(new))
        #expect(try await sandbox.run("show", "ONE", "--password-file", oldFile).outputText == "value")
    }

    @Test func iterationsBelowThoseOfTodayAreRaised() async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        let golden = PackageDirectory.root + "Tests/Vectors/v1/password/"
        let text = String(decoding: try Files.read(golden + "secrets.yaml"), as: UTF8.self)
        try sandbox.replaceManifest(text.utf8)
        try sandbox.directory.write(try Files.read(golden + "password"), to: "password")
        let file = sandbox.directory.path("password")
        try await sandbox.succeed("password", "--password-file", file, "--new-password-file", file)
        let after = try #require(try sandbox.manifest().firstMatch(of: /iterations: (\d+)/))
        #expect(Int(after.output.1).map { $0 >= 600_000 } == true)
    }

    @Test func passwordNamesTheSlotItNeeds() async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        try sandbox.directory.write(Array((password + "\n").utf8), to: "password")
        let file = sandbox.directory.path("password")
        (try await sandbox.run("password", "--new-password-file", file))
            .expectRefusal(64, "no slot of this store opens with a password", hint: "keys add --password")
        for id in ["first", "second"] {
            try await sandbox.succeed("keys", "add", "--new-password-file", file, "--id", id)
        }
        (try await sandbox.run("password", "--new-password-file", file)).expectRefusal(64, "first, second")
        (try await sandbox.run("password", "keyfile", "--new-password-file", file)).expectRefusal(
            64,
            "no slot of that name with"
        )
        let changed = try await sandbox.succeed("password", "second", "--new-password-file", file)
        #expect(changed.errorText.contains("changed the password of slot second"))
    }
}

@Suite struct LockoutTests {
    private let password = "four random words \(UUID().uuidString)"

    /// A store with a password, and a file with a wrong one.
    private func locked() async throws -> (sandbox: Sandbox, right: String, wrong: String) {
        let sandbox = try Sandbox()
        try sandbox.directory.write(Array((password + "\n").utf8), to: "right")
        try sandbox.directory.write(Array("wrong random words\n".utf8), to: "wrong")
        try await sandbox.succeed("init", "--empty", "--password-file", sandbox.directory.path("right"))
        return (sandbox, sandbox.directory.path("right"), sandbox.directory.path("wrong"))
    }

    private func edit(_ sandbox: Sandbox, _ change: (String) -> String) throws {
        let text = String(decoding: try sandbox.directory.read("store/state/attempts"), as: UTF8.self)
        try sandbox.directory.write(Array(change(text).utf8), to: "store/state/attempts")
    }

    /// Makes the wait so long that no load of the machine outlasts it; how long it is in fact is for the unit tests.
    private func prolong(_ sandbox: Sandbox) throws {
        try edit(sandbox) { $0.replacing(/failures=\d+/, with: "failures=12") }
    }

    /// Makes the wait one that ended long ago.
    private func elapse(_ sandbox: Sandbox) throws {
        try edit(sandbox) {
            $0.replacing(/boot=\S*/, with: "boot=another").replacing(/\stime=\S+/, with: " time=2020-01-01T00:00:00Z")
        }
    }

    @Test func fiveWrongPasswordsInARowLockOutAndTheRightOneWaits() async throws {
        let (sandbox, right, wrong) = try await locked()
        for left in [4, 3, 2, 1, 0] {
            (try await sandbox.run("verify", "--password-file", wrong))
                .expectRefusal(
                    12,
                    "incorrect password, \(left) attempt\(left == 1 ? "" : "s") remaining",
                    hint: left == 0 ? "30 s" : nil
                )
        }
        try prolong(sandbox)
        (try await sandbox.run("verify", "--password-file", right))
            .expectRefusal(13, "locked out after 12 incorrect passwords", hint: "try again in ")
        let verbose = try await sandbox.run("list", "-v", "--password-file", right)
        #expect(verbose.status == .exited(13))
        #expect(verbose.errorText.contains("\"operation\":\"unlock\""))
        #expect(verbose.errorText.contains("\"status\":\"denied\""))
        try elapse(sandbox)
        (try await sandbox.run("verify", "--password-file", wrong)).expectRefusal(12, "0 attempts", hint: "3600 s")
        (try await sandbox.run("verify", "--password-file", right)).expectRefusal(13)
        try elapse(sandbox)
        try await sandbox.succeed("verify", "--password-file", right)
        #expect(!Files.exists(sandbox.path("state/attempts")))
        (try await sandbox.run("verify", "--password-file", wrong)).expectRefusal(12, "4 attempts remaining")
    }

    @Test func nobodyIsAskedDuringALockout() async throws {
        let (sandbox, _, wrong) = try await locked()
        for _ in 0..<5 { _ = try await sandbox.run("verify", "--password-file", wrong) }
        try prolong(sandbox)
        let terminal = try PseudoTerminal()
        try terminal.start(credfs, ["verify"], environment: sandbox.environment)
        #expect(try await terminal.end() == .exited(13))
        #expect(!terminal.transcript.contains("password for"))
    }

    @Test(arguments: [0, 3])
    func parallelProcessesGetNoMoreGuessesThanOne(before: Int) async throws {
        let (sandbox, _, wrong) = try await locked()
        for _ in 0..<before { _ = try await sandbox.run("verify", "--password-file", wrong) }
        let guessers = try (0..<20).map { _ in
            try ChildProcess.Running(
                credfs,
                ["verify", "--password-file", wrong],
                environment: sandbox.environment
            )
        }
        let start = ContinuousClock.now
        var statuses: [ChildProcess.Outcome.Status] = []
        for guesser in guessers { statuses.append(try await guesser.end().status) }
        // On a machine so slow that the wait of 30 s is over meanwhile, there is one more for it.
        let isSlow = ContinuousClock.now - start > .seconds(25)
        let guesses = statuses.count { $0 == .exited(12) }
        #expect(guesses == 5 - before || isSlow && guesses == 6 - before)
        #expect(statuses.count { $0 == .exited(13) } == 20 - guesses)
    }

    @Test func aKilledGuessCounts() async throws {
        let (sandbox, right, wrong) = try await locked()
        for killed in 1...5 {
            let guess = try ChildProcess.Running(
                credfs,
                ["verify", "--password-file", wrong],
                environment: sandbox.environment
            )
            while !((try? sandbox.directory.read("store/state/attempts")) ?? []).starts(
                with: "failures=\(killed) ".utf8
            ) {
                try await Task.sleep(for: .milliseconds(1))
            }
            kill(guess.id, SIGKILL)
            _ = try await guess.end()
        }
        try prolong(sandbox)
        (try await sandbox.run("verify", "--password-file", right)).expectRefusal(13)
    }

    @Test func otherKeySlotsStayOpen() async throws {
        let (sandbox, right, wrong) = try await locked()
        let identity = try await Identity(sandbox, "identity")
        try await sandbox.succeed("keys", "add", "--recipient", identity.recipient, "--password-file", right)
        for _ in 0..<5 { _ = try await sandbox.run("verify", "--password-file", wrong) }
        try prolong(sandbox)
        (try await sandbox.run("verify", "--password-file", right)).expectRefusal(13)
        try await sandbox.succeed("verify", "--identity", identity.path)
    }

    @Test func parallelRightPasswordsAllOpen() async throws {
        let (sandbox, right, _) = try await locked()
        let readers = try (0..<12).map { _ in
            try ChildProcess.Running(credfs, ["verify", "--password-file", right], environment: sandbox.environment)
        }
        for reader in readers {
            let outcome = try await reader.end()
            #expect(outcome.status == .exited(0), "\(outcome.errorText)")
        }
    }
}
