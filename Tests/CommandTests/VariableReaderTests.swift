// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

/// A program that reads variables or documents, and the format it reads (Tests/Scripts/read_variables.py).
struct VariableReader: Sendable, CustomTestStringConvertible {
    static let shells = ["sh", "bash", "dash", "busybox"]
    static let ofExports =
        shells.flatMap { [Self("shell", "source \($0)"), Self("shell", "eval \($0)"), Self("dotenv", "source \($0)")] }
        + [
            Self("dotenv", "python-dotenv"), Self("dotenv", "node"), Self("docker", "docker"),
            Self("systemd", "systemd"), Self("json", "python-json"), Self("json", "node-json"),
            Self("yaml", "python-yaml"),
        ]
    static let ofPaths =
        ofExports.filter { reader in
            !["json", "yaml"].contains(reader.format)
                && !shells.dropFirst().contains { reader.program.hasSuffix(" \($0)") }
        } + [Self("github", "github"), Self("gitlab", "gitlab")]

    let format: String
    let program: String

    init(_ format: String, _ program: String) {
        self.format = format
        self.program = program
    }

    var testDescription: String { "\(format) by \(program)" }

    /// What the program reads out of a text.
    func read(_ text: [UInt8], _ names: some Collection<String>) async throws -> [String: [UInt8]] {
        let directory = try TemporaryDirectory()
        try directory.write(text, to: "variables")
        let outcome = try await ChildProcess.run(
            "/usr/bin/python3",
            ["-B", PackageDirectory.root + "Tests/Scripts/read_variables.py", program, directory.path("variables")]
                + names,
            environment: ["PATH": "/usr/local/bin:/usr/bin:/bin"]
        )
        try #require(outcome.status == .exited(0), "\(outcome.errorText)")
        let values = try JSONDecoder().decode([String: Data].self, from: Data(outcome.standardOutput))
        return values.mapValues { [UInt8]($0) }
    }
}

/// Every format is read by the programs it is for.
@Suite struct VariableReaderTests {
    @Test(arguments: VariableReader.ofExports)
    func whatIsExportedIsReadByteByByte(reader: VariableReader) async throws {
        let refused = ExportTests.refused[reader.format] ?? []
        let values = ExportTests.values.filter { !refused.contains($0.key) }
        let sandbox = try await Sandbox([:])
        try await sandbox.succeed("import", "-", "--format", "json", input: [UInt8](JSONEncoder().encode(values)))
        let text = try await sandbox.succeed("export", "--format", reader.format).standardOutput
        let read = try await reader.read(text, values.keys)
        for (name, value) in values { #expect(read[name] == Array(value.utf8), "\(name)") }
        #expect(Set(read.keys) == Set(values.keys))
    }

    @Test(arguments: ["shell", "dotenv", "docker", "systemd"])
    func aRandomValueIsReadByteByByteOrRefused(format: String) async throws {
        let characters = Array("'\"\\$`#= \t\n\r:;{}()[]!&*|>%@,-?~aA0nr\u{e9}\u{2029}\u{1f600}\u{7f}\u{1b}")
        var values: [String: String] = [:]
        for number in 0..<100 {
            values["NAME\(number)"] = String((0..<Int.random(in: 0..<9)).compactMap { _ in characters.randomElement() })
        }
        let sandbox = try await Sandbox([:])
        try await sandbox.succeed("import", "-", "--format", "json", input: [UInt8](JSONEncoder().encode(values)))
        var text: [UInt8] = []
        for name in values.keys {
            let outcome = try await sandbox.run("export", name, "--format", format)
            if outcome.status == .exited(17) { values[name] = nil }
            text += outcome.standardOutput
        }
        #expect(values.count > 30)
        for reader in VariableReader.ofExports where reader.format == format {
            let read = try await reader.read(text, values.keys)
            for (name, value) in values {
                #expect(read[name] == Array(value.utf8), "\(reader) \(value.debugDescription)")
            }
            #expect(read.count == values.count)
        }
    }

    @Test func theLongestLineThatDockerReadsIsWrittenAndNoLongerOne() async throws {
        let sandbox = try await Sandbox([:])
        let longest = [UInt8](repeating: 120, count: 65_535 - "LINE=".utf8.count)
        try await sandbox.succeed("set", "LINE", input: longest)
        let text = try await sandbox.succeed("export", "--format", "docker").standardOutput
        #expect(try await VariableReader("docker", "docker").read(text, ["LINE"]) == ["LINE": longest])
        try await sandbox.succeed("set", "LINE", input: longest + [120])
        (try await sandbox.run("export", "--format", "docker")).expectRefusal(17, "more than a line of 64 KiB")
    }

    @Test(arguments: VariableReader.ofExports.filter { ["json", "yaml"].contains($0.format) })
    func aNameCanBeAnythingThatANameCanBe(reader: VariableReader) async throws {
        let names = ["a \"b\" 'c' = #d", "{x}", "- y", "!z", "~", "null", "1e3", " first", "last ", "$(id)`id`"]
        let sandbox = try await Sandbox([:])
        let values = Dictionary(uniqueKeysWithValues: names.map { ($0, "of \($0)") })
        try await sandbox.succeed("import", "-", "--format", "json", input: [UInt8](JSONEncoder().encode(values)))
        let text = try await sandbox.succeed("export", "--format", reader.format).standardOutput
        #expect(try await reader.read(text, names) == values.mapValues { Array($0.utf8) })
    }

    @Test(arguments: ["shell", "dotenv", "docker", "systemd"])
    func aNameThatAReaderKeepsForItselfIsRefused(format: String) async throws {
        let kept = [
            "_", "UID", "EUID", "PPID", "RANDOM", "SRANDOM", "SECONDS", "LINENO", "OPTIND", "GROUPS", "FUNCNAME",
            "DIRSTACK", "HISTCMD", "EPOCHSECONDS", "EPOCHREALTIME", "BASHPID", "BASHOPTS", "SHELLOPTS", "BASH_VERSINFO",
            "BASH_SOURCE", "BASH_LINENO", "BASH_COMMAND", "BASH_SUBSHELL", "BASH_ARGC", "BASH_ARGV",
        ]
        let names = kept + ["__proto__", "constructor", "if", "export", "NULL", "REPLY", "PWD", "BASH_ARGV0"]
        let sandbox = try await Sandbox([:])
        let values = Dictionary(uniqueKeysWithValues: names.map { ($0, "of \($0)") })
        try await sandbox.succeed("import", "-", "--format", "json", input: [UInt8](JSONEncoder().encode(values)))
        var refused: Set<String> = []
        var text: [UInt8] = []
        for name in names {
            let outcome = try await sandbox.run("export", name, "--format", format)
            if outcome.status == .exited(17) {
                outcome.expectRefusal(17, "\(name) (a name that", hint: "json and yaml can hold every name")
                refused.insert(name)
            }
            text += outcome.standardOutput
        }
        let expected: [String: Set<String>] = ["shell": Set(kept), "dotenv": Set(kept + ["__proto__"])]
        #expect(refused == expected[format] ?? [])
        for reader in VariableReader.ofExports where reader.format == format {
            let read = try await reader.read(text, names.filter { !refused.contains($0) })
            #expect(read == values.filter { !refused.contains($0.key) }.mapValues { Array($0.utf8) }, "\(reader)")
        }
        guard format == "shell" else { return }
        // Nor is it what a value that is no text is written for.
        try await sandbox.succeed("set", "UID", input: [0xff])
        try await sandbox.run("export", "UID", "--format", format, "--binary", "base64").expectRefusal(
            17,
            "UID (a name"
        )
    }
}
