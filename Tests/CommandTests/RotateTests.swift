// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

@Suite struct RotateTests {
    private let password = "four random words \(UUID().uuidString)"

    @Test func aNewDataKeySealsEverythingAgainInOneStep() async throws {
        let sandbox = try await Sandbox(["ONE": "first", "TWO": "second"])
        let identity = try await Identity(sandbox, "identity")
        try await sandbox.succeed("keys", "add", "--recipient", identity.recipient)
        let generation = try sandbox.generation()
        let before = try sandbox.manifest()
        let sealed = { (text: String) in text.split(separator: "\n").filter { $0.contains("ENC[") } }
        let rotated = try await sandbox.succeed("rotate")
        #expect(rotated.errorText.contains("made a new data key for 2 secrets"))
        #expect(rotated.errorText.contains("git history"))
        #expect(!rotated.errorText.contains("\r"), "a bar is for terminals")
        #expect(try sandbox.generation() == generation + 1)
        #expect(Set(sealed(before)).isDisjoint(with: sealed(try sandbox.manifest())))
        #expect(!Files.exists(sandbox.path("secrets.yaml.bak")))
        #expect(try Files.read(sandbox.path("state/signed.yaml")) == Files.read(sandbox.path("secrets.yaml")))
        for way in [[], ["--identity", identity.path]] {
            #expect(try await sandbox.run(["show", "ONE"] + way).outputText == "first")
            #expect(try await sandbox.run(["verify"] + way).status == .exited(0))
        }
        // A slot of the manifest before does not open this one, even where somebody puts it back.
        let slot = try #require(before.firstMatch(of: /keyfile:\n    type: keyfile\n    sealed: .*\n/)).output
        let now = try sandbox.manifest()
        let current = try #require(now.firstMatch(of: /keyfile:\n    type: keyfile\n    sealed: .*\n/)).output
        try sandbox.replaceManifest(now.replacing(current, with: slot).utf8)
        (try await sandbox.run("show", "ONE")).expectRefusal(15)
    }

