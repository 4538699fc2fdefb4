// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

/// Tokens that Python's `cryptography` makes.
@Suite struct FernetImportTests {
    private struct Made {
        let key: String
        let tokens: [String]
    }

    /// Seals texts with a new key.
    private func make(_ texts: [String], _ sandbox: Sandbox) async throws -> Made {
        let program = """
            import sys
            from cryptography.fernet import Fernet
            key = Fernet.generate_key()
            print(key.decode())
            for text in sys.argv[1:]:
                print(Fernet(key).encrypt(bytes.fromhex(text)).decode())
            """
        let outcome = try await ChildProcess.run(
            "/usr/bin/python3",
            ["-c", program]
                + texts.map { $0.utf8.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined() },
            environment: [:]
        )
        try #require(outcome.status == .exited(0), "\(outcome.errorText)")
        let lines = outcome.outputText.split(separator: "\n").map(String.init)
        try sandbox.directory.write(Array("\(lines[0])\n".utf8), to: "fernet.key")
        return Made(key: lines[0], tokens: Array(lines.dropFirst()))
    }

    @Test func aTokenIsADocumentOrAValue() async throws {
        let sandbox = try await Sandbox([:])
        let long = String(repeating: "long value ", count: 5000)
        let made = try await make(["A=1\nB='two'\n", "{\"C\":\"3\"}", "D: 4\n", long, ""], sandbox)
        let key = sandbox.directory.path("fernet.key")
        let path = sandbox.directory.path("token")
        func put(_ number: Int) throws {
            try sandbox.directory.write(Array("\(made.tokens[number])\n".utf8), to: "token")
        }
        try put(0)
        try await sandbox.succeed("import", path, "--fernet-key-file", key)
        try put(1)
        try await sandbox.succeed("import", path, "--fernet-key-file", key, "--format", "fernet")
        try put(2)
        try await sandbox.succeed("import", path, "--fernet-key-file", key, "--inner-format", "yaml")
        try put(3)
        try await sandbox.succeed("import", path, "--fernet-key-file", key, "--name", "service/LONG")
        try put(4)
        let shell = "exec 3<\"$HOME/../fernet.key\"; exec \"$@\""
        let outcome = try await sandbox.shell(shell, ["import", path, "--fernet-key-fd", "3", "--name", "EMPTY"])
        #expect(outcome.status == .exited(0), "\(outcome.errorText)")
        let values = ["A": "1", "B": "two", "C": "3", "D": "4", "service.LONG": long, "EMPTY": ""]
        for (name, value) in values { #expect(try await sandbox.value(name) == Array(value.utf8), "\(name)") }
        #expect(try await sandbox.run("get", "service/LONG").outputText.contains("service: service\n"))
    }

    @Test(arguments: ["a.json", "a.yaml", "a.env"])
    func valuesAreTokens(name: String) async throws {
        let sandbox = try await Sandbox([:])
        let made = try await make(["first", "second $HOME"], sandbox)
        let lines = [
            "a.json": "{\"ONE\":\"\(made.tokens[0])\",\"TWO\":\"\(made.tokens[1])\",\"PLAIN\":\"p\"}",
            "a.yaml": "ONE: \(made.tokens[0])\nTWO: |\n  \(made.tokens[1])\nPLAIN: p\n",
            "a.env": "ONE=\(made.tokens[0])\nTWO=\(made.tokens[1])\nPLAIN=p\n",
        ]
        let path = try sandbox.directory.write(Array((lines[name] ?? "").utf8), to: name)
        let key = sandbox.directory.path("fernet.key")
        let outcome = try await sandbox.succeed("import", path, "--fernet-key-file", key)
        #expect(outcome.errorText.contains("credfs: opened 2 Fernet tokens\n"), "\(outcome.errorText)")
        #expect(outcome.lines("warning") == [])
        for (name, value) in ["ONE": "first", "TWO": "second $HOME", "PLAIN": "p"] {
            #expect(try await sandbox.value(name) == Array(value.utf8))
        }
    }

    @Test func whatDoesNotOpenTakesNothing() async throws {
        let sandbox = try await Sandbox([:])
        let other = try await make(["A=1\n"], sandbox)
        let made = try await make(["A=1\n"], sandbox)
        let key = sandbox.directory.path("fernet.key")
        let path = try sandbox.directory.write(Array(other.tokens[0].utf8), to: "token")
        let before = try sandbox.snapshot()
        let refused = try await sandbox.run("import", path, "--fernet-key-file", key)
        refused.expectRefusal(15, "no token of this Fernet key")
        #expect(!refused.errorText.contains(made.key))
        let json = try sandbox.directory.write(Array("{\"A\":\"\(other.tokens[0])\"}".utf8), to: "a.json")
        (try await sandbox.run("import", json, "--fernet-key-file", key)).expectRefusal(15, "value of 'A'")
        (try await sandbox.run("import", path, "--format", "fernet")).expectRefusal(64, "needs its key")
        (try await sandbox.run("import", path, "--fernet-key-file", path)).expectRefusal(15, "holds no Fernet key")
        let text = try sandbox.directory.write(Array("A=1".utf8), to: "text")
        (try await sandbox.run("import", text, "--fernet-key-file", key)).expectRefusal(17, "no Fernet token")
        try Files.setMode(0o644, key)
        (try await sandbox.run("import", path, "--fernet-key-file", key)).expectRefusal(14, "insecure permissions")
        try Files.setMode(0o600, key)
        for name in ["text", "a.json"] { try FileManager.default.removeItem(atPath: sandbox.directory.path(name)) }
        #expect(try sandbox.snapshot() == before)
    }
}
