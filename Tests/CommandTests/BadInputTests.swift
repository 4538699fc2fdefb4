// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

@Suite struct MissingStoreTests {
    @Test(arguments: [
        ["show", "NAME"], ["set", "NAME"], ["get", "NAME"], ["list"], ["delete", "-y", "NAME"], ["encrypt"], ["verify"],
        ["verify", "--no-key"],
    ])
    func whereNoStoreIsEveryCommandSaysHowToMakeOne(arguments: [String]) async throws {
        let sandbox = try Sandbox()
        let before = try sandbox.snapshot()
        (try await sandbox.run(arguments, input: [1])).expectRefusal(18, "no store at", hint: "credfs init")
        #expect(try sandbox.snapshot() == before)
        // A directory without a manifest is none either.
        try FileManager.default.createDirectory(atPath: sandbox.store, withIntermediateDirectories: false)
        try Files.setMode(0o700, sandbox.store)
        (try await sandbox.run(arguments, input: [1])).expectRefusal(18, "no store at", hint: "credfs init")
        #expect(try Snapshot(sandbox.store).entries.isEmpty)
        let elsewhere = try await sandbox.run(
            arguments + ["--manifest", sandbox.directory.path("nowhere/secrets.yaml")]
        )
        elsewhere.expectRefusal(18, "no store at", hint: "credfs init")
    }
}

@Suite struct BadKeyTests {
    /// Contents of a key file that open nothing, made of one that opens a store.
    static let damages: [(name: String, change: @Sendable ([UInt8]) -> [UInt8])] = [
        ("empty", { _ in [] }), ("a newline", { _ in [10] }), ("one character less", { $0.dropLast(2) + [10] }),
        ("one character more", { $0.dropLast() + [65, 10] }), ("two newlines", { $0 + [10] }),
        ("a space before", { [32] + $0 }), ("a carriage return", { $0.dropLast() + [13, 10] }),
        ("another prefix", { Array("CREDFS-KEY-2:".utf8) + $0.dropFirst(13) }),
        ("not base64", { $0.prefix(20) + [33] + $0.dropFirst(21) }),
        ("standard base64", { $0.prefix(20) + [43] + $0.dropFirst(21) }),
        // The last character carries four bits only.
        ("not canonical", { $0.prefix(55) + [66, 10] }), ("zeros", { [UInt8](repeating: 0, count: $0.count) }),
        ("another key", { Array("CREDFS-KEY-1:".utf8) + [UInt8](repeating: 65, count: $0.count - 14) + [10] }),
        ("too long", { _ in [UInt8](repeating: 65, count: 5000) }),
    ]

    @Test(arguments: damages.map(\.name))
    func aDamagedKeyFileOpensNothing(name: String) async throws {
        let sandbox = try await Sandbox(["KEPT": "old"])
        let damage = try #require(Self.damages.first { $0.name == name })
        let key = try Files.read(sandbox.path("secrets.key"))
        try sandbox.directory.write(damage.change(key), to: "store/secrets.key")
        let before = try sandbox.snapshot()
        for arguments in [["show", "KEPT"], ["set", "KEPT"], ["encrypt"], ["verify"]] {
            (try await sandbox.run(arguments, input: [1])).expectRefusal(15)
        }
        #expect(try sandbox.snapshot() == before)
        #expect(try await sandbox.run("verify", "--no-key").status == .exited(0))
        try sandbox.directory.write(key, to: "good")
        try Files.setMode(0o600, sandbox.directory.path("good"))
        // What is named counts, and what fails is not followed by another way.
        let named = try await sandbox.run("show", "KEPT", "--key-file", sandbox.directory.path("good"))
        #expect(named.standardOutput == Array("old".utf8))
        try sandbox.directory.write(key, to: "store/secrets.key")
        try sandbox.directory.write(damage.change(key), to: "bad")
        (try await sandbox.run("show", "KEPT", "--key-file", sandbox.directory.path("bad"))).expectRefusal(15)
        let text = String(decoding: damage.change(key), as: UTF8.self)
        if !text.contains("\u{0}") {
            (try await sandbox.run("show", "KEPT", adding: ["CREDFS_KEY": text])).expectRefusal(15)
        }
    }