    @Test func aSlotThatNothingOpensStopsItUnlessItIsDropped() async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        try sandbox.directory.write(Array((password + "\n").utf8), to: "password")
        try sandbox.directory.write(Array("wrong random words\n".utf8), to: "wrong")
        let file = sandbox.directory.path("password")
        try await sandbox.succeed("keys", "add", "--new-password-file", file, "--id", "deploy")
        try await sandbox.succeed("keys", "add", "--new-key-file", sandbox.directory.path("key"), "--id", "ci")
        let before = try sandbox.snapshot().entries.filter {
            !$0.key.hasPrefix("store/state") && !$0.key.hasPrefix("home")
        }
        (try await sandbox.run("rotate")).expectRefusal(64, "ci, deploy", hint: "--drop-slot")
        (try await sandbox.run("rotate", "--drop-slot", "ci")).expectRefusal(64, "deploy")
        (try await sandbox.run("rotate", "--drop-slot", "ci", "--also-password-file", sandbox.directory.path("wrong")))
            .expectRefusal(12, "4 attempts remaining")
        (try await sandbox.run("rotate", "--drop-slot", "other")).expectRefusal(64, "there is no slot of that name")
        (try await sandbox.run("rotate", "--drop-slot", "ci", "--drop-slot", "deploy", "--drop-slot", "keyfile"))
            .expectRefusal(64, "the last slot")
        #expect(
            try sandbox.snapshot().entries.filter { !$0.key.hasPrefix("store/state") && !$0.key.hasPrefix("home") }
                == before
        )

        // From a variable and a file; then what is dropped opens nothing.
        try await sandbox.succeed(
            "rotate",
            "--also-key-file",
            sandbox.directory.path("key"),
            adding: ["CREDFS_PASSWORD": password]
        )
        for way in [["--password-file", file], ["--key-file", sandbox.directory.path("key")], []] {
            #expect(try await sandbox.run(["show", "ONE"] + way).outputText == "value")
        }
        let dropped = try await sandbox.succeed("rotate", "--password-file", file, "--drop-slot", "ci")
        #expect(dropped.errorText.contains("removed slot ci"))
        (try await sandbox.run("show", "ONE", "--key-file", sandbox.directory.path("key"))).expectRefusal(15)
        #expect(try await sandbox.run("keys", "list").outputText == "deploy\nkeyfile\n")
        #expect(try await sandbox.value("ONE") == Array("value".utf8))
        #expect(try await sandbox.run("show", "ONE", "--password-file", file).outputText == "value")
    }

    @Test func aPersonIsAskedForThePasswordsThatAreMissing() async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        try sandbox.directory.write(Array((password + "\n").utf8), to: "password")
        let file = sandbox.directory.path("password")
        try await sandbox.succeed("keys", "add", "--new-password-file", file, "--id", "deploy")
        let terminal = try PseudoTerminal()
        try terminal.start(credfs, ["rotate"], environment: sandbox.environment)
        try await terminal.expect("password of slot deploy for \(sandbox.store): ")
        terminal.type(password + "\n")
        try await terminal.expect("made a new data key")
        #expect(try await terminal.end() == .exited(0))
        #expect(try await sandbox.run("show", "ONE", "--password-file", file).outputText == "value")
        let wrong = try PseudoTerminal()
        let before = try sandbox.manifest()
        try wrong.start(credfs, ["rotate"], environment: sandbox.environment)
        try await wrong.expect("password of slot deploy")
        wrong.type("wrong\n")
        try await wrong.expect("incorrect password, 4 attempts remaining")
        #expect(try await wrong.end() == .exited(12))
        #expect(try sandbox.manifest() == before)
    }

    @Test func namesGetNewValues() async throws {
        let sandbox = try await Sandbox(["ONE": "old", "TWO": "old"])
        try await sandbox.succeed("set", "ONE", "--keep-value", "--description", "the one", "--format", "text")
        try await sandbox.succeed("rotate", "ONE", input: Array("new\n".utf8))
        #expect(try await sandbox.value("ONE") == Array("new\n".utf8))
        #expect(try sandbox.manifest().contains("description: 'the one'"))
        try sandbox.directory.write(Array("from a file".utf8), to: "value")
        try await sandbox.succeed("rotate", "TWO", "--value-file", sandbox.directory.path("value"))
        #expect(try await sandbox.value("TWO") == Array("from a file".utf8))
        let before = try sandbox.manifest()
        (try await sandbox.run("rotate", "THREE", input: [65])).expectRefusal(11)
        (try await sandbox.run("rotate", "ONE", "TWO", input: [65])).expectRefusal(64, "one name")
        (try await sandbox.run("rotate", "ONE", "ONE", input: [65])).expectRefusal(64, "twice")
        (try await sandbox.run("rotate", "ONE")).expectRefusal(64, "the value is empty")
        (try await sandbox.run("rotate", "ONE", input: [0xff])).expectRefusal(17, "not text")
        (try await sandbox.run("rotate", "ONE", "--due")).expectRefusal(64, "takes no names")
        (try await sandbox.run("rotate", "ONE", "--drop-slot", "keyfile")).expectRefusal(64, "for a new data key")
        #expect(try sandbox.manifest() == before)

        let terminal = try PseudoTerminal()
        try terminal.start(credfs, ["rotate", "ONE", "TWO"], environment: sandbox.environment)
        for (name, value) in [("ONE", "typed one"), ("TWO", "typed two")] {
            for question in ["value of \(name): ", "the same value again: "] {
                try await terminal.expect(question)
                terminal.type(value + "\n")
            }
        }
        #expect(try await terminal.end() == .exited(0))
        #expect(try await sandbox.value("ONE") == Array("typed one".utf8))
        #expect(try await sandbox.value("TWO") == Array("typed two".utf8))
    }

    /// A store whose secrets have commands, given as YAML lists.
    private func due(_ commands: [(name: String, every: String, command: String)]) async throws -> Sandbox {
        let sandbox = try await Sandbox(["KEPT": "kept"])
        let entries = commands.map {
            "  \($0.name):\n    value: old\n    rotate: {every: \($0.every), command: \($0.command)}\n"
        }
        try sandbox.directory.write(Array(("secrets:\n" + entries.joined()).utf8), to: "template")
        try await sandbox.succeed("encrypt", sandbox.directory.path("template"))
        return sandbox
    }

    @Test func commandsMakeNewValuesWhenTheirPeriodIsOver() async throws {
        let sandbox = try await due([
            ("SOON", "1ms", "[printf, 'new %s', value]"), ("LATER", "30d", "[/usr/bin/printf, 'new']"),
            ("FAILS", "1ms", "[/bin/sh, -c, 'echo lost; exit 3']"), ("ABSENT", "1ms", "[/nonexistent/program]"),
            ("EMPTY", "1ms", "['true']"), ("LONG", "1ms", "[head, -c, '2000000', /dev/zero]"),
            ("LAST", "1ms", "[/bin/sh, -c, 'cat; echo last']"),
        ])
        // A period of less than a second is over in the next one.
        try await Task.sleep(for: .milliseconds(1100))
        let outcome = try await sandbox.run("rotate", "--due", input: Array("not for a command".utf8))
        outcome.expectRefusal(1, "no new value for FAILS, ABSENT, EMPTY, LONG")
        #expect(!outcome.errorText.contains("lost"))
        #expect(try await sandbox.value("SOON") == Array("new value".utf8))
        #expect(try await sandbox.value("LAST") == Array("last\n".utf8))
        for name in ["LATER", "FAILS", "ABSENT", "EMPTY", "LONG"] {
            #expect(try await sandbox.value(name) == Array("old".utf8), "\(name)")
        }
        #expect(try await sandbox.run("verify").status == .exited(0))
        #expect(try sandbox.snapshot().leftovers == [])
    }

    @Test func nothingIsDueTwice() async throws {
        let sandbox = try await due([("ONE", "1h", "[printf, new]")])
        #expect(try await sandbox.succeed("rotate", "--due").errorText.contains("nothing is due"))
        // As if it had been made long ago.
        try sandbox.replaceManifest(
            try sandbox.manifest().replacing(/ONE:\n(.*\n)    rotated: .*\n/) {
                "ONE:\n\($0.output.1)    rotated: '2020-01-01T00:00:00Z'\n"
            }.utf8
        )
        try await sandbox.succeed("encrypt")
        let both = try (0..<4).map { _ in
            try ChildProcess.Running(credfs, ["rotate", "--due"], environment: sandbox.environment)
        }
        var made = 0
        for process in both {
            let outcome = try await process.end()
            #expect(outcome.status == .exited(0), "\(outcome.errorText)")
            made += outcome.errorText.contains("gave ONE a new value") ? 1 : 0
        }
        #expect(made == 1)
    }

    @Test func aValueThatCannotBeStoredIsPrintedSealed() async throws {
        // The value has not the format of its secret.
        let sandbox = try await due([("ONE", "1ms", "[printf, 'never lost']")])
        try await sandbox.succeed(
            "set",
            "ONE",
            "--format",
            "hex32",
            input: Array(String(repeating: "0", count: 64).utf8)
        )
        try await Task.sleep(for: .milliseconds(1100))
        let outcome = try await sandbox.run("rotate", "--due")
        outcome.expectRefusal(1, "no new value for ONE")
        #expect(!outcome.errorText.contains("never lost"))
        let sealed = try #require(outcome.errorText.firstMatch(of: /ENC\[\S+\]/)).output
        // As the message says: into the manifest by hand, and signed.
        try sandbox.replaceManifest(
            try sandbox.manifest().replacing(/ONE:\n    value: .*\n/, with: "ONE:\n    value: \(sealed)\n")
                .replacing("    format: hex32\n", with: "").utf8
        )
        try await sandbox.succeed("encrypt")
        #expect(try await sandbox.value("ONE") == Array("never lost".utf8))
    }

    @Test func noCommandInheritsAKey() async throws {
        let sandbox = try await due([("ONE", "1ms", "[/bin/sh, -c, 'env; ls /proc/self/fd']")])
        try await Task.sleep(for: .milliseconds(1100))
        let key = String(decoding: try Files.read(sandbox.path("secrets.key")), as: UTF8.self)
        try await sandbox.succeed(
            "rotate",
            "--due",
            adding: ["CREDFS_KEY": key, "CREDFS_PASSWORD_FILE": "/nonexistent"]
        )
        let seen = String(decoding: try await sandbox.value("ONE"), as: UTF8.self)
        #expect(seen.contains("HOME="))
        #expect(!seen.contains("CREDFS_KEY") && !seen.contains("CREDFS_PASSWORD") && !seen.contains(key.dropLast()))
        // Its three streams, and the directory that ls reads.
        #expect(seen.contains("\n0\n1\n2\n3\n") && !seen.contains("\n4\n"))
    }

    @Test func manySecretsTakeABarOnATerminal() async throws {
        let sandbox = try await Sandbox([:])
        let entries = (0..<50_000).map { "  NAME\($0):\n    value: value \($0)\n" }
        try sandbox.directory.write(Array(("secrets:\n" + entries.joined()).utf8), to: "template")
        let outcome = try await ChildProcess.run(
            credfs,
            ["encrypt", sandbox.directory.path("template")],
            environment: sandbox.environment,
            timeout: .seconds(120)
        )
        try #require(outcome.status == .exited(0), "\(outcome.errorText)")
        let terminal = try PseudoTerminal()
        try terminal.start(credfs, ["rotate"], environment: sandbox.environment)
        try await terminal.expect("credfs: rotating [", within: .seconds(60))
        try await terminal.expect("/50000", within: .seconds(60))
        try await terminal.expect("made a new data key for 50000 secrets", within: .seconds(120))
        #expect(try await terminal.end() == .exited(0))
        #expect(try await sandbox.value("NAME49999") == Array("value 49999".utf8))
        #expect(try await sandbox.value("NAME0") == Array("value 0".utf8))
    }
}
