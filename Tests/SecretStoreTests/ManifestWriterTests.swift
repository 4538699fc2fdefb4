// SPDX-License-Identifier: Apache-2.0

import Foundation
import Sealing
import SecretStore
import Testing

@Suite struct ManifestWriterTests {
    /// Texts that a careless writer would not give back.
    private static let texts = [
        "plain", "two words", "it's", "''", "a: b", "a #b", "#a", "- a", "-", "?", "*a", "&a", "!a", "%a", "@a", "`a",
        "{a",
        "[a]", "a,b", "a]", "true", "No", "null", "~", "123", "0x1F", "1e3", "2026-01-01", "a:", ":a", "a:b", " a",
        "a ",
        "\"a\"", "a\\nb", "caf\u{e9}", "\u{1f600}", "<<", "=", "|", ">", "a'b\"c", "ENC[x", "a\u{a0}b",
    ]

    private static func manifest(_ secrets: [SecretEntry]) throws -> Manifest {
        let time = Timestamp(seconds: 1_800_000_000)
        let sealed = SealedValue(
            ciphertext: [UInt8](repeating: 1, count: 32),
            nonce: [UInt8](repeating: 2, count: 12),
            tag: [UInt8](repeating: 3, count: 16)
        )
        return Manifest(
            store: try StoreID.random(),
            generation: 3,
            created: time,
            updated: time,
            expires: nil,
            slots: [
                "keyfile": KeySlot(kind: KeyFileSlot(), sealedKey: sealed),
                "p-1": KeySlot(kind: PasswordSlot(iterations: 600_000, salt: [UInt8](0...15)), sealedKey: sealed),
            ],
            secrets: secrets
        )
    }

    private static let signature = String(repeating: "0a", count: 32)

    @Test func whatIsWrittenIsReadBack() throws {
        var generator = SystemRandomNumberGenerator()
        for round in 0..<50 {
            var secrets: [SecretEntry] = []
            for index in 0..<round {
                let text = try #require(Self.texts.randomElement(using: &generator))
                let usable = SecretName(text + "\(index)") ?? SecretName("N\(index)")
                var entry = SecretEntry(name: try #require(usable))
                entry.description = text
                entry.required = .random()
                entry.format = SecretEntry.Format.allCases.randomElement()
                entry.newline = try #require(SecretEntry.Newline.allCases.randomElement())
                entry.mode = try #require(SecretEntry.Mode.allCases.randomElement())
                entry.expires = Bool.random() ? Timestamp(seconds: .random(in: 0..<4_000_000_000)) : nil
                entry.rotated = Bool.random() ? Timestamp(seconds: .random(in: 0..<4_000_000_000)) : nil
                if Bool.random() {
                    var policy = ReadPolicy()
                    policy.executables = Bool.random() ? [.init(path: "/a b/c: #d"), .init(path: "/x")] : []
                    policy.uids = Bool.random() ? [0, 4_294_967_295] : []
                    policy.callers = ReadPolicy.Callers.allCases.randomElement()
                    policy.maxReads = Bool.random() ? 1 : nil
                    policy.notBefore = Bool.random() ? Timestamp(seconds: 5) : nil
                    policy.hidden = .random()
                    policy.decoy = .random()
                    entry.policy = policy
                }
                entry.rotation = Bool.random() ? RotationRule(every: "30d", command: Self.texts) : nil
                secrets.append(entry)
            }
            let manifest = try Self.manifest(secrets)
            let text = ManifestWriter.text(manifest, signature: Self.signature)
            let reading = try ManifestReader.read(text.span)
            #expect(try reading.manifest() == manifest, "\(round)")
            #expect(reading.signature == Self.signature)
        }
    }

    @Test func everyNameIsOneLineThatComesBack() throws {
        for text in Self.texts {
            guard let name = SecretName(text) else { continue }
            let manifest = try Self.manifest([SecretEntry(name: name)])
            let reading = try ManifestReader.read(ManifestWriter.text(manifest, signature: Self.signature).span)
            #expect(reading.secrets?.map(\.name) == [name])
        }
    }

    @Test func aDocumentWithoutHeaderIsATemplate() throws {
        var reading = try ManifestReader.read("secrets: {A: {value: ''}}".utf8.span, as: .template)
        reading.expires = Timestamp(seconds: 0)
        let text = ManifestWriter.unsignedText(reading)
        let back = try ManifestReader.read(text.span, as: .template)
        #expect(back.secrets == reading.secrets)
        #expect(back.expires == reading.expires)
        #expect(back.store == nil)
    }
}

@Suite struct CanonicalEncodingTests {
    private static func hex(_ node: ManifestNode) -> String {
        Base16.text(CanonicalEncoding.bytes(of: node))
    }

    @Test func scalarsListsAndMappingsHaveTheirLengths() {
        #expect(Self.hex(.text("ab")) == "53000000026162")
        #expect(Self.hex(.number(7)) == "530000000137")
        #expect(Self.hex(.flag(true)) == "530000000474727565")
        #expect(Self.hex(.flag(false)) == "530000000566616c7365")
        #expect(Self.hex(.list([.text("")])) == "4c000000015300000000")
        #expect(Self.hex(.mapping([])) == "4d00000000")
    }