    @Test func aKeyThatIsNotThereIsAnError() async throws {
        let sandbox = try await Sandbox(["KEPT": "old"])
        for arguments in [
            ["--key-file", sandbox.directory.path("none")], ["--key-fd", "77"], ["--password-fd", "77"],
        ] {
            (try await sandbox.run(["show", "KEPT"] + arguments)).expectRefusal(1, "cannot")
        }
        (try await sandbox.run("show", "KEPT", "--key-fd=-1")).expectRefusal(64)
        (try await sandbox.run("show", "KEPT", "--key-file", "a", "--key-fd", "4")).expectRefusal(64, "not several")
        (try await sandbox.run("show", "KEPT", "--slot", "none")).expectRefusal(15)
        // Where a key file lies, a password in a variable is not looked at.
        try await sandbox.succeed("show", "KEPT", adding: ["CREDFS_PASSWORD": "unused"])
    }
}

@Suite struct BadManifestTests {
    struct Damage: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let status: Int32
        let text: String
        let change: @Sendable (String) -> [UInt8]

        init(_ name: String, _ status: Int32, _ text: String, _ change: @escaping @Sendable (String) -> String) {
            self.init(bytes: name, status, text) { Array(change($0).utf8) }
        }

        init(bytes name: String, _ status: Int32, _ text: String, _ change: @escaping @Sendable (String) -> [UInt8]) {
            testDescription = name
            self.status = status
            self.text = text
            self.change = change
        }

