// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

@Suite struct EncryptTests {
    @Test func plaintextInTheManifestIsSealedWhereItStandsAndNeverBecomesTheBackup() async throws {
        let sandbox = try await Sandbox(["ONE": "first", "TWO": "second"])
        let backup = try Files.read(sandbox.path("secrets.yaml.bak"))
        let value = UUID().uuidString
        let edited = try sandbox.manifest().replacing(/ONE:\n    value: .*/, with: "ONE:\n    value: \(value)")
            .replacing(
                "\nsecrets:\n",
                with: "\nsecrets:\n  NEW:\n    value: \"tab\\tand NUL\\0\"\n    required: true\n"
            )
        try sandbox.replaceManifest(edited.utf8)
        (try await sandbox.run("verify")).expectRefusal(22, "NEW (line 14), ONE", hint: "credfs encrypt")
        try sandbox.directory.write(Array(value.utf8), to: "store/secrets.yaml~")
        try sandbox.directory.write(Array(value.utf8), to: "store/.secrets.yaml.swp")
        let outcome = try await sandbox.succeed("encrypt")
        for line in [
            "changed: NEW: added", "changed: ONE: value changed", "sealed NEW, ONE", "overwriting proves nothing",
        ] {
            #expect(outcome.errorText.contains("credfs: \(line)"), "\(outcome.errorText)")
        }
        for name in ["secrets.yaml~", ".secrets.yaml.swp"] {
            #expect(outcome.lines("warning").contains { $0.contains("\(sandbox.path(name)) may hold") })
        }
        #expect(try await sandbox.value("ONE") == Array(value.utf8))
        #expect(try await sandbox.value("TWO") == Array("second".utf8))
        #expect(try await sandbox.value("NEW") == Array("tab\tand NUL\0".utf8))
        #expect(try await sandbox.run("verify").status == .exited(0))
        #expect(try Files.read(sandbox.path("secrets.yaml.bak")) == backup)
        let before = try sandbox.snapshot()
        #expect(try await sandbox.succeed("encrypt").errorText.contains("nothing to do"))
        #expect(try sandbox.snapshot() == before)
    }