    @Test func theOrderOfKeysDoesNotCountButTheirContentDoes() {
        let one = ManifestNode.mapping([("a", .text("1")), ("b", .text("2"))])
        let two = ManifestNode.mapping([("b", .text("2")), ("a", .text("1"))])
        let three = ManifestNode.mapping([("b", .text("1")), ("a", .text("2"))])
        #expect(one == two)
        #expect(one != three)
        #expect(ManifestNode.list([.text("ab"), .text("c")]) != .list([.text("a"), .text("bc")]))
        #expect(ManifestNode.list([.text("a")]) != .text("a"))
    }

    @Test func theWholeIsTheSameInOnePieceAndInMany() throws {
        let fixture = try StoreFixture()
        try fixture.fill((0..<600).map { ("SECRET_\($0)", String(repeating: "x", count: 100)) })
        let manifest = try LoadedManifest(fixture.store()).manifest
        var pieces: [[UInt8]] = []
        CanonicalEncoding.encode(manifest) { piece in pieces.append(piece.indices.map { piece[$0] }) }
        #expect(pieces.count > 1)
        let secrets = manifest.secrets.map { ($0.name.text, $0.node) }
        let whole = ManifestNode.mapping(manifest.header + [("secrets", .mapping(secrets))])
        #expect(Array(pieces.joined()) == CanonicalEncoding.bytes(of: whole))
    }
}

@Suite struct ManifestCommentsTests {
    @Test func commentsStayWithWhatTheyAreAbout() throws {
        let fixture = try StoreFixture(["A", "B"])
        let keys = try fixture.keys()
        try fixture.edit { text in
            text.replacing("generation: 1", with: "# g\ngeneration: 1   # behind g\r")
                .replacing("secrets:\n", with: "# above\n\nsecrets: # behind\n    # for A \n")
                .replacing("  B:\n", with: "    # for B \u{e9}\n  B:\n    # also B\n")
                .replacing("    required: true\nsignature", with: "    required: true # B too\n# end of all\nsignature")
                + "# the\n  # end"
        }
        let loaded = try LoadedManifest(fixture.store())
        _ = try loaded.verified(with: keys)
        try fixture.store().commit(loaded.manifest, signedWith: keys, previous: nil, now: fixture.now)
        let text = try fixture.text()
        #expect(text.contains("# g\n# behind g\ngeneration: 2\n"))
        #expect(text.contains("# above\n# behind\nsecrets:\n  # for A\n  A:\n"))
        #expect(text.contains("  # for B \u{e9}\n  # also B\n  # B too\n  B:\n"))
        #expect(text.contains("# end of all\nsignature"))
        #expect(text.hasSuffix("\n# the\n# end\n"))
        #expect(text.components(separatedBy: "# Sealed by credfs").count == 2)
        try fixture.store().commit(
            LoadedManifest(fixture.store()).manifest,
            signedWith: keys,
            previous: nil,
            now: fixture.now
        )
        #expect(
            try fixture.text().replacing("generation: 3", with: "generation: 2").dropSignature() == text.dropSignature()
        )
    }

    @Test(arguments: ["\r", "\r\n", "\n", "\u{85}", "\u{2028}", "\u{2029}"])
    func noLineOfAValueBecomesACommentWhateverEndsLines(end: String) throws {
        let lines = [
            "# one", "# two", "secrets:", "  A: # of A", "    value: |", "      # a", "      # value", "# end", "",
        ]
        var content: [UInt8] = []
        let reading = try ManifestReader.read(lines.joined(separator: end).utf8.span, as: .template) { (entry, value) in
            content = bytes(value)
            entry.value = .sealed(sealedValue(1))
        }
        #expect(String(decoding: content, as: UTF8.self).contains("# value"))
        #expect(reading.comments.entries == ["secrets": ["# one", "# two"]])
        #expect(reading.comments.secrets == [try #require(SecretName("A")): ["# of A"]])
        #expect(reading.comments.end == ["# end"])
    }

    @Test func whatLooksLikeACommentInsideAValueIsTheValue() throws {
        var content: [UInt8] = []
        let text = "secrets:\n  A:\n    value: |\n      one\n      # two\n  # for B\n  B: {value: 'a # b'} # behind\n"
        let reading = try ManifestReader.read(text.utf8.span, as: .template) { (entry, value) in
            if entry.name.text == "A" { content = bytes(value) }
            entry.value = .sealed(sealedValue(1))
        }
        #expect(content == Array("one\n# two\n".utf8))
        #expect(reading.comments.secrets.count == 1)
        #expect(reading.comments.secrets[try #require(SecretName("B"))] == ["# for B", "# behind"])
        #expect(!reading.comments.isEmptyButForTheFirst)
        #expect(ManifestComments.initial.isEmptyButForTheFirst)
    }
}

extension String {
    fileprivate func dropSignature() -> String {
        split(separator: "\n").filter { !$0.hasPrefix("signature") }.joined(separator: "\n")
    }
}