        /// A damage that adds lines after `secrets:`.
        static func entry(_ name: String, _ status: Int32, _ text: String, _ lines: String) -> Damage {
            Damage(name, status, text) { $0.replacing("\nsecrets:\n", with: "\nsecrets:\n\(lines)\n") }
        }
    }

    static let damages: [Damage] = [
        Damage("empty", 17, "empty") { _ in "" },
        Damage("only a comment", 17, "empty") { _ in "# nothing\n" },
        Damage("only a document start", 17, "expected") { _ in "---\n" },
        Damage("a list", 17, "mapping") { _ in "- a\n" },
        Damage("not YAML", 17, "line 1") { _ in "a: b: c\n" },
        Damage("an open quote", 17, "line") { $0 + "x: 'open\n" },
        Damage(bytes: "a NUL", 17, "line") { Array($0.utf8) + [0] },
        Damage(bytes: "not UTF-8", 17, "") { Array($0.utf8) + Array("# ".utf8) + [0xff, 10] },
        Damage(bytes: "BOM", 17, "byte order mark") { [0xef, 0xbb, 0xbf] + Array($0.utf8) },
        Damage(bytes: "UTF-16", 17, "byte order mark") { [0xff, 0xfe] + $0.utf8.flatMap { [$0, 0] } },
        Damage("a directive", 17, "directive") { "%YAML 1.1\n---\n" + $0 },
        Damage("a tag directive", 17, "directive") { "%TAG ! tag:x,2000:\n---\n" + $0 },
        Damage("an unknown directive", 17, "") { "%X y\n---\n" + $0 },
        Damage("a second document", 17, "second document") { $0 + "---\nversion: 1\n" },
        Damage("an empty second document", 17, "second document") { $0 + "---\n" },
        Damage("a duplicate key", 17, "duplicate key") { $0 + "version: 1\n" },
        Damage("an unknown key", 17, "unknown key") { $0 + "extra: 1\n" },
        Damage("a future version", 17, "format version 2 is not known") {
            $0.replacing("version: 1\n", with: "version: 2\n")
        },
        Damage("no version", 17, "no 'version'") { $0.replacing("version: 1\n", with: "") },
        Damage("no signature", 17, "no 'signature'") { $0.replacing(/signature: .*\n/, with: "") },
        Damage("no slots", 17, "no 'slots'") { $0.replacing(/slots:\n(  .*\n)+/, with: "") },
        Damage("a short signature", 17, "64 lower-case") { $0.replacing(/signature: ../, with: "signature: ") },
        Damage("an upper-case signature", 17, "64 lower-case") {
            $0.replacing(/signature: ../, with: "signature: AA")
        },
        Damage("a number with a zero before", 17, "number") { $0.replacing("generation: ", with: "generation: 0") },
        Damage("a negative generation", 17, "number") { $0.replacing("generation: ", with: "generation: -") },
        Damage("a date that is none", 17, "time") { $0.replacing(/updated: '....-../, with: "updated: '2026-13") },
        Damage("a store that is no UUID", 17, "UUID") { $0.replacing(/store: .*/, with: "store: none") },
        .entry("an anchor", 17, "anchor", "  ZZ: &a\n    value: \"\""),
        .entry("an alias", 17, "alias", "  ZZ: *a"),
        .entry("a tag on a mapping", 17, "tag", "  ZZ: !!map\n    value: \"\""),
        .entry("a tag on a text", 17, "tag", "  ZZ:\n    value: !!str \"\""),
        .entry("a non-specific tag", 17, "tag", "  ZZ:\n    value: ! \"\""),
        .entry("a merge key", 17, "merge key", "  <<: {value: \"\"}"),
        .entry("a duplicate name", 17, "duplicate key", "  ONE:\n    value: \"\""),
        .entry("a duplicate key of a secret", 17, "duplicate key", "  ZZ:\n    value: \"\"\n    value: \"\""),
        .entry("an unknown key of a secret", 17, "unknown key", "  ZZ:\n    value: \"\"\n    extra: x"),
        .entry("no value", 17, "no 'value'", "  ZZ:\n    required: true"),
        .entry("a value that is a mapping", 17, "text is expected", "  ZZ:\n    value: {}"),
        .entry("yes for true", 17, "true or false", "  ZZ:\n    value: \"\"\n    required: yes"),
        .entry("a mode that is none", 17, "unknown word", "  ZZ:\n    value: \"\"\n    mode: \"0444\""),
        .entry("a foreign service", 17, "service", "  ZZ:\n    value: \"\"\n    service: YY"),
        .entry("a text that reorders others", 17, "reorders", "  ZZ:\n    value: \"\"\n    description: \"a\\u202eb\""),
        .entry("a bad name", 17, "bad name", "  \"a:b\":\n    value: \"\""),
        .entry("a name with a slash", 17, "bad name", "  a/b:\n    value: \"\""),
        .entry("a hidden name", 17, "bad name", "  .a:\n    value: \"\""),
        .entry("10 000 lists deep", 17, "", "  ZZ: " + String(repeating: "[", count: 10_000)),
        .entry("10 000 mappings deep", 17, "", "  ZZ: " + String(repeating: "{a: ", count: 10_000)),
        .entry(
            "seventeen levels in a policy",
            17,
            "",
            "  ZZ:\n    value: \"\"\n    policy: {executables: \(String(repeating: "[", count: 17))"
        ),
        .entry("an unsealed value", 22, "ZZ", "  ZZ:\n    value: plain"),
        .entry(
            "a value that is nearly sealed",
            22,
            "ZZ",
            "  ZZ:\n    value: ENC[AES256_GCM,data:AA==,iv:AA==,tag:AA==]"
        ),
        Damage("base64 with bits that count for nothing", 22, "ONE") { text in
            // The tag has 16 bytes: its last character carries two bits.
            text.replacing(/(ONE:\n    value: .*).==\]/) { "\($0.output.1)B==]" }
        },
        Damage("base64 with white space", 22, "ONE") {
            $0.replacing(/(ONE:\n    value: .*),iv:/) { "\($0.output.1) ,iv:" }
        },
        Damage("another algorithm", 22, "ONE") {
            $0.replacing(/(ONE:\n    value: )ENC\[AES256_GCM/) { "\($0.output.1)ENC[AES128_GCM" }
        },
        Damage("a changed generation", 15, "signature") { $0.replacing("generation: ", with: "generation: 9") },
        Damage("a secret that is required now", 15, "signature") {
            $0.replacing(/(ONE:\n    value: .*\n)/) { "\($0.output.1)    required: true\n" }
        },
        Damage("a removed secret", 15, "signature") { $0.replacing(/[ ]{2}ONE:\n(    .*\n)+/, with: "") },
        Damage("values that changed places", 15, "signature") { text in
            let values = text.matches(of: /(ONE|TWO):\n    value: (.*)\n/).map { String($0.output.2) }
            return text.replacing(values[0], with: "@").replacing(values[1], with: values[0])
                .replacing("@", with: values[1])
        },
        Damage("another signature", 15, "signature") {
            $0.replacing(/signature: '................/, with: "signature: '0123456789abcdef")
        },
        Damage("a sealed key that changed", 15, "key") {
            $0.replacing(/sealed: ENC\[AES256_GCM,data:....../) { "\($0.output.dropLast(6))AAAAAA" }
        },
    ]

    @Test(arguments: damages)
    func isRefusedByEveryCommandAndLeftAlone(damage: Damage) async throws {
        let sandbox = try await Sandbox(["ONE": "first value", "TWO": "second value"])
        let text = try sandbox.manifest()
        let changed = damage.change(text)
        try #require(changed != Array(text.utf8))
        try sandbox.replaceManifest(changed)
        let before = try sandbox.snapshot()
        for arguments in [["verify"], ["show", "TWO"], ["set", "TWO"]] {
            (try await sandbox.run(arguments, input: [1])).expectRefusal(damage.status, damage.text)
        }
        try await sandbox.succeed("init")
        if damage.status != 17 {
            let keyless = try await sandbox.run("verify", "--no-key")
            #expect(keyless.status == .exited(damage.status == 15 ? 0 : damage.status))
        }
        #expect(try sandbox.snapshot() == before)
    }

    @Test func aManifestBeyond64MebibytesIsNotRead() async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        #expect(
            try await ChildProcess.run("/bin/truncate", ["-s", "67108865", sandbox.path("secrets.yaml")]).status
                == .exited(0)
        )
        let before = try sandbox.snapshot()
        for arguments in [["verify"], ["show", "ONE"], ["set", "ONE"], ["encrypt"]] {
            (try await sandbox.run(arguments, input: [1])).expectRefusal(17, "larger than 64 MiB")
        }
        #expect(try sandbox.snapshot() == before)
    }

    @Test func aManifestOf64MebibytesOfNothingIsRefused() async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        try sandbox.replaceManifest([UInt8](repeating: UInt8(ascii: "#"), count: 64 << 20))
        (try await sandbox.run("verify")).expectRefusal(17, "empty")
    }

    @Test func aValueOfAnotherStoreDoesNotOpen() async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        let other = try Sandbox()
        try await other.succeed("init", "--empty", "--key-file", sandbox.path("secrets.key"))
        try await other.succeed("set", "ONE", "--key-file", sandbox.path("secrets.key"), input: [1])
        let value = try #require(try other.manifest().firstMatch(of: /ONE:\n    value: .*\n/)).output
        let moved = try sandbox.manifest().replacing(/ONE:\n    value: .*\n/, with: String(value))
        try sandbox.replaceManifest(moved.utf8)
        let before = try sandbox.snapshot()
        (try await sandbox.run("show", "ONE")).expectRefusal(15, "signature", hint: "credfs encrypt")
        // Not even the command that signs again accepts it: the value itself is bound to its store.
        (try await sandbox.run("encrypt")).expectRefusal(
            15,
            "'ONE' does not authenticate",
            hint: "another name or store"
        )
        #expect(try sandbox.snapshot() == before)
        // A whole manifest of the other store has the same key file and still its own data key.
        try sandbox.replaceManifest(try other.manifest().utf8)
        #expect(try await sandbox.value("ONE") == [1])
    }

    @Test func valuesThatChangedPlacesAreNotSignedAgain() async throws {
        let sandbox = try await Sandbox(["ONE": "first value", "TWO": "second value"])
        let damage = try #require(Self.damages.first { $0.testDescription == "values that changed places" })
        try sandbox.replaceManifest(damage.change(try sandbox.manifest()))
        let before = try sandbox.snapshot()
        (try await sandbox.run("encrypt")).expectRefusal(15, "'ONE' does not authenticate")
        #expect(try sandbox.snapshot() == before)
    }

    @Test(arguments: [99_999, 10_000_001])
    func iterationsOutOfBoundsAreRefusedBeforeTheyAreCounted(iterations: Int) async throws {
        let sandbox = try Sandbox()
        let password = "four random words \(UUID().uuidString)"
        try await sandbox.succeed("init", "--empty", adding: ["CREDFS_PASSWORD": password])
        // A variable alone does not make a password store.
        #expect(Files.exists(sandbox.path("secrets.key")))
        let other = try Sandbox()
        try await other.succeed("init", "--empty", "--password", adding: ["CREDFS_PASSWORD": password])
        let text = try other.manifest()
        #expect(text.contains("iterations: 600000\n"))
        try other.replaceManifest(text.replacing("iterations: 600000", with: "iterations: \(iterations)").utf8)
        (try await other.run("verify", adding: ["CREDFS_PASSWORD": password])).expectRefusal(17, "iterations")
    }
}

