// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

@Suite struct ExportTests {
    /// What a value can be that some reader takes for something else.
    static let values: [String: String] = [
        "PLAIN": "abc", "EMPTY": "", "SPACES": "  a b  ", "LINES": "one\ntwo\n\nthree\n", "RETURN": "a\r\nb\r",
        "SINGLE": "it's", "DOUBLE": "say \"x\"", "BOTH": "'\"`", "HASH": "a # b", "EQUALS": "=a==b=",
        "DOLLAR": "$A ${B} $(c)",
        "DOLLAR_QUOTED": "it's $A", "BACKSLASH": "C:\\dir\\", "BACKSLASHES": "\\\\server\\'x",
        "UNICODE": "\u{1f600} \u{e9}\u{2028}\u{feff}\u{85}",
        "CONTROLS": "\u{1}\u{1b}\t\u{7f}", "NULL": "null", "NUMBER": "0123", "COLON": ": a", "EXCLAMATION": "!x & *y",
        "BRACE": "{a}", "COMMAND": "$(touch made) `touch made`", "APOSTROPHE": "it's $(touch made)`touch made`",
        "TAB": "\t", "NEWLINE": "\n", "ESCAPED": "\\$HOME \\n \\\"", "EQUALS_FIRST": "=ls", "TILDE": "~root",
        "LONG": String(repeating: "a b'\n", count: 30_000),
        "PEM": "-----BEGIN X-----\nabc+/=\n-----END X-----\n", "yes": "y", "PERCENT": "%s\\n", "BACKQUOTE": "`id`",
    ]

    private func filled(_ values: [String: String]) async throws -> Sandbox {
        let sandbox = try await Sandbox([:])
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        let json = try encoder.encode(values)
        try await sandbox.succeed("import", "-", "--format", "json", input: [UInt8](json))
        return sandbox
    }

    /// The names of values that a format refuses, because no spelling means the same to all of its readers.
    static let refused: [String: Set<String>] = [
        "dotenv": ["RETURN", "BOTH", "DOLLAR", "DOLLAR_QUOTED", "BACKSLASH", "BACKSLASHES", "APOSTROPHE"],
        "docker": ["LINES", "RETURN", "PEM", "NEWLINE", "LONG"],
    ]

    @Test(arguments: ["dotenv", "json", "yaml"])
    func whatIsExportedIsImportedAgain(format: String) async throws {
        let values = Self.values.filter { Self.refused[format]?.contains($0.key) != true }
        let sandbox = try await filled(values)
        let exported = try await sandbox.succeed("export", "--format", format)
        let other = try await Sandbox([:])
        let outcome = try await other.succeed("import", "-", "--format", format, input: exported.standardOutput)
        #expect(outcome.errorText == "credfs: \(values.count) added\n")
        for (name, value) in values {
            #expect(try await other.value(name) == Array(value.utf8), "\(name)")
        }
        // The same once more: every value is the one that is there.
        let again = try await sandbox.succeed("import", "-", "--format", format, input: exported.standardOutput)
        #expect(again.errorText == "credfs: \(values.count) unchanged\n")
    }

