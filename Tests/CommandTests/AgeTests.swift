// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

/// A new age identity of the age program, in a file of the sandbox.
struct Identity {
    let path: String
    let recipient: String
    /// The content of the file, its comments included.
    let text: String

    init(_ sandbox: Sandbox, _ name: String) async throws {
        path = sandbox.directory.path(name)
        let made = try await ChildProcess.run("/usr/bin/age-keygen", ["-o", path])
        try #require(made.status == .exited(0), "\(made.errorText)")
        text = String(decoding: try Files.read(path), as: UTF8.self)
        let found = try #require(text.firstMatch(of: /age1[a-z0-9]{58}/))
        recipient = String(found.output)
    }
}

@Suite struct AgeTests {
    /// A store that two identities open, and no key file.
    private func shared() async throws -> (sandbox: Sandbox, first: Identity, second: Identity) {
        let sandbox = try Sandbox()
        let first = try await Identity(sandbox, "first")
        let second = try await Identity(sandbox, "second")
        try await sandbox.succeed("init", "--empty", "--recipient", first.recipient, "--recipient", second.recipient)
        try await sandbox.succeed("set", "ONE", "--identity", first.path, input: Array("value".utf8))
        return (sandbox, first, second)
    }

    @Test func aTeamSharesOneManifest() async throws {
        let (sandbox, first, second) = try await shared()
        #expect(!Files.exists(sandbox.path("secrets.key")))
        for identity in [first, second] {
            #expect(try await sandbox.run("show", "ONE", "--identity", identity.path).outputText == "value")
            let verification = try await sandbox.run("verify", "--identity", identity.path)
            #expect(verification.status == .exited(0), "\(verification.outputText)")
        }
        let third = try await Identity(sandbox, "third")
        (try await sandbox.run("show", "ONE", "--identity", third.path))
            .expectRefusal(15, "no age identity at hand opens this store")
        // Several identities in a file, the right one last.
        try sandbox.directory.write(Array((third.text + "\n# and\n" + second.text).utf8), to: "several")
        #expect(
            try await sandbox.run("show", "ONE", "--identity", sandbox.directory.path("several")).outputText == "value"
        )
        (try await sandbox.run("show", "ONE", "--slot", "age", "--identity", second.path)).expectRefusal(15)
        #expect(
            try await sandbox.run("show", "ONE", "--slot", "age-2", "--identity", second.path).outputText == "value"
        )
    }

    @Test func identitiesComeFromVariablesAndTheUsualPlace() async throws {
        let (sandbox, first, second) = try await shared()
        let third = try await Identity(sandbox, "third")
        (try await sandbox.run("show", "ONE")).expectRefusal(15, "there is no age identity", hint: "--identity")
        for variables in [
            ["CREDFS_AGE_KEY": first.text], ["CREDFS_AGE_KEY_FILE": first.path], ["SOPS_AGE_KEY_FILE": first.path],
            ["CREDFS_AGE_KEY": first.text, "CREDFS_AGE_KEY_FILE": third.path],
            ["CREDFS_AGE_KEY_FILE": first.path, "SOPS_AGE_KEY_FILE": third.path],
        ] {
            let outcome = try await sandbox.run("show", "ONE", adding: variables)
            #expect(outcome.outputText == "value", "\(variables.keys) \(outcome.errorText)")
        }
        let fork = try await sandbox.run("verify", adding: ["CREDFS_AGE_KEY": ""])
        fork.expectRefusal(15, "CREDFS_AGE_KEY holds no identity", hint: "credfs verify --no-key")
        // What was chosen and fails is an error, whatever else would open.
        (try await sandbox.run(
            "show",
            "ONE",
            adding: ["CREDFS_AGE_KEY": third.text, "CREDFS_AGE_KEY_FILE": first.path]
        )).expectRefusal(15)

        let usual = sandbox.directory.path("home/.config/sops/age")
        try FileManager.default.createDirectory(atPath: usual, withIntermediateDirectories: true)
        try sandbox.directory.write(Array(second.text.utf8), to: "home/.config/sops/age/keys.txt")
        #expect(try await sandbox.value("ONE") == Array("value".utf8))
        #expect(try await sandbox.run("list").outputText == "ONE\n")
        try Files.setMode(0o640, usual + "/keys.txt")
        (try await sandbox.run("show", "ONE")).expectRefusal(14, "keys.txt", hint: "chmod 0600")
    }

    @Test func aKeyFileComesBeforeAnIdentityAndAnIdentityBeforeAPassword() async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        let identity = try await Identity(sandbox, "identity")
        // A store that knows no identity does not look at those of other tools.
        try FileManager.default.createDirectory(
            atPath: sandbox.directory.path("home/.config/sops/age"),
            withIntermediateDirectories: true
        )
        try sandbox.directory.write(Array("no identity".utf8), to: "home/.config/sops/age/keys.txt", permissions: 0o644)
        #expect(try await sandbox.value("ONE") == Array("value".utf8))
        (try await sandbox.run("show", "ONE", "--identity", identity.path))
            .expectRefusal(15, "no slot of this store opens with an age identity")
        (try await sandbox.run("show", "ONE", "--identity", identity.path, "--key-file", sandbox.path("secrets.key")))
            .expectRefusal(64, "not several")
    }

    @Test func aBrokenIdentityFileIsNamedAndNotRepeated() async throws {
        let (sandbox, first, _) = try await shared()
        let marker = "NOT-AN-IDENTITY-BUT-A-MARKER"
        try sandbox.directory.write(Array("\(first.text)\(marker)\n".utf8), to: "broken")
        let outcome = try await sandbox.run("show", "ONE", "--identity", sandbox.directory.path("broken"))
        outcome.expectRefusal(15, "line 4 of")
        #expect(!outcome.errorText.contains(marker) && !outcome.errorText.contains("AGE-SECRET-KEY-1Q"))
        (try await sandbox.run("show", "ONE", "--identity", sandbox.directory.path("absent"))).expectRefusal(
            1,
            "absent"
        )
        try Files.setMode(0o644, first.path)
        (try await sandbox.run("show", "ONE", "--identity", first.path)).expectRefusal(14, "first")
    }

    @Test(arguments: [
        ("age1pq1qqqqqq", "mlkem768x25519"), ("age1tag1qqqqqq", "p256tag"), ("age1tagpq1qqqqqq", "mlkem768p256tag"),
        ("age1yubikey1qqqqqq", "plugin"), ("ssh-ed25519 AAAA", "ssh-ed25519"),
    ])
    func recipientsOfOtherKindsAreRefusedByName(recipient: String, name: String) async throws {
        let sandbox = try Sandbox()
        (try await sandbox.run("init", "--recipient", recipient)).expectRefusal(64, "of the kind \(name)")
        #expect(!Files.exists(sandbox.store))
    }

    @Test func aJobDoesNotSeeTheIdentity() async throws {
        let box = try JobBox()
        let identity = try await Identity(box.sandbox, "identity")
        try await box.sandbox.succeed("init", "--empty", "--recipient", identity.recipient)
        try await box.sandbox.succeed("set", "ONE", "--identity", identity.path, input: Array("value".utf8))
        let script = "wc -c <'\(identity.path)'; cat \"$CREDENTIALS_DIRECTORY/ONE\"; env | grep -c AGE_KEY"
        let named = try await box.run(["--identity", identity.path], shell: script)
        #expect(named.outputText == "0\nvalue0\n", "\(named.errorText)")
        for variable in ["CREDFS_AGE_KEY_FILE", "SOPS_AGE_KEY_FILE"] {
            let found = try await box.run([], shell: script, adding: [variable: identity.path])
            #expect(found.outputText == "0\nvalue0\n", "\(variable): \(found.errorText)")
        }
    }

    @Test func theAgeProgramOpensASlot() async throws {
        let (sandbox, first, _) = try await shared()
        let line = try #require(try sandbox.manifest().firstMatch(of: /wrapped: (\S+)/))
        let file = try #require(Data(base64Encoded: String(line.output.1)))
        let opened = try await ChildProcess.run("/usr/bin/age", ["-d", "-i", first.path], standardInput: [UInt8](file))
        #expect(opened.status == .exited(0) && opened.standardOutput.count == 32, "\(opened.errorText)")
    }

    @Test func theIdentityIsGoneFromTheEnvironmentAndNoChildInheritsIt() async throws {
        let (sandbox, first, _) = try await shared()
        let outcome = try await sandbox.run(
            "show",
            "ONE",
            "--slot",
            "age",
            adding: [
                "CREDFS_AGE_KEY": first.text, "CREDFS_AGE_KEY_FILE": first.path, "SOPS_AGE_KEY_FILE": first.path,
            ]
        )
        #expect(outcome.outputText == "value")
        let password = try Sandbox()
        // A password command is a child; it prints what it got.
        let child = try await password.run(
            "init",
            "--password",
            "--empty",
            adding: [
                "CREDFS_AGE_KEY": first.text, "SOPS_AGE_KEY_FILE": first.path,
                "CREDFS_PASSWORD_CMD": "env | grep -c AGE_KEY >'\(password.directory.path("count"))'; "
                    + "echo four random words \(UUID().uuidString)",
            ]
        )
        #expect(child.status == .exited(0), "\(child.errorText)")
        #expect(try password.directory.read("count") == Array("0\n".utf8))
    }
}
