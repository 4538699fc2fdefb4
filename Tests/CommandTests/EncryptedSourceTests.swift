// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

/// Files that other tools have encrypted, as sources.
///
/// The tools are the real ones.
@Suite struct EncryptedSourceTests {
    /// sops with an age identity in the sandbox.
    private struct Sops {
        let sandbox: Sandbox
        let identity: Identity

        init(_ secrets: [String: String] = [:]) async throws {
            sandbox = try await Sandbox(secrets)
            identity = try await Identity(sandbox, "identity")
        }

        /// Runs sops.
        func run(_ arguments: [String], input: [UInt8] = []) async throws -> [UInt8] {
            let outcome = try await ChildProcess.run(
                PackageDirectory.root + ".build/vectors/sops",
                ["--disable-version-check"] + arguments,
                environment: sandbox.environment.merging(["SOPS_AGE_KEY_FILE": identity.path]) { $1 },
                standardInput: input
            )
            try #require(outcome.status == .exited(0), "run scripts/test-vectors? \(arguments): \(outcome.errorText)")
            return outcome.standardOutput
        }

        /// Encrypts a text into a file.
        @discardableResult
        func encrypt(_ text: String, to name: String) async throws -> String {
            try await encrypt(Array(text.utf8), to: name)
        }

        @discardableResult
        func encrypt(
            _ bytes: [UInt8],
            to name: String,
            _ options: [String] = [],
            for others: [String] = []
        ) async throws -> String {
            let plain = try sandbox.directory.write(bytes, to: "plain-\(name)")
            defer { try? FileManager.default.removeItem(atPath: plain) }
            let rule = options.map { "    \($0)\n" }.joined()
            let rules = "creation_rules:\n  - age: \(([identity.recipient] + others).joined(separator: ","))\n\(rule)"
            let configuration = try sandbox.directory.write(Array(rules.utf8), to: "sops.yaml")
            let encrypted = try await run(["--config", configuration, "encrypt", plain])
            return try sandbox.directory.write(encrypted, to: name)
        }

        /// Runs credfs with the identity.
        func credfs(_ arguments: String...) async throws -> ChildProcess.Outcome {
            try await sandbox.run(arguments, adding: ["SOPS_AGE_KEY_FILE": identity.path])
        }

        func show(_ name: String, _ source: String) async throws -> String {
            let outcome = try await credfs("show", name, "--source", source)
            return outcome.status == .exited(0) ? outcome.outputText : outcome.errorText
        }

        /// Changes the text of a file.
        func change(_ name: String, _ change: (String) -> String) throws {
            let text = String(decoding: try sandbox.directory.read(name), as: UTF8.self)
            let changed = change(text)
            try #require(changed != text)
            try sandbox.directory.write(Array(changed.utf8), to: name)
        }
    }

    private static let document = """
        # a comment that is encrypted, too
        TOKEN: "of sops: #"
        db:
          user: admin
          ports: [5432, 1.50, 1e21, 2.5e-7]
          deep: {er: found}
        flag: true
        off: false
        number: -12345678901
        nothing: null
        empty: ""
        when: 2020-01-02T03:04:05Z
        text: |
          two
          lines
        plain_unencrypted: hello
        number_unencrypted: 7
        float_unencrypted: 0.00000123
        large_unencrypted: 1e30
        flag_unencrypted: False
        time_unencrypted: 2001-12-14T21:59:43Z
        words_unencrypted: ["true", "1", "null", no, 0x10]
        """

    private static let values = [
        "TOKEN": "of sops: #", "db.user": "admin", "db.ports.0": "5432", "db.ports.1": "1.5",
        "db.ports.2": "1000000000000000000000", "db.ports.3": "0.00000025", "db.deep.er": "found", "flag": "true",
        "off": "false", "number": "-12345678901", "when": "2020-01-02T03:04:05Z", "text": "two\nlines\n",
        "plain_unencrypted": "hello", "number_unencrypted": "7", "float_unencrypted": "0.00000123",
        "large_unencrypted": "1000000000000000000000000000000", "flag_unencrypted": "false",
        "time_unencrypted": "2001-12-14T21:59:43Z", "words_unencrypted.0": "true", "words_unencrypted.1": "1",
        "words_unencrypted.2": "null",
    ]