    @Test(arguments: ["dotenv", "docker"])
    func aValueThatReadersOfAFormatWouldTakeForSomethingElseIsRefusedByName(format: String) async throws {
        let sandbox = try await filled(Self.values)
        let refused = try #require(Self.refused[format])
        let outcome = try await sandbox.run("export", "--format", format)
        outcome.expectRefusal(17, "not every reader of \(format) files", hint: "json, yaml and shell can hold")
        #expect(outcome.standardOutput.isEmpty)
        for name in Self.values.keys {
            let outcome = try await sandbox.run("export", name, "--format", format)
            guard refused.contains(name) else {
                #expect(outcome.status == .exited(0), "\(name): \(outcome.errorText)")
                continue
            }
            outcome.expectRefusal(17, ": \(name) (")
            // Of a value nothing is said but what kind of character it has.
            if let value = Self.values[name], value.count > 2 { #expect(!outcome.errorText.contains(value)) }
        }
    }

    @Test func randomValuesSurviveEveryFormat() async throws {
        let characters = Array("'\"\\$`#= \t\n\r:;{}[]!&*|>%@,-?~aA0\u{e9}\u{2029}\u{1f600}\u{7f}\u{9f}\u{fffe}\u{3}")
        var random = SystemRandomNumberGenerator()
        var values: [String: String] = [:]
        for number in 0..<400 {
            let count = Int.random(in: 0..<12, using: &random)
            values["NAME\(number)"] = String((0..<count).compactMap { _ in characters.randomElement(using: &random) })
        }
        let sandbox = try await filled(values)
        for format in ["json", "yaml"] {
            let exported = try await sandbox.succeed("export", "--format", format)
            let again = try await sandbox.succeed("import", "-", "--format", format, input: exported.standardOutput)
            #expect(again.errorText == "credfs: 400 unchanged\n", "\(format): \(exported.outputText)")
        }
    }

    @Test func onlyWhatIsNamedIsExported() async throws {
        let sandbox = try await filled(["A": "1", "B": "2"])
        try await sandbox.succeed("set", "billing/KEY", input: [51])
        #expect(
            try await sandbox.succeed("export", "B", "billing/KEY", "--format", "json").outputText
                == "{\n  \"B\": \"2\",\n  \"billing.KEY\": \"3\"\n}\n"
        )
        (try await sandbox.run("export", "NONE")).expectRefusal(11)
        let dotenv = try await sandbox.succeed("export")
        #expect(dotenv.outputText == "A=1\nB=2\nBILLING_KEY=3\n")
        #expect(dotenv.errorText == "credfs: named as variables: billing.KEY as BILLING_KEY\n")
        // So many secrets have no variables in a job, and their names may clash.
        let many = Dictionary(uniqueKeysWithValues: (0..<4097).map { ("N\($0)", "") })
        let crowded = try await filled(many.merging(["billing.KEY": "1", "BILLING_KEY": "2"]) { $1 })
        (try await crowded.run("export", "billing.KEY", "BILLING_KEY", "--format", "shell"))
            .expectRefusal(17, "would both be BILLING_KEY")
        let empty = try await Sandbox([:])
        #expect(try await empty.succeed("export", "--format", "json").outputText == "{}\n")
        #expect(try await empty.succeed("export", "--format", "yaml").outputText == "{}\n")
        #expect(try await empty.succeed("export").outputText == "")
        try await empty.succeed("init")
        let required = try Sandbox()
        try await required.succeed("init", "--require", "TOKEN")
        (try await required.run("export")).expectRefusal(17, "'TOKEN' has no value yet")
    }

