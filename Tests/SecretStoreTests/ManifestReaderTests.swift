// SPDX-License-Identifier: Apache-2.0

import SecretStore
import Testing

@Suite struct ManifestReaderTests {
    private static let sealed = "ENC[AES256_GCM,data:AQIDBA==,iv:BQUFBQUFBQUFBQUF,tag:BgYGBgYGBgYGBgYGBgYGBg==]"
    private static let slotKey =
        "ENC[AES256_GCM,data:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=,iv:BQUFBQUFBQUFBQUF,"
        + "tag:BgYGBgYGBgYGBgYGBgYGBg==]"
    private static let header = """
        version: 1
        store: 4b4e4f8d-d170-419c-ab6b-7654438ac1b1
        generation: 7
        created: 2026-11-21T07:11:00Z
        updated: 2026-11-21T07:11:00Z

        """
    private static let slots = """
        slots:
          keyfile: {type: keyfile, sealed: "\(slotKey)"}
          password: {type: password, kdf: pbkdf2-hmac-sha256, iterations: 600000, \
        salt: 000102030405060708090a0b0c0d0e0f, sealed: "\(slotKey)"}

        """
    private static let signature = "signature: \(String(repeating: "0a", count: 32))\n"

    private static func text(
        header: String = header,
        slots: String = slots,
        secrets: String = "secrets: {}\n",
        signature: String = signature
    ) -> String {
        header + slots + secrets + signature
    }

    private static func read(_ text: String) throws -> ManifestReader.Reading {
        try ManifestReader.read(text.utf8.span)
    }

    /// A manifest whose one secret has these attributes.
    private static func secret(_ attributes: String, name: String = "A") -> String {
        text(secrets: "secrets:\n  \(name):\n" + attributes.split(separator: "\n").map { "    \($0)\n" }.joined())
    }

    @Test func aConflictOfAMergeIsExplained() throws {
        let ours = "<<<<<<< HEAD\n\(Self.signature)=======\n\(Self.signature)>>>>>>> theirs\n"
        let error = #expect(throws: StoreError.self) { try Self.read(Self.text(signature: ours)) }
        #expect(error?.code == .invalid)
        #expect(error?.message.hasPrefix("conflict of a merge at line ") == true)
        #expect(error?.hint?.contains("credfs encrypt") == true)
        // A value may begin like that; no other error becomes one of a merge.
        let value = "value: |\n  <<<<<<< HEAD\nformat: unknown"
        let other = #expect(throws: StoreError.self) { try Self.read(Self.secret(value)) }
        #expect(other?.message.contains("merge") == false)
    }