    @Test func aYAMLFileOfSopsIsReadWithEveryType() async throws {
        let sops = try await Sops(["STORE": "of the store"])
        let path = try await sops.encrypt(Self.document, to: "secrets.yaml")
        for (name, value) in Self.values { #expect(try await sops.show(name, "sops:\(path)") == value, "\(name)") }
        for name in ["nothing", "empty", "sops.mac"] {
            (try await sops.credfs("show", name, "--source", "sops:\(path)")).expectRefusal(11)
        }
        #expect(try await sops.show("STORE", "sops:\(path)") == "of the store")
        let explained = try await sops.credfs("explain", "TOKEN", "--source", "sops:\(path)")
        #expect(explained.outputText.contains("has the value that counts"), "\(explained.errorText)")
    }

    @Test func aJSONFileOfSopsIsReadWithEveryType() async throws {
        let sops = try await Sops()
        let text = """
            {"TOKEN":"a\\u00e9\\n\\"\\ud83d\\ude00","db":{"ports":[1,2.5,1e-9],"user":""},"flag":false,"none":null,
             "list_unencrypted":[1,2.5,1e21,true,"x",{"a":"b"}],"data":"value"}
            """
        let path = try await sops.encrypt(text, to: "secrets.json")
        let values = [
            "TOKEN": "a\u{e9}\n\"\u{1f600}", "db.ports.0": "1", "db.ports.1": "2.5", "db.ports.2": "0.000000001",
            "flag": "false", "list_unencrypted.2": "1000000000000000000000", "list_unencrypted.5.a": "b",
            "data": "value",
        ]
        for (name, value) in values { #expect(try await sops.show(name, "sops:\(path)") == value, "\(name)") }
        let single = try await sops.encrypt("{\"data\":\"value\"}", to: "single.json")
        #expect(try await sops.show("data", "sops:\(single)") == "value")
        #expect(try await sops.show("NAME", "sops:NAME=\(single)") == "value")
    }

    @Test func aDotenvFileOfSopsIsRead() async throws {
        let sops = try await Sops()
        let text = "# comment\nA=1\nQUOTED=\"as it is\"\nLINES=a\\nb\nEQUALS=a=b\nEMPTY=\nPLAIN_unencrypted=p\n"
        let path = try await sops.encrypt(text, to: "secrets.env")
        let values = [
            "A": "1", "QUOTED": "\"as it is\"", "LINES": "a\nb", "EQUALS": "a=b", "PLAIN_unencrypted": "p",
        ]
        for (name, value) in values { #expect(try await sops.show(name, "sops:\(path)") == value, "\(name)") }
    }

    @Test func aBinaryFileOfSopsIsOneValue() async throws {
        let sops = try await Sops()
        let bytes = Array("any bytes\n\u{e9} {}".utf8)
        let path = try await sops.encrypt(bytes, to: "tls.key")
        #expect(try await sops.show("tls.key", "sops:\(path)") == "any bytes\n\u{e9} {}")
        let named = try await sops.credfs("show", "KEY", "--source", "sops:KEY=\(path)")
        #expect(named.standardOutput == bytes)
        let other = try await sops.encrypt("A: b", to: "secrets.yaml")
        (try await sops.credfs("show", "KEY", "--source", "sops:KEY=\(other)")).expectRefusal(64, "has names")
    }

    @Test(arguments: [
        "encrypted_regex: ^(data|stringData)$", "unencrypted_regex: ^meta$", "encrypted_suffix: data",
        "unencrypted_suffix: meta", "encrypted_comment_regex: secret", "unencrypted_comment_regex: public",
    ]) func whateverRulesSayIsEncryptedIsRead(_ rule: String) async throws {
        let sops = try await Sops()
        let text = """
            # public
            meta:
              name: web
              annotations:
                example.com/owner: team
              labels: {count: 3}
            # secret
            data:
              TOKEN: t
              NUMBER: 5

            """
        let path = try await sops.encrypt(Array(text.utf8), to: "manifest.yaml", [rule])
        #expect(try await sops.show("data.TOKEN", "sops:\(path)") == "t", "\(rule)")
        #expect(try await sops.show("data.NUMBER", "sops:\(path)") == "5", "\(rule)")
        // What is not encrypted has to be what it was.
        try sops.change("manifest.yaml") { $0.replacing("name: web", with: "name: wob") }
        (try await sops.credfs("show", "data.TOKEN", "--source", "sops:\(path)")).expectRefusal(15, "MAC")
    }

    @Test func valuesThatNobodyVouchesForAreLeftOut() async throws {
        let sops = try await Sops()
        let text = "SECRET: s\nOTHER_unencrypted: o\n"
        let path = try await sops.encrypt(Array(text.utf8), to: "secrets.yaml", ["mac_only_encrypted: true"])
        #expect(try await sops.show("SECRET", "sops:\(path)") == "s")
        try sops.change("secrets.yaml") { "ADDED: a\n\($0.replacing("unencrypted: o", with: "unencrypted: p"))" }
        #expect(try await sops.show("SECRET", "sops:\(path)") == "s")
        for name in ["OTHER_unencrypted", "ADDED"] {
            (try await sops.credfs("show", name, "--source", "sops:\(path)")).expectRefusal(11)
        }
        try sops.change("secrets.yaml") { $0.replacing("mac_only_encrypted: true", with: "mac_only_encrypted: false") }
        (try await sops.credfs("show", "SECRET", "--source", "sops:\(path)")).expectRefusal(15, "MAC")
    }

    @Test func everyChangeOfAFileOfSopsIsRefused() async throws {
        let sops = try await Sops()
        let text = "A: first\nB: second\nlist: [x, y]\nP_unencrypted: p\nQ_unencrypted: q\n"
        let path = try await sops.encrypt(text, to: "secrets.yaml")
        let original = try sops.sandbox.directory.read("secrets.yaml")
        func refused(_ message: String, _ change: (String) -> String) async throws {
            try sops.sandbox.directory.write(original, to: "secrets.yaml")
            try sops.change("secrets.yaml", change)
            let outcome = try await sops.credfs("show", "A", "--source", "sops:\(path)")
            outcome.expectRefusal(15, message)
            #expect(outcome.outputText.isEmpty)
        }
        try await refused("line 1") { $0.replacing("A: ENC", with: "C: ENC") }
        try await refused("line 2") { text in
            // The value of A under the name of B.
            let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
            return ([lines[0], "B: \(lines[0].dropFirst(3))"] + lines.dropFirst(2)).joined(separator: "\n")
        }
        try await refused("MAC") { text in text.split(separator: "\n").dropFirst(2).joined(separator: "\n") + "\nA: a\n"
        }
        // Elements of a list are bound to the list only: their order is what the MAC sees.
        try await refused("MAC") { text in
            var lines = text.split(separator: "\n").map(String.init)
            lines.swapAt(3, 4)
            return lines.joined(separator: "\n")
        }
        try await refused("MAC") { $0.replacing("P_unencrypted: p", with: "P_unencrypted: P") }
        try await refused("MAC") { $0.replacing("P_unencrypted: p", with: "P_unencrypted: p\nNEW: plain") }
        try await refused("MAC") { text in text.replacing(/lastmodified: "20../, with: "lastmodified: \"21") }
        try await refused("no MAC") { text in text.replacing(/\ +mac: ENC.*\n/, with: "") }
        try await refused("no MAC") { text in text.replacing(/\ +lastmodified: .*\n/, with: "") }
    }

    @Test func whatOpensAFileOfSopsIsFoundWhereSopsLooks() async throws {
        let sops = try await Sops()
        let path = try await sops.encrypt("A: a", to: "secrets.yaml")
        let sandbox = sops.sandbox
        func show(_ variables: [String: String]) async throws -> ChildProcess.Outcome {
            try await sandbox.run("show", "A", "--source", "sops:\(path)", adding: variables)
        }
        (try await show([:])).expectRefusal(15, "there is no age identity", hint: "SOPS_AGE_KEY_FILE")
        #expect(try await show(["SOPS_AGE_KEY": sops.identity.text]).outputText == "a")
        #expect(try await show(["CREDFS_AGE_KEY_FILE": sops.identity.path]).outputText == "a")
        let other = try await Identity(sandbox, "other")
        let refused = try await show(["SOPS_AGE_KEY_FILE": other.path])
        refused.expectRefusal(15, "no age identity at hand opens it", hint: sops.identity.recipient)
        // Each is tried, as by sops.
        #expect(
            try await show(["SOPS_AGE_KEY_FILE": other.path, "SOPS_AGE_KEY": sops.identity.text]).outputText == "a"
        )
        #expect(
            try await sandbox.run("show", "A", "--source", "sops:\(path)", "--identity", sops.identity.path).status
                != .exited(0)
        )
        let usual = sandbox.directory.path("home/.config/sops/age")
        try FileManager.default.createDirectory(atPath: usual, withIntermediateDirectories: true)
        try sandbox.directory.write(Array(sops.identity.text.utf8), to: "home/.config/sops/age/keys.txt")
        #expect(try await show([:]).outputText == "a")
        try Files.setMode(0o644, "\(usual)/keys.txt")
        (try await show([:])).expectRefusal(14, "insecure permissions")
    }

    @Test func aFileOfSopsThatIsNotSupportedSaysWhatItNeeds() async throws {
        let sops = try await Sops()
        let path = try await sops.encrypt("A: a", to: "secrets.yaml")
        let original = String(decoding: try sops.sandbox.directory.read("secrets.yaml"), as: UTF8.self)
        let age = try #require(original.range(of: "    age:\n"))
        let end = try #require(original.range(of: "    lastmodified:"))
        func refused(_ status: Int32, _ message: String, _ replacement: String, hint: String? = nil) async throws {
            let text = original.replacingCharacters(in: age.lowerBound..<end.lowerBound, with: replacement)
            try sops.sandbox.directory.write(Array(text.utf8), to: "secrets.yaml")
            (try await sops.credfs("show", "A", "--source", "sops:\(path)")).expectRefusal(status, message, hint: hint)
        }
        try await refused(15, "AWS KMS only", "    kms:\n        - arn: a\n          enc: e\n", hint: "--add-age")
        try await refused(15, "AWS KMS, PGP only", "    age: []\n    kms: [{arn: a}]\n    pgp: [{fp: f}]\n")
        try await refused(15, "groups", "    key_groups: [{age: [{recipient: r, enc: e}]}]\n")
        try await refused(15, "for nobody", "    age: null\n    kms: []\n")
        try await refused(17, "no age file", "    age: [{recipient: r, enc: e}]\n")
        try sops.sandbox.directory.write(Array("A: a\n".utf8), to: "secrets.yaml")
        (try await sops.credfs("show", "A", "--source", "sops:\(path)")).expectRefusal(17, "not encrypted this file")
        try sops.sandbox.directory.write(Array("[x]\nA = b\n[sops]\nmac = m\n".utf8), to: "secrets.yaml")
        (try await sops.credfs("show", "A", "--source", "sops:\(path)")).expectRefusal(17, "INI")
        try sops.sandbox.directory.write(Array("{\"A\":".utf8), to: "secrets.yaml")
        (try await sops.credfs("show", "A", "--source", "sops:\(path)")).expectRefusal(17, "JSON")
    }

    @Test func aKeyThatIsNoNameIsAnErrorOnlyWhereItsValueIsSecret() async throws {
        let sops = try await Sops()
        let path = try await sops.encrypt("a/b_unencrypted: x\nA: a\n", to: "secrets.yaml")
        #expect(try await sops.show("A", "sops:\(path)") == "a")
        try await sops.encrypt("a/b: x\nA: a\n", to: "secrets.yaml")
        (try await sops.credfs("show", "A", "--source", "sops:\(path)")).expectRefusal(17, "no name")
        try await sops.encrypt("a.b: x\na: {b: y}\n", to: "secrets.yaml")
        (try await sops.credfs("show", "A", "--source", "sops:\(path)")).expectRefusal(17, "there twice")
    }

    @Test func severalRecipientsAndManyValuesAreNoDifference() async throws {
        let sops = try await Sops()
        let other = try await Identity(sops.sandbox, "other")
        let text = (0..<2000).map { "KEY_\($0): value \($0)\n" }.joined()
        let path = try await sops.encrypt(Array(text.utf8), to: "secrets.yaml", for: [other.recipient])
        #expect(try await sops.show("KEY_1999", "sops:\(path)") == "value 1999")
        let health = try await sops.credfs("health", "--source", "sops:\(path)")
        #expect(health.outputText.contains("2000 values"), "\(health.outputText)\(health.errorText)")
    }

    // MARK: age

    /// Encrypts bytes with the age program.
    private func age(_ options: [String], _ bytes: [UInt8]) async throws -> [UInt8] {
        let outcome = try await ChildProcess.run("/usr/bin/age", options, environment: [:], standardInput: bytes)
        try #require(outcome.status == .exited(0), "\(outcome.errorText)")
        return outcome.standardOutput
    }

    @Test func filesOfAgeAreReadOneByOneAndInADirectory() async throws {
        let sandbox = try await Sandbox(["STORE": "s"])
        let identity = try await Identity(sandbox, "identity")
        let other = try await Identity(sandbox, "other")
        let long = (0..<200_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        try FileManager.default.createDirectory(atPath: sandbox.directory.path("d"), withIntermediateDirectories: false)
        try Files.setMode(0o700, sandbox.directory.path("d"))
        let contents: [(String, [String], [UInt8])] = [
            ("PLAIN", [], Array("of age\n".utf8)), ("ARMORED", ["-a"], Array("in armor".utf8)), ("LONG", [], long),
            ("LONG.ARMORED", ["-a"], long), ("EMPTY", [], []), ("BOTH", ["-r", other.recipient], Array("two".utf8)),
        ]
        for (name, options, bytes) in contents {
            try sandbox.directory.write(
                try await age(options + ["-r", identity.recipient], bytes),
                to: "d/\(name).age",
                permissions: 0o644
            )
        }
        try sandbox.directory.write(Array("not of age".utf8), to: "d/README")
        let directory = sandbox.directory.path("d")
        func show(_ name: String, _ source: String) async throws -> ChildProcess.Outcome {
            try await sandbox.run("show", name, "--source", source, adding: ["SOPS_AGE_KEY_FILE": identity.path])
        }
        for (name, _, bytes) in contents where !bytes.isEmpty {
            let outcome = try await show(name, "age:\(directory)")
            #expect(outcome.standardOutput == bytes, "\(name): \(outcome.errorText)")
            #expect(try await show(name, "age:\(directory)/\(name).age").standardOutput == bytes)
            #expect(try await show("OTHER.NAME", "age:OTHER.NAME=\(directory)/\(name).age").standardOutput == bytes)
        }
        (try await show("EMPTY", "age:\(directory)")).expectRefusal(11)
        (try await show("README", "age:\(directory)")).expectRefusal(11)
        (try await show("X", "age:X=\(directory)")).expectRefusal(64, "is a directory")
        (try await show("X", "age:X=\(directory)/absent.age")).expectRefusal(1, "no such file")
        (try await show("X", "age:X=\(directory)/README")).expectRefusal(17, "no age file")
        for name in ["PLAIN", "ARMORED", "LONG"] {
            let refused = try await sandbox.run(
                "show",
                name,
                "--source",
                "age:\(directory)/\(name).age",
                adding: ["SOPS_AGE_KEY_FILE": other.path]
            )
            refused.expectRefusal(15, "no age identity at hand opens")
        }
        for position in [60, 100_000] {
            var damaged = try sandbox.directory.read("d/LONG.age")
            damaged[position] ^= 1
            try sandbox.directory.write(damaged, to: "LONG.age")
            let outcome = try await show("LONG", "age:\(sandbox.directory.path("LONG.age"))")
            #expect([.exited(15), .exited(17)].contains(outcome.status) && outcome.outputText.isEmpty)
        }
        try sandbox.directory.write(try sandbox.directory.read("d/LONG.age").prefix(66_000), to: "LONG.age")
        (try await show("LONG", "age:\(sandbox.directory.path("LONG.age"))")).expectRefusal(15, "cut off")
        let limited = try await sandbox.run(
            "show",
            "LONG",
            "--source",
            "age:\(directory)",
            "--max-size",
            "4096",
            adding: ["SOPS_AGE_KEY_FILE": identity.path]
        )
        limited.expectRefusal(17, "larger than 4096 bytes")
    }

    // MARK: single files

    @Test func aFileIsAValueUnderItsNameOrAnother() async throws {
        let sandbox = try await Sandbox(["A": "store"])
        let path = try sandbox.directory.write(Array("of a file\n".utf8), to: "A", permissions: 0o400)
        #expect(try await sandbox.run("show", "A", "--source", "file:\(path)").outputText == "of a file\n")
        #expect(try await sandbox.run("show", "B", "--source", "file:B=\(path)").outputText == "of a file\n")
        #expect(try await sandbox.run("show", "A", "--source", "file:B=\(path)").outputText == "store")
        let strange = try sandbox.directory.write(Array("x".utf8), to: "a:b")
        (try await sandbox.run("show", "A", "--source", "file:\(strange)")).expectRefusal(64, "no name")
        (try await sandbox.run("show", "A", "--source", "file:a/b=")).expectRefusal(1)
        (try await sandbox.run("show", "A", "--source", "file:a=")).expectRefusal(64)
        (try await sandbox.run("show", "A", "--source", "file:\(sandbox.directory.path)")).expectRefusal(
            64,
            "is a directory",
            hint: "dir:"
        )
        try Files.setMode(0o622, path)
        (try await sandbox.run("show", "A", "--source", "file:\(path)")).expectRefusal(14, "insecure permissions")
        let relative = try await sandbox.shell(
            "cd \"$HOME/..\" && chmod 600 A && exec \"$@\"",
            ["show", "C", "--source", "file:C=A"]
        )
        #expect(relative.outputText == "of a file\n", "\(relative.errorText)")
    }

    // MARK: credentials of systemd

    @Test(.enabled(if: isRoot, "systemd-creds needs root")) func credentialsOfSystemdAreReadForThisHostOnly()
        async throws
    {
        let sandbox = try await Sandbox([:])
        let secret = sandbox.directory.path("host.secret")
        let variables = ["SYSTEMD_CREDENTIAL_SECRET": secret]
        func encrypt(_ text: String, to name: String, _ options: String...) async throws -> String {
            let path = sandbox.directory.path(name)
            let outcome = try await ChildProcess.run(
                "/usr/bin/systemd-creds",
                ["encrypt"] + options + ["-", path],
                environment: variables,
                standardInput: Array(text.utf8)
            )
            try #require(outcome.status == .exited(0), "\(outcome.errorText)")
            return path
        }
        func show(_ name: String, _ source: String) async throws -> ChildProcess.Outcome {
            try await sandbox.run("show", name, "--source", "credential:\(source)", adding: variables)
        }
        (try await show("A", "/nowhere")).expectRefusal(15, "this host has no key for credentials")
        let token = try await encrypt("of systemd", to: "TOKEN", "--with-key=host")
        #expect(try await show("TOKEN", token).outputText == "of systemd")
        // A name is that of the secret; what is encrypted is bound to the name of the file.
        #expect(try await show("OTHER", "OTHER=\(token)").outputText == "of systemd")
        let named = try await encrypt("by name", to: "file.cred", "--with-key=host", "--name=file")
        #expect(try await show("file", named).outputText == "by name")
        let suffix = try await encrypt("with suffix", to: "other.cred", "--with-key=host")
        #expect(try await show("other", suffix).outputText == "with suffix")
        let free = try await encrypt("for any name", to: "free", "--with-key=host", "--name=")
        #expect(try await show("X", "X=\(free)").outputText == "for any name")
        let foreign = try await encrypt("x", to: "foreign", "--with-key=host", "--name=elsewhere")
        (try await show("foreign", foreign)).expectRefusal(15, "another name")
        #expect(try await show("elsewhere", "elsewhere=\(foreign)").outputText == "x")
        let long = String(repeating: "0123456789abcdef", count: 60_000)
        #expect(try await show("long", try await encrypt(long, to: "long", "--with-key=host")).outputText == long)
        let old = try await encrypt(
            "x",
            to: "old",
            "--with-key=host",
            "--not-after=2001-01-01",
            "--timestamp=2000-01-01"
        )
        (try await show("old", old)).expectRefusal(16, "expired")
        let open = try await encrypt("x", to: "open", "--with-key=tpm2-absent")
        (try await show("open", open)).expectRefusal(15, "with no key")

        // Each part of the text counts.
        let text = try sandbox.directory.read("TOKEN")
        for position in [0, 30, 50, 62, text.count - 12] {
            var damaged = text
            damaged[position] = damaged[position] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
            try sandbox.directory.write(damaged, to: "TOKEN")
            let outcome = try await show("TOKEN", token)
            #expect([.exited(15), .exited(17)].contains(outcome.status), "\(position): \(outcome.errorText)")
            #expect(outcome.outputText.isEmpty)
        }
        try sandbox.directory.write(text, to: "TOKEN")

        // A directory, as systemd has it, in a mount and read again by a reload.
        let store = sandbox.directory.path("credstore.encrypted")
        try FileManager.default.createDirectory(atPath: store, withIntermediateDirectories: false)
        try Files.setMode(0o700, store)
        try sandbox.directory.write(text, to: "credstore.encrypted/TOKEN")
        #expect(try await show("TOKEN", store).outputText == "of systemd")

        // The key of another machine is left alone, and so is one that anybody can read.
        var bytes = try Files.read(secret)
        bytes[3] ^= 1
        try FileManager.default.removeItem(atPath: secret)
        try sandbox.directory.write(bytes, to: "host.secret", permissions: 0o400)
        (try await show("TOKEN", token)).expectRefusal(15, "key of another machine")
        #expect(try Files.read(secret) == bytes)
        try Files.setMode(0o444, secret)
        (try await show("TOKEN", token)).expectRefusal(14, "insecure permissions")
    }

    // MARK: Fernet

    @Test func tokensOfFernetAreReadWithTheKeyThatAVariableNames() async throws {
        let sandbox = try await Sandbox([:])
        let program = """
            import sys
            from cryptography.fernet import Fernet
            key = Fernet.generate_key()
            open(sys.argv[1] + "/key", "wb").write(key)
            open(sys.argv[1] + "/TOKEN", "wb").write(Fernet(key).encrypt(b"of fernet") + b"\\n")
            """
        let made = try await ChildProcess.run(
            "/usr/bin/python3",
            ["-c", program, sandbox.directory.path],
            environment: [:]
        )
        try #require(made.status == .exited(0), "\(made.errorText)")
        for name in ["key", "TOKEN"] { try Files.setMode(0o600, sandbox.directory.path(name)) }
        let token = sandbox.directory.path("TOKEN")
        let variables = ["CREDFS_FERNET_KEY_FILE": sandbox.directory.path("key")]
        func show(_ name: String, _ source: String, _ variables: [String: String]) async throws -> ChildProcess.Outcome
        {
            try await sandbox.run("show", name, "--source", source, adding: variables)
        }
        #expect(try await show("TOKEN", "fernet:\(token)", variables).outputText == "of fernet")
        #expect(try await show("N", "fernet:N=\(token)", variables).outputText == "of fernet")
        (try await show("N", "fernet:N=\(token)", [:])).expectRefusal(
            15,
            "no Fernet key",
            hint: "CREDFS_FERNET_KEY_FILE"
        )
        try sandbox.directory.write(Array("gAAAA".utf8), to: "TOKEN")
        (try await show("N", "fernet:N=\(token)", variables)).expectRefusal(15, "no token of this Fernet key")
    }

    // MARK: the chain

    @Test func getAndShowAskTheChainForTheOneName() async throws {
        let sandbox = try await Sandbox(["A": "store a", "B": "store b"])
        try await sandbox.succeed(
            "set",
            "LINE",
            "--template",
            try sandbox.directory.write(
                Array("{{ A }}-{{ B }}".utf8),
                to: "line.template"
            )
        )
        let log = sandbox.directory.path("asked")
        let provider = try await sandbox.directory.writeProgram(
            "#!/bin/sh\necho \"$1\" >>\(log)\ncase $1 in B) echo asked b;; DOWN) exit 1;; *) exit 11;; esac\n",
            to: "provider"
        )
        func show(_ name: String, _ options: String...) async throws -> ChildProcess.Outcome {
            try await sandbox.run(["show", name, "--source", "exec:\(provider)"] + options)
        }
        #expect(try await show("B").outputText == "asked b")
        #expect(try await show("A").outputText == "store a")
        #expect(try await show("LINE").outputText == "store a-asked b")
        (try await show("UNKNOWN")).expectRefusal(11, "knows no such secret")
        (try await show("DOWN")).expectRefusal(20, "ended with status 1")
        let asked = String(decoding: try Files.read(log), as: UTF8.self).split(separator: "\n").map(String.init)
        #expect(asked == ["B", "A", "A", "B", "UNKNOWN", "DOWN"])
        let file = try sandbox.directory.write(Array("top".utf8), to: "B")
        #expect(try await show("B", "--source", "file:\(file)").outputText == "top")
        let got = try await sandbox.run("get", "FRESH", "--source", "file:FRESH=\(file)")
        #expect(got.outputText.contains("value: ********") && !got.outputText.contains("top"), "\(got.errorText)")
        #expect(try await sandbox.run("get", "--show", "FRESH", "--source", "file:FRESH=\(file)").outputText == "top")
    }
}

extension RunTests {
    /// The same sources under a real mount.
    @Suite struct EncryptedSources {
        @Test func aMountReadsFilesAndCredentialsAgainAndKeepsWhatNeedsAnIdentity() async throws {
            let box = try await JobBox(["A": "store a"])
            let sandbox = box.sandbox
            let identity = try await Identity(sandbox, "identity")
            func age(_ text: String) async throws {
                let outcome = try await ChildProcess.run(
                    "/usr/bin/age",
                    ["-r", identity.recipient],
                    environment: [:],
                    standardInput: Array(text.utf8)
                )
                try sandbox.directory.write(outcome.standardOutput, to: "AGE.age")
            }
            func credential(_ text: String) async throws {
                let outcome = try await ChildProcess.run(
                    "/usr/bin/systemd-creds",
                    ["encrypt", "--with-key=host", "--name=CRED", "-", sandbox.directory.path("CRED")],
                    environment: ["SYSTEMD_CREDENTIAL_SECRET": sandbox.directory.path("host.secret")],
                    standardInput: Array(text.utf8)
                )
                try #require(outcome.status == .exited(0), "\(outcome.errorText)")
            }
            func file(_ text: String) throws { try sandbox.directory.write(Array(text.utf8), to: "FILE") }
            func sops(_ text: String) async throws {
                let plain = try sandbox.directory.write(Array(text.utf8), to: "plain.yaml")
                let outcome = try await ChildProcess.run(
                    PackageDirectory.root + ".build/vectors/sops",
                    ["--disable-version-check", "encrypt", "--age", identity.recipient, plain],
                    environment: sandbox.environment
                )
                try #require(outcome.status == .exited(0), "\(outcome.errorText)")
                try sandbox.directory.write(outcome.standardOutput, to: "secrets.yaml")
            }
            try await age("age 1")
            try await credential("cred 1")
            try file("file 1")
            try await sops("SOPS: sops 1\nA: sops a\n")
            let outcome = try await ChildProcess.run(
                CommandTests.credfs,
                [
                    "mount", "--source", "sops:\(sandbox.directory.path("secrets.yaml"))",
                    "--source", "age:\(sandbox.directory.path("AGE.age"))",
                    "--source", "file:\(sandbox.directory.path("FILE"))",
                    "--source", "credential:\(sandbox.directory.path("CRED"))",
                ],
                environment: box.environment.merging([
                    "SOPS_AGE_KEY": identity.text, "SYSTEMD_CREDENTIAL_SECRET": sandbox.directory.path("host.secret"),
                ]) { $1 }
            )
            try #require(outcome.status == .exited(0), "\(outcome.errorText)")
            let path = String(outcome.outputText.dropLast())
            func read(_ name: String) -> String? {
                (try? Files.read("\(path)/\(name)")).map { String(decoding: $0, as: UTF8.self) }
            }
            let names = ["A", "SOPS", "AGE", "FILE", "CRED"]
            #expect(names.map(read) == ["sops a", "sops 1", "age 1", "file 1", "cred 1"])
            try await age("age 2")
            try await credential("cred 2")
            try file("file 2")
            try await sops("SOPS: sops 2\n")
            let reload = try await box.credfs("reload")
            #expect(reload.status == .exited(0), "\(reload.errorText)")
            #expect(names.map(read) == ["sops a", "sops 1", "age 1", "file 2", "cred 2"])
            let unmounted = try await box.credfs("unmount", path)
            #expect(unmounted.status == .exited(0), "\(unmounted.errorText)")
            try box.expectNothingLeft()
        }

        @Test func aJobInheritsNoAgeIdentity() async throws {
            let box = try await JobBox(["A": "a"])
            let identity = try await Identity(box.sandbox, "identity")
            let outcome = try await box.run(
                [],
                shell: "env | grep -c AGE_KEY; tr '\\0' '\\n' </proc/$PPID/environ 2>/dev/null | grep -c AGE-SECRET",
                adding: ["SOPS_AGE_KEY": identity.text]
            )
            #expect(outcome.outputText == "0\n0\n", "\(outcome.errorText)")
        }
    }
}
