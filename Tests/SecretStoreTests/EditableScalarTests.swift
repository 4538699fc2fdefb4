// SPDX-License-Identifier: Apache-2.0

import SecretStore
import SecureMemory
import Testing

@Suite struct EditableScalarTests {
    /// What a value holds as an editor would have it read.
    private final class Content {
        var bytes: [UInt8]?
    }

    /// Characters that YAML, editors or people take for something else.
    private static let characters: [Unicode.Scalar] =
        Array("ab Z09_-./+=\n\n\n\t\r'\"\\#:,[]{}%@`|>~!&*?<^$;".unicodeScalars)
        + [
            "\u{1}", "\u{7f}", "\u{85}", "\u{9f}", "\u{a0}", "\u{ad}", "\u{e9}", "\u{301}", "\u{61c}", "\u{200b}",
            "\u{200e}", "\u{2028}", "\u{2029}", "\u{202e}", "\u{3000}", "\u{4e2d}", "\u{d7ff}", "\u{e000}",
            "\u{feff}", "\u{fffd}", "\u{fffe}", "\u{ffff}", "\u{1f600}", "\u{1ffff}", "\u{10ffff}",
        ]

    private static let texts = [
        "", "a", "two words", "true", "No", "null", "y", "~", "123", "0x1f", "-", "---", "...", "--- a", "# a", "a #b",
        "a: b", "a:", "- a", "? a", "!a", "&a", "*a", "|", ">", "'", "''", "\"", "\\", "\\n", "[a]", "{a: b}", " a",
        "a ",
        "\n", "\n\n", "a\n", "a\n\n", "\na", "a\nb", "a\nb\n", "a\n\nb", " a\nb", "\ta\nb", "a\n b\n", "a\n\tb\n",
        "a \nb", "a\n \nb", "a\n#b\nc\n", "a\n---\nb\n", "a\r\nb\r\n", "%YAML 1.1\n", "a\n...\n", "ENC", "ENC(",
        "-----BEGIN X-----\nbm9uZQ==\n-----END X-----\n", "{\n  \"a\": [1, 2]\n}\n", "\u{feff}a", "caf\u{e9} \u{1f600}",
    ]

    private static func scalar(of text: String) -> [UInt8]? { scalar(of: Array(text.utf8)) }

    private static func scalar(of content: [UInt8]) -> [UInt8]? { EditableScalar.text(of: content.span) }

    /// Reads a value as it stands in an edited document, between other lines.
    private static func read(_ scalar: [UInt8]) throws -> [UInt8] {
        let content = Content()
        let text =
            Array("# head\nsecrets:\n  # before\n  A:\n    value: ".utf8) + scalar
            + Array("\n    description: after\n  B:\n    value: \"\"\n# end\n".utf8)
        let reading = try ManifestReader.read(text.span, as: .template) { (entry, buffer) throws(StoreError) in
            content.bytes = buffer.withBytes { bytes in bytes.indices.map { bytes[$0] } }
        }
        #expect(reading.secrets?.map(\.name.text) == ["A", "B"])
        #expect(reading.secrets?.first?.description == "after")
        #expect(reading.comments.secrets == [try #require(SecretName("A")): ["# before"]])
        #expect(reading.comments.end == ["# end"])
        return content.bytes ?? []
    }

    @Test(arguments: texts) func everyTextComesBackAsItWas(_ text: String) throws {
        let scalar = try #require(Self.scalar(of: text))
        #expect(try Self.read(scalar) == Array(text.utf8), "\(String(decoding: scalar, as: UTF8.self))")
    }

    @Test func everyCharacterComesBackAsItWas() throws {
        for value in UInt32(1)...0x2fff {
            guard let scalar = Unicode.Scalar(value) else { continue }
            for text in ["\(scalar)", "a\(scalar)b", "a\n\(scalar)b\(scalar)\n"] {
                let written = try #require(Self.scalar(of: text))
                let read = try Self.read(written)
                if read != Array(text.utf8) { Issue.record("U+\(String(value, radix: 16))") }
            }
        }
    }

    @Test func whatChanceMakesComesBackAsItWas() throws {
        for _ in 0..<5000 {
            var text = String.UnicodeScalarView()
            for _ in 0..<Int.random(in: 0...24) { text.append(Self.characters.randomElement() ?? "a") }
            let string = String(text)
            let scalar = try #require(Self.scalar(of: string))
            let read = try Self.read(scalar)
            if read != Array(string.utf8) { Issue.record("\(string.debugDescription)") }
        }
    }

    @Test(
        arguments: [
            [0xff], [0x61, 0], [0xc3], [0xed, 0xa0, 0x80], Array("ENC[".utf8), Array("ENC[AES256_GCM,data:x]".utf8),
        ] as [[UInt8]]
    )
    func whatIsNoTextStaysSealed(_ content: [UInt8]) {
        #expect(Self.scalar(of: content) == nil)
    }

    @Test func peopleReadWhatTheyWouldWrite() throws {
        func text(_ content: String) throws -> String {
            String(decoding: try #require(Self.scalar(of: content)), as: UTF8.self)
        }
        #expect(try text("word-1.0") == "word-1.0")
        #expect(try text("two words") == "'two words'")
        #expect(try text("it's") == "'it''s'")
        #expect(try text("") == "\"\"")
        #expect(try text("a\nb\n") == "|\n      a\n      b")
        #expect(try text("a\n\nb") == "|-\n      a\n\n      b")
        #expect(try text("a\tb") == "\"a\\tb\"")
    }
}