@Suite struct ExpiryTests {
    @Test func anExpiredRequiredSecretIsRefusedAndAnOptionalOneWarnedOf() async throws {
        let sandbox = try Sandbox()
        try await sandbox.succeed("init", "--empty")
        let past = "2020-01-01T00:00:00Z"
        let set = try await sandbox.run("set", "OPTIONAL", "--expires", past, input: [65])
        set.expectRefusal(64, "--expires is in the past: \(past)", hint: "a time to come")
        #expect(try await sandbox.succeed("list").outputText == "")
        try await sandbox.makeExpired("OPTIONAL", "A", at: past)
        let verification = try await sandbox.succeed("verify")
        #expect(verification.outputText.contains("warning  expiry       expired and left out: OPTIONAL\n"))
        let shown = try await sandbox.succeed("show", "OPTIONAL")
        #expect(shown.standardOutput == [65])
        #expect(shown.lines("warning") == ["'OPTIONAL' expired at \(past)"])
        try await sandbox.makeExpired("NEEDED", "B", at: past, required: true)
        let refused = try await sandbox.run("verify")
        refused.expectRefusal(
            16,
            "required secret 'NEEDED' expired at \(past)",
            hint: "credfs set NEEDED --expires TIME"
        )
        try await sandbox.succeed("set", "NEEDED", "--expires", "never", input: [66])
        #expect(try await sandbox.run("verify").status == .exited(0))
        (try await sandbox.run("set", "NEEDED", "--expires", "tomorrow", input: [1])).expectRefusal(
            64,
            hint: "RFC 3339"
        )
    }