    @Test func everyAttributeIsRead() throws {
        let reading = try Self.read(
            Self.secret(
                """
                value: \(Self.sealed)
                description: 'it''s "new" caf\u{e9}'
                required: true
                format: json
                expires: 2030-01-01T00:00:00Z
                rotated: 2026-01-01T00:00:00Z
                newline: strip
                service: github
                mode: "0440"
                policy:
                  executables: [{path: /usr/bin/docker, sha256: \(String(repeating: "ab", count: 32))}, {path: /bin/sh}]
                  uids: [0, 1000]
                  callers: owner
                  max_reads: 3
                  not_before: 2026-01-01T00:00:00Z
                  not_after: 2027-01-01T00:00:00Z
                  hidden: true
                  decoy: false
                rotate: {every: 30d, command: [openssl, rand, -hex, "32"]}
                """,
                name: "github.token"
            )
        )
        var expected = SecretEntry(name: try #require(SecretName("github.token")))
        expected.value = .sealed(try #require(SealedValue(Self.sealed)))
        expected.description = "it's \"new\" caf\u{e9}"
        expected.required = true
        expected.format = .json
        expected.expires = Timestamp("2030-01-01T00:00:00Z")
        expected.rotated = Timestamp("2026-01-01T00:00:00Z")
        expected.newline = .strip
        expected.service = "github"
        expected.mode = .ownerAndGroup
        var policy = ReadPolicy()
        policy.executables = [
            .init(path: "/usr/bin/docker", sha256: String(repeating: "ab", count: 32)), .init(path: "/bin/sh"),
        ]
        policy.uids = [0, 1000]
        policy.callers = .owner
        policy.maxReads = 3
        policy.notBefore = Timestamp("2026-01-01T00:00:00Z")
        policy.notAfter = Timestamp("2027-01-01T00:00:00Z")
        policy.hidden = true
        expected.policy = policy
        expected.rotation = RotationRule(every: "30d", command: ["openssl", "rand", "-hex", "32"])
        #expect(reading.secrets == [expected])
        let manifest = try reading.manifest()
        #expect(manifest.generation == 7)
        #expect(
            manifest.slots["password"]?.kind as? PasswordSlot
                == PasswordSlot(iterations: 600_000, salt: [UInt8](0...15))
        )
    }

    @Test func scalarsAreTheTextTheyAre() throws {
        let reading = try Self.read(
            Self.text(secrets: "secrets:\n  NO: {value: \"\"}\n  123: {value: ''}\n  '<<': {value: }\n")
        )
        #expect(reading.secrets?.map(\.name.text) == ["NO", "123", "<<"])
        #expect(reading.secrets?.allSatisfy { $0.value == .empty } == true)
    }

    @Test func plaintextIsNotedByItsPlaceAlone() throws {
        let reading = try Self.read(Self.secret("value: hunter2"))
        #expect(reading.secrets?.first?.value == .unsealed(TextPosition(line: 11, column: 12)))
    }

    @Test(arguments: [
        ("ENC[x]"), ("ENC[AES256_GCM,data:AQIDBB==,iv:BQUFBQUFBQUFBQUF,tag:BgYGBgYGBgYGBgYGBgYGBg==]"),
    ])
    func aBrokenSealedValueCountsAsUnsealed(_ value: String) throws {
        guard case .unsealed = try Self.read(Self.secret("value: \(value)")).secrets?.first?.value else {
            Issue.record("accepted")
            return
        }
    }

    @Test(arguments: [
        ("", "the file is empty"), ("# nothing\n", "the file is empty"), ("[]", "a mapping is expected"),
        ("text", "a mapping is expected"), ("secrets: []", "a mapping is expected"),
        ("{}", "the document has no 'secrets'"), ("secrets: {}", "the manifest has no 'version'"),
        ("version: 1\nsecrets: {}", "the manifest has no 'store'"),
        ("\u{feff}secrets: {}", "byte order mark"), ("%YAML 1.1\n---\nsecrets: {}", "directive"),
        ("%TAG ! x:\n---\nsecrets: {}", "directive"), ("secrets: {}\n---\nsecrets: {}", "second document"),
        ("secrets: &a {}", "anchor"), ("secrets: *a", "alias"), ("secrets: !!map {}", "tag"),
        ("secrets: {A: !!str x}", "tag"), ("secrets: {A: &a x}", "anchor"), ("secrets: {A: &a [x]}", "anchor"),
        ("<<: {}", "merge key"), ("secrets: {}\nsecrets: {}", "duplicate key"), ("secret: {}", "unknown key"),
        ("[x]: y", "a key must be text"), ("{[x]: y}", "a key must be text"), ("secrets: {", "line 2"),
        ("secrets: {A: \"\\xff\\0\"}", "a mapping is expected"), ("a: b: c", "line 1"),
        ("a: b\nc\u{1}", "line 2, column 2"), ("a: \u{e9}\u{1}", "line 1, column 6"),
        ("secrets: {.a: {value: x}}", "bad name"), ("secrets: {a/b: {value: x}}", "bad name"),
        ("secrets: {A: {}}", "has no 'value'"), ("secrets:\n  A:\n    value: one\n      two", "over several lines"),
        ("secrets: {A: {value: 'one\n  two'}}", "over several lines"), ("secrets: {A: }", "a mapping is expected"),
        ("secrets: {A: {value: [x]}}", "text is expected"), ("secrets: {A: {value: x, value: y}}", "duplicate key"),
    ])
    func whatTheDialectLacksIsRefused(_ text: String, _ message: String) throws {
        let error = try #require(failure { try Self.read(text) })
        #expect(error.code == .invalid)
        #expect(error.message.contains(message), "\(error.message)")
    }

    @Test(arguments: [
        ("version: 2", "format version 2 is not known"), ("version: 01", "a number is expected"),
        ("version: -1", "a number is expected"), ("generation: x", "a number is expected"),
        ("generation: 99999999999999999999", "a number is expected"), ("store: 1", "a UUID is expected"),
        ("created: yesterday", "a time is expected"), ("expires: ''", "empty text"),
        ("signature: 00", "64 lower-case"), ("signature: \(String(repeating: "0A", count: 32))", "64 lower-case"),
        ("slots: {}", "at least one slot"), ("slots: {A: {}}", "bad identifier"),
        ("slots: {a: {}}", "slot without 'sealed'"), ("slots: {a: {sealed: x}}", "not well-formed"),
        ("slots: {a: {sealed: '\(sealed)'}}", "not well-formed"),
        ("slots: {a: {sealed: '\(slotKey)'}}", "slot of an unknown kind"),
        ("slots: {a: {type: tpm, sealed: '\(slotKey)'}}", "slot of an unknown kind"),
        ("slots: {a: {type: keyfile, kdf: pbkdf2-hmac-sha256, sealed: '\(slotKey)'}}", "slot of an unknown kind"),
        ("slots: {a: {type: password, sealed: '\(slotKey)'}}", "slot of an unknown kind"),
        ("slots: {a: {type: age, sealed: '\(slotKey)'}}", "slot of an unknown kind"),
        ("slots: {a: {type: age, wrapped: AAAA, sealed: '\(slotKey)'}}", "slot of an unknown kind"),
        ("slots: {a: {type: keyfile, wrapped: AAAA, sealed: '\(slotKey)'}}", "slot of an unknown kind"),
        ("slots: {a: {recipient: age1pq1qq}}", "a recipient of age is expected"),
        ("slots: {a: {wrapped: AAA}}", "not Base64, or too long"),
        ("slots: {a: {wrapped: \(String(repeating: "AAAA", count: 1366))}}", "not Base64, or too long"),
        ("slots: {a: {iterations: 99999}}", "iterations must be"),
        ("slots: {a: {iterations: 10000001}}", "iterations must be"),
        ("slots: {a: {iterations: 18446744073709551615}}", "iterations must be"),
        ("slots: {a: {salt: 00}}", "a salt has"), ("slots: {a: {colour: red}}", "unknown key"),
    ])
    func aHeaderEntryThatIsNotRightIsRefused(_ text: String, _ message: String) throws {
        let error = try #require(failure { try ManifestReader.read("\(text)\nsecrets: {}".utf8.span, as: .template) })
        #expect(error.code == .invalid)
        #expect(error.message.contains(message), "\(error.message)")
    }

    @Test(arguments: [
        ("colour: red", "unknown key"), ("required: yes", "true or false"), ("required: [true]", "text is expected"),
        ("format: xml", "unknown word"), ("newline: lf", "unknown word"), ("mode: 0444", "unknown word"),
        ("expires: 2026-02-30T00:00:00Z", "a time is expected"), ("service: other", "the service, a dot and a key"),
        ("description: \"a\\nb\"", "line break"), ("description: \"a\\u202eb\"", "reorders"),
        ("description: \"a\\u2028b\"", "line break"), ("description: \"a\\eb\"", "control"),
        ("policy: {colour: red}", "unknown key"), ("policy: {uids: [x]}", "a number is expected"),
        ("policy: {uids: [4294967296]}", "a user id is expected"), ("policy: {uids: [[1]]}", "a user id is expected"),
        ("policy: {uids: 1}", "a list is expected"), ("policy: {callers: nobody}", "unknown word"),
        ("policy: {max_reads: 0}", "at least 1"), ("policy: {executables: [sh]}", "a mapping with 'path'"),
        ("policy: {executables: [{path: sh}]}", "an absolute path"), ("policy: {executables: [{}]}", "without 'path'"),
        ("policy: {executables: [{path: /sh, sha256: 00}]}", "a SHA-256 has"),
        ("policy: {executables: [{path: /sh, mode: 1}]}", "unknown key"),
        ("rotate: {every: 30d}", "needs 'every' and 'command'"), ("rotate: {command: [x]}", "needs 'every' and"),
        ("rotate: {every: soon, command: [x]}", "a period"), ("rotate: {every: 0d, command: [x]}", "a period"),
        ("rotate: {every: 030d, command: [x]}", "a period"), ("rotate: {every: 1y, command: [x]}", "a period"),
        ("rotate: {every: 1d, command: [[x]]}", "text is expected"), ("rotate: {often: 1d}", "unknown key"),
    ])
    func anAttributeThatIsNotRightIsRefused(_ attribute: String, _ message: String) throws {
        let error = try #require(failure { try Self.read(Self.secret("value: ''\n\(attribute)")) })
        #expect(error.code == .invalid)
        #expect(error.message.contains(message), "\(error.message)")
        #expect(error.message.contains("line"))
    }

    @Test func depthAndSizeAndSlotsAreBounded() throws {
        let deep = String(repeating: "[", count: 10_000)
        #expect(failure { try Self.read("secrets: {A: {value: \(deep)") }?.code == .invalid)
        let error = failure { try Self.read("a: " + String(repeating: "[", count: 17)) }
        #expect(error?.message.contains("unknown key") == true)
        let nested = failure { try Self.read(String(repeating: "{a: ", count: 40)) }
        #expect(nested?.message.contains("unknown key") == true)
        let large = [UInt8](repeating: 0x20, count: Manifest.maximumByteCount + 1)
        #expect(failure { try ManifestReader.read(large.span) }?.message.contains("64 MiB") == true)
        let many = (0...KeySlot.maximumCount).map { "  s\($0): {type: keyfile, sealed: '\(Self.slotKey)'}\n" }.joined()
        let slots = failure { try Self.read("slots:\n\(many)") }
        #expect(slots?.message.contains("more than 64 slots") == true)
        let salt = String(repeating: "00", count: 16)
        let costly = (0..<3).map {
            "  p\($0): {type: password, kdf: pbkdf2-hmac-sha256, iterations: 7000000, salt: '\(salt)', "
                + "sealed: '\(Self.slotKey)'}\n"
        }
        let cost = failure { try Self.read("slots:\n\(costly.joined())") }
        #expect(cost?.message.contains("iterations together") == true)
        let bearable = failure { try Self.read("slots:\n\(costly[0...1].joined())secrets: {}") }
        #expect(bearable?.message.contains("no 'version'") == true)
    }

    @Test func collectionsNestSixteenLevelsDeepAtMost() throws {
        for depth in [16, 17] {
            let text = String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
            let error = failure {
                try YAMLEventReader.read(text.utf8.span) { (events) throws(StoreError) in
                    while try events.next() != .end {}
                }
            }
            #expect(error?.message.contains("nested deeper than 16 levels") == (depth == 17 ? true : nil))
        }
    }

    @Test func aValueIsAtMostSixteenMebibytes() throws {
        let count = (Manifest.maximumSecretByteCount / 3 + 1) * 4
        let value =
            "ENC[AES256_GCM,data:\(String(repeating: "A", count: count)),iv:BQUFBQUFBQUFBQUF,"
            + "tag:BgYGBgYGBgYGBgYGBgYGBg==]"
        let error = try #require(failure { try Self.read(Self.secret("value: \(value)")) })
        #expect(error.message.contains("larger than 16 MiB"))
    }

    @Test func messagesNeverRepeatWhatStandsThere() throws {
        let canary = "c4n4ry"
        for text in [
            "\(canary): x", "secrets: {\(canary): x}", "secrets: {A: {\(canary): x}}",
            "secrets: {A: {format: \(canary)}}",
            "secrets: {A: {expires: \(canary)}}", "secrets: {/\(canary): x}", "version: \(canary)",
            "slots: {\(canary)!: x}",
            "secrets: {A: {value: \"\(canary)", "secrets: {A: {value: \(canary), policy: \(canary)}}",
            "secrets: {A: {rotate: {every: \(canary)}}}", "store: \(canary)", "signature: \(canary)",
            "? \(canary)\n? \(canary)",
            "secrets: {A: {value: *\(canary)}}", "secrets: {A: {value: !\(canary) x}}", "%\(canary)\n---\n",
        ] {
            let error = try #require(failure { try Self.read(text) }, "\(text)")
            #expect(!error.message.contains(canary) && error.hint?.contains(canary) != true, "\(text)")
        }
    }

    @Test func plaintextGoesToTheSealerWithAllItsAttributes() throws {
        var seen: [(String, SecretEntry.Newline, [UInt8])] = []
        let text = "secrets:\n  A:\n    value: |\n      one\n      two\n    newline: strip\n  B: {value: ''}\n"
        let reading = try ManifestReader.read(text.utf8.span, as: .template) { (entry, content) in
            seen.append((entry.name.text, entry.newline, bytes(content)))
            entry.value = .sealed(sealedValue(1))
        }
        #expect(seen.count == 1)
        #expect(seen.first?.0 == "A")
        #expect(seen.first?.1 == .strip)
        #expect(seen.first?.2 == Array("one\ntwo\n".utf8))
        #expect(reading.secrets?.map(\.value) == [.sealed(sealedValue(1)), .empty])
    }

    @Test func aSealerRefusesWhatOnlyBeginsLikeASealedValue() throws {
        let text = "secrets: {A: {value: 'ENC[oops'}}"
        let error = failure { try ManifestReader.read(text.utf8.span, as: .template) { (_, _) in } }
        #expect(error?.code == .unsealed)
    }

    @Test func plaintextBeyondSixteenMebibytesIsRefused() throws {
        let text = "secrets: {A: {value: \(String(repeating: "x", count: Manifest.maximumSecretByteCount + 1))}}"
        let error = failure { try ManifestReader.read(text.utf8.span, as: .template) { (_, _) in } }
        #expect(error?.message.contains("larger than 16 MiB") == true)
    }
}