    @Test(arguments: ["dotenv", "json", "yaml", "shell"])
    func whatIsNoTextIsRefusedOrBase64(format: String) async throws {
        let sandbox = try await Sandbox([:])
        let values: [String: [UInt8]] = ["NUL": [65, 0, 66], "LATIN": [0xe9], "BYTES": Array(0...255)]
        for (name, value) in values { try await sandbox.succeed("set", name, input: value) }
        try await sandbox.succeed("set", "TEXT", input: Array("text".utf8))
        let refused = try await sandbox.run("export", "--format", format)
        refused.expectRefusal(17, "no text: ", hint: "--binary base64")
        #expect(refused.standardOutput.isEmpty)
        let outcome = try await sandbox.succeed("export", "--format", format, "--binary", "base64")
        #expect(outcome.lines("warning") == ["written as Base64: BYTES, LATIN, NUL"])
        guard format != "shell" else { return }
        let other = try await Sandbox([:])
        try await other.succeed(
            "import",
            "-",
            "--format",
            format,
            "--base64",
            "NUL,LATIN,BYTES",
            input: outcome.standardOutput
        )
        for (name, value) in values { #expect(try await other.value(name) == value) }
        #expect(try await other.value("TEXT") == Array("text".utf8))
        (try await other.run("import", "-", "--format", "dotenv", "--base64", "NEW", input: Array("NEW=x".utf8)))
            .expectRefusal(17, "the value for 'NEW' is not Base64")
    }

    @Test func aFileIsMadeForItsOwnerAlone() async throws {
        let sandbox = try await filled(["A": "1"])
        let path = sandbox.directory.path("out.env")
        let outcome = try await sandbox.shell("umask 0; exec \"$@\"", ["export", "--output", path])
        #expect(outcome.status == .exited(0), "\(outcome.errorText)")
        #expect(outcome.errorText.contains("\(path) holds plaintext"))
        #expect(try Files.read(path) == Array("A=1\n".utf8))
        #expect(try Files.mode(path) == 0o600)
        (try await sandbox.run("export", "--output", path)).expectRefusal(1, "is there already", hint: "--overwrite")
        try Files.setMode(0o644, path)
        try await sandbox.succeed("export", "--output", path, "--overwrite")
        #expect(try Files.mode(path) == 0o600)
        let link = sandbox.directory.path("link")
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: path)
        (try await sandbox.run("export", "--output", link, "--overwrite", "--force")).expectRefusal(14, "symbolic link")
        (try await sandbox.run("export", "--output", sandbox.directory.path("none/out"))).expectRefusal(1)
        (try await sandbox.run("export", "--overwrite")).expectRefusal(64)
        #expect(try sandbox.snapshot().leftovers == [])
    }

    @Test func aPlaceThatOthersReadOrThatGitKnowsIsRefused() async throws {
        let sandbox = try await filled(["A": "1"])
        let tree = sandbox.directory.path("tree")
        try FileManager.default.createDirectory(
            atPath: "\(tree)/deep/er",
            withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o700]
        )
        try FileManager.default.createDirectory(atPath: "\(tree)/.git", withIntermediateDirectories: true)
        let open = sandbox.directory.path("open")
        try FileManager.default.createDirectory(atPath: open, withIntermediateDirectories: false)
        let places = [("\(tree)/deep/er/a", "git work tree"), ("\(open)/a", "can be read by others")]
        try Files.setMode(0o755, open)
        for (place, reason) in places {
            (try await sandbox.run("export", "--output", place)).expectRefusal(22, reason, hint: "--force")
            #expect(!Files.exists(place))
            try await sandbox.succeed("export", "--output", place, "--force")
            #expect(try Files.read(place) == Array("A=1\n".utf8))
        }
        let scripts = [
            ("umask 022; \"$@\" >\"$HOME/out\"", 22), ("umask 077; \"$@\" >\"$HOME/private\"", 0),
            ("umask 077; \"$@\" >\"$HOME/../tree/deep/b\"", 22), ("\"$@\" | cat >/dev/null", 0),
            ("\"$@\" >/dev/null", 0),
            ("umask 022; \"$@\" --force >\"$HOME/forced\"", 0),
        ]
        for (script, status) in scripts {
            let outcome = try await sandbox.shell(script, ["export"])
            #expect(outcome.status == .exited(Int32(status)), "\(script): \(outcome.errorText)")
        }
        #expect(try sandbox.directory.read("home/out").isEmpty)
    }

    @Test func aFullDiskLeavesNoFile() async throws {
        let sandbox = try await filled(["A": String(repeating: "x", count: 100_000)])
        let path = sandbox.directory.path("out")
        let outcome = try await sandbox.shell("ulimit -f 50; exec \"$@\"", ["export", "--output", path])
        #expect(outcome.status != .exited(0))
        #expect(!Files.exists(path))
        let full = try await sandbox.shell("exec \"$@\" >/dev/full", ["export"])
        full.expectRefusal(1, "standard output")
    }
}