    @Test func anExpiredSecretThatIsNamedForAJobIsMissing() async throws {
        let sandbox = try await Sandbox(["ONE": "1"])
        let past = "2020-01-01T00:00:00Z"
        try await sandbox.makeExpired("OLD", "A", at: past)
        (try await sandbox.run("mount", "--only", "OLD,ONE")).expectRefusal(
            16,
            "'OLD' expired at \(past)",
            hint: "set OLD"
        )
        for options in [["--only", "OLD"], ["--only", "ONE,OLD"], ["--env", "OLD"], ["--file-var", "OLD=X"]] {
            let outcome = try await sandbox.run(["run"] + options + ["--", "true"])
            outcome.expectRefusal(125, "'OLD' expired at \(past)", hint: "credfs set OLD --expires TIME")
            let warned = try await sandbox.succeed(["run", "--if-missing", "warn"] + options + ["--", "true"])
            #expect(warned.lines("warning").contains("'OLD' expired at \(past)"))
        }
        (try await sandbox.run("verify", "--file-var", "OLD=X")).expectRefusal(16, "'OLD' expired at")
        (try await sandbox.run("verify", "--file-var", "NONE=X")).expectRefusal(11, "'NONE'")
        try await sandbox.succeed("run", "--", "true")
    }

    @Test func anExpiredManifestIsRefused() async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        let template = "expires: 2020-01-01T00:00:00Z\nsecrets: {}\n"
        let file = try sandbox.directory.write(Array(template.utf8), to: "template.yaml")
        try await sandbox.succeed("encrypt", file)
        (try await sandbox.run("verify")).expectRefusal(
            16,
            "the manifest expired at 2020-01-01T00:00:00Z",
            hint: "credfs edit"
        )
        (try await sandbox.run("verify", "--no-key")).expectRefusal(16)
    }
}