    @Test func aChangedHeaderAndASlotThatComesBackAreSaidBeforeTheyAreSigned() async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        let passwordFile = try sandbox.directory.write(Array("a password of enough length".utf8), to: "password")
        try await sandbox.succeed("keys", "add", "--id", "old", "--new-password-file", passwordFile)
        let slot = try #require(try sandbox.manifest().firstMatch(of: /\n  old:\n(?:    .*\n)+/)).output
        try await sandbox.succeed("keys", "remove", "old")
        let edited = try sandbox.manifest().replacing("\nslots:\n", with: "\nslots:" + slot)
            .replacing(/generation: .*/, with: "generation: 77")
            .replacing(/created: .*/, with: "created: 2020-01-01T00:00:00Z")
        try sandbox.replaceManifest(edited.utf8)
        (try await sandbox.run("verify")).expectRefusal(15, "the signature does not match")
        let refusal = try await sandbox.run("encrypt")
        refusal.expectRefusal(64, "cannot ask whether to sign what was changed by hand", hint: "--yes")
        #expect(try sandbox.manifest() == edited)
        let outcome = try await sandbox.succeed("encrypt", "-y")
        #expect(try sandbox.slotsOfLastEntry("encrypt") == ["old"])
        for line in ["manifest: generation ", " -> 77\n", "-> 2020-01-01T00:00:00Z", "slot old: added"] {
            #expect(outcome.errorText.contains(line), "\(outcome.errorText)")
        }
        #expect(outcome.lines("warning").contains { $0.contains("signed last here: old; what opens them opens") })
        #expect(outcome.lines("warning").contains { $0.contains("the header is not the one") && $0.contains("-> 77") })
        #expect(try await sandbox.succeed("encrypt").lines("warning").isEmpty)
    }

    /// A header alone, with plaintext and without; what is no header; a manifest of which nothing is known.
    @Test(arguments: ["generation: 77", "generation: 1", "created: 2020-01-01T00:00:00Z"], [false, true])
    func aHeaderThatWasChangedByHandIsSignedOnlyWhereThatIsSaid(_ line: String, _ hasPlaintext: Bool) async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        let key = try #require(line.split(separator: ":").first)
        var edited = try sandbox.manifest().replacing(try Regex("\n\(key): .*"), with: "\n" + line)
        if hasPlaintext { edited = edited.replacing(/value: ENC.*/, with: "value: plain") }
        try sandbox.replaceManifest(edited.utf8)
        try await sandbox.run("encrypt").expectRefusal(64, "changed by hand", hint: "--yes")
        #expect(try sandbox.manifest() == edited)
        try await sandbox.succeed("encrypt", "--yes")
        #expect(try sandbox.slotsOfLastEntry("encrypt") == [])
        try await sandbox.succeed("verify")
    }

    @Test func anotherStoreIsNoneThatTheKeysOpen() async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        let edited = try sandbox.manifest()
            .replacing(/\nstore: .*/, with: "\nstore: '00000000-0000-4000-8000-000000000000'")
        try sandbox.replaceManifest(edited.utf8)
        try await sandbox.run("encrypt", "--yes").expectRefusal(15)
        #expect(try sandbox.manifest() == edited)
    }

    @Test func whatIsComparedWithNothingIsSignedOnlyWhereThatIsSaid() async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        try FileManager.default.removeItem(atPath: sandbox.path("state/signed.yaml"))
        // A signature that holds needs no question.
        #expect(try await sandbox.succeed("encrypt").errorText.contains("nothing to do"))
        let edited = try sandbox.manifest().replacing(/value: ENC.*/, with: "value: plain")
        try sandbox.replaceManifest(edited.utf8)
        let refusal = try await sandbox.run("encrypt")
        refusal.expectRefusal(64, "changed by hand", hint: "--yes")
        #expect(refusal.lines("warning").contains { $0.contains("these key slots are yours: keyfile") })
        #expect(try sandbox.manifest() == edited)
        try await sandbox.succeed("encrypt", "--yes")
        #expect(try sandbox.slotsOfLastEntry("encrypt") == ["keyfile"])
        #expect(try await sandbox.value("ONE") == Array("plain".utf8))
    }

    @Test func aTemplateIsSealedThenOverwrittenAndRemoved() async throws {
        let sandbox = try await Sandbox(["ONE": "first", "TWO": "second"])
        let template = """
            # comment
            secrets:
              ONE:
                value: changed
              TWO:
                value: ""
                description: kept value
              THREE:
                value: |
                  a
                  b

            """
        let path = try sandbox.directory.write(Array(template.utf8), to: "template.yaml")
        // A second name shows what became of the bytes.
        let second = sandbox.directory.path("second")
        try FileManager.default.linkItem(atPath: path, toPath: second)
        let leftover = try sandbox.directory.write([1], to: "template.yaml~")
        let outcome = try await sandbox.succeed("encrypt", path)
        #expect(!Files.exists(path))
        #expect(try Files.read(second).firstRange(of: Array("changed".utf8)) == nil)
        #expect(outcome.errorText.contains("sealed 2 values; \(path) was overwritten and removed"))
        #expect(outcome.errorText.contains("overwriting proves nothing"))
        #expect(outcome.lines("warning").contains("\(leftover) may hold the same plaintext: remove it"))
        #expect(try await sandbox.value("ONE") == Array("changed".utf8))
        #expect(try await sandbox.value("TWO") == Array("second".utf8))
        #expect(try await sandbox.value("THREE") == Array("a\nb\n".utf8))
        #expect(try await sandbox.run("get", "TWO").outputText.contains("description: kept value\n"))
    }

    @Test(arguments: [
        ("secrets:\n  A:\n    value: x\n    format: json\n", 17), ("secrets:\n  A:\n    value: x\n    extra: y\n", 17),
        ("", 17), ("secrets:\n  A:\n    value: ENC[x]\n", 22), ("secrets:\n  A: &a\n    value: x\n", 17),
        ("store: 00000000-0000-4000-8000-000000000000\nsecrets:\n  A:\n    value: x\n", 17), ("slots: {}\n", 17),
        ("secrets:\n  a:b:\n    value: x\n", 17), ("secrets:\n  A:\n    value: x\n---\nsecrets: {}\n", 17),
    ])
    func aBadTemplateChangesNothingAndStays(template: String, status: Int) async throws {
        let sandbox = try await Sandbox(["ONE": "first"])
        let path = try sandbox.directory.write(Array(template.utf8), to: "template.yaml")
        let before = try sandbox.snapshot()
        (try await sandbox.run("encrypt", path)).expectRefusal(Int32(status))
        #expect(try sandbox.snapshot() == before)
        try sandbox.directory.write(Array("secrets:\n  A:\n    value: x\n".utf8), to: "template.yaml")
        let good = try sandbox.snapshot()
        (try await sandbox.run("encrypt", path, adding: ["CREDFS_KEY": "x"])).expectRefusal(15)
        #expect(try sandbox.snapshot() == good)
    }

    @Test func whatIsNoRegularFileIsNoTemplate() async throws {
        let sandbox = try await Sandbox(["ONE": "first"])
        let real = try sandbox.directory.write(Array("secrets: {}\n".utf8), to: "real")
        let link = sandbox.directory.path("link")
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: real)
        let before = try sandbox.snapshot()
        (try await sandbox.run("encrypt", link)).expectRefusal(14, "symbolic link")
        (try await sandbox.run("encrypt", "/dev/null")).expectRefusal(14, "not a regular file")
        (try await sandbox.run("encrypt", sandbox.directory.path("none"))).expectRefusal(1, "no such file")
        (try await sandbox.run("encrypt", sandbox.directory.path)).expectRefusal(14, "not a regular file")
        #expect(try sandbox.snapshot() == before)
    }

    @Test func theManifestItselfAsTemplateIsSealedInPlace() async throws {
        let sandbox = try await Sandbox(["ONE": "first"])
        let before = try sandbox.snapshot()
        _ = try await sandbox.run("encrypt", sandbox.path("secrets.yaml"))
        #expect(try sandbox.snapshot() == before)
        let edited = try sandbox.manifest().replacing(/ONE:\n    value: .*/, with: "ONE:\n    value: plain")
        try sandbox.replaceManifest(edited.utf8)
        try await sandbox.succeed("encrypt", sandbox.path("secrets.yaml"))
        #expect(try await sandbox.value("ONE") == Array("plain".utf8))
    }
}