@Suite struct VerifyTests {
    @Test func whatRunRefusesForTheNamesOfSecretsIsRefused() async throws {
        let sandbox = try await Sandbox.withClashingNames()
        for arguments in [["verify"], ["verify", "--no-key"], ["run", "--", "true"]] {
            (try await sandbox.run(arguments)).expectRefusal(
                17,
                "'A' and 'a' would both have the variable A_FILE",
                hint: "--file-var"
            )
        }
    }

    @Test(arguments: [
        ("--file-vars none", 0), ("--file-var a=SMALL_FILE", 0), ("--file-var a=X,A=Y", 0), ("--file-vars all", 17),
        ("--file-var a=X,A=X", 17), ("--file-var OTHER=X", 17), ("--file-var a=CREDFS_KEY", 64),
        ("--file-vars some", 64),
    ])
    func verifyTakesTheOptionsForVariablesThatRunTakes(options: String, status: Int32) async throws {
        let sandbox = try await Sandbox.withClashingNames()
        let words = options.split(separator: " ").map(String.init)
        #expect(try await sandbox.run(["verify"] + words).status == .exited(status))
        #expect(try await sandbox.run(["run"] + words + ["--", "true"]).status == .exited(status))
    }

    @Test func aSecretThatRunRefusesForItsSizeIsRefused() async throws {
        let sandbox = try await Sandbox(["ONE": "1"])
        let large = [UInt8](repeating: 65, count: 1 << 20)
        try await sandbox.succeed("set", "LARGE", input: large)
        try await sandbox.succeed("verify")
        try await sandbox.succeed("set", "LARGE", "--max-size", "2000000", input: large + [65])
        for arguments in [["verify"], ["verify", "--no-key"]] {
            (try await sandbox.run(arguments)).expectRefusal(
                17,
                "the value of 'LARGE' is larger than 1048576 bytes",
                hint: "--max-size"
            )
        }
        (try await sandbox.run("run", "--", "true")).expectRefusal(125, "larger than 1048576 bytes", hint: "--max-size")
        try await sandbox.succeed("verify", "--max-size", "2000000")
        try await sandbox.succeed("run", "--max-size", "2000000", "--", "true")
    }
}

/// Names that are new in a store.
@Suite struct NewNameTests {
    private let clash = "would both have the variable A_B_FILE"

    @Test func oneWhoseVariableBelongsToAnotherSecretIsRefused() async throws {
        let sandbox = try await Sandbox(["a.b": "1"])
        let json = try sandbox.directory.write(Array(#"{"A_B": "2"}"#.utf8), to: "values.json")
        let template = try sandbox.directory.write(Array("secrets:\n  A.B:\n    value: x\n".utf8), to: "template")
        let before = try sandbox.manifest()
        for arguments in [["set", "a-b"], ["set", "--allow-empty", "a-b"], ["import", json], ["encrypt", template]] {
            (try await sandbox.run(arguments, input: [65])).expectRefusal(17, clash)
            #expect(try sandbox.manifest() == before)
        }
        #expect(Files.exists(template))
        (try await Sandbox().run("init", "--require", "a.b,A_B")).expectRefusal(17, clash)
        try sandbox.replaceManifest(before.replacing("secrets:\n", with: "secrets:\n  A_B:\n    value: x\n").utf8)
        (try await sandbox.run("encrypt")).expectRefusal(17, "'A_B' and 'a.b' \(clash)")
    }

    @Test func aNameFromADocumentThatMayBeAValueIsWarnedOf() async throws {
        let sandbox = try await Sandbox(["ONE": "1"])
        let json = try sandbox.directory.write(Array(#"{"A=hunter2": "2"}"#.utf8), to: "values.json")
        let template = try sandbox.directory.write(Array("secrets:\n  B=hunter2:\n    value: x\n".utf8), to: "template")
        try FileManager.default.createDirectory(
            atPath: sandbox.directory.path("files"),
            withIntermediateDirectories: false
        )
        try sandbox.directory.write([65], to: "files/C=hunter2")
        for (arguments, name) in [
            (["import", json], "A"), (["encrypt", template], "B"), (["import", sandbox.directory.path("files")], "C"),
        ] {
            let outcome = try await sandbox.succeed(arguments)
            #expect(outcome.lines("warning").contains { $0.contains("new names with '=': \(name)=...;") })
        }
        let again = try await sandbox.succeed("import", json)
        #expect(!again.errorText.contains("new names"))
    }
}

@Suite struct UsageTests {
    @Test(arguments: [
        "--bogus", "bogus", "list one two", "list --bogus", "set", "show", "show NAME --newline maybe",
        "set NAME VALUE",
        "set NAME - --value-file x", "verify -q -v", "set NAME --expires soon", "set NAME --format xml",
        "set NAME --trailing-newline twice", "list --json=yes", "set NAME --value-file", "-v", "init --key-file",
        "init --key-file a --password", "delete", "set NAME --max-size x",
    ])
    func badArgumentsAreExplainedOnOneLine(arguments: String) async throws {
        let sandbox = try await Sandbox(["KEPT": "old"])
        let before = try sandbox.snapshot()
        let outcome = try await sandbox.run(arguments.split(separator: " ").map(String.init), input: [1])
        outcome.expectRefusal(64)
        #expect(outcome.standardOutput.isEmpty)
        #expect(!outcome.errorText.contains(". "))
        #expect(try sandbox.snapshot() == before)
    }

    @Test func helpNamesTheProgramAndTheCommand() async throws {
        let sandbox = try Sandbox()
        for command in ["set", "run", "import", "keys", "keys add"] {
            let words = command.split(separator: " ").map(String.init)
            let help = try await sandbox.run(words + ["--help"]).outputText
            #expect(help.contains("\nUSAGE: credfs \(command) "), "\(help)")
        }
    }

    @Test func helpAndVersionAreData() async throws {
        let sandbox = try Sandbox()
        for arguments in [[], ["--help"], ["help"], ["set", "--help"], ["help", "set"], ["--version"]] {
            let outcome = try await sandbox.run(arguments)
            #expect(outcome.status == .exited(0))
            #expect(outcome.errorText == "")
            #expect(outcome.outputText.hasSuffix("\n"))
        }
        #expect(try await sandbox.run("--version").outputText.wholeMatch(of: /credfs \d+\.\d+\.\d+\n/) != nil)
        for command in ["init", "set", "get", "show", "list", "delete", "encrypt", "verify"] {
            #expect(try await sandbox.run("--help").outputText.firstMatch(of: try Regex("\n  \(command)[, ]")) != nil)
        }
    }

    @Test func withoutHomeTheStoreMustBeNamed() async throws {
        let prefix = isRoot ? "setpriv --reuid \(stranger) --regid \(stranger) --clear-groups" : ""
        let sandbox = try Sandbox()
        let outcome = try await sandbox.shell("unset HOME CREDFS_STORE; exec \(prefix) \"$@\"", ["list"])
        outcome.expectRefusal(64, "HOME is not set", hint: "--store")
    }
}
