// SPDX-License-Identifier: Apache-2.0

import PlaintextDocuments
import SecretStore
import Testing

@Suite struct YAMLParserTests {
    @Test(arguments: [
        ("A: b", "b"), ("A: 'b'", "b"), ("A: \"b\\n\"", "b\n"), ("A: |\n  b\n  c\n", "b\nc\n"), ("A: 0123", "0123"),
        ("A: true", "true"), ("A: ''", ""), ("A: \"null\"", "null"), ("{A: b}", "b"), ("A: b # c", "b"),
        ("A: b\n  c", "b c"), ("A: \"b\n  c\"", "b c"), ("A: >\n  b\n  c\n", "b c\n"), ("# c\n'A': b\n", "b"),
        ("A: \"\\u00e9\\0\"", "\u{e9}\0"),
    ])
    func everyScalarIsTheTextItIs(document: String, value: String) throws {
        #expect(try only(document, .yaml) == value)
    }

    @Test func mappingsInTheMappingAreServices() throws {
        let parsed = try Parsed(Array("A: 1\nS:\n  B: 2\n  C: 3\nN:\nM: ~\nO: null\n".utf8), .yaml)
        #expect(parsed.texts == ["A": "1", "S/B": "2", "S/C": "3", "N": "", "M": "", "O": ""])
        #expect(parsed.nulls == ["N", "M", "O"])
    }

    @Test(arguments: [
        ("A: [b]", "a list, which is no value of a secret, at line 1, column 4"), ("- A", "a mapping is expected"),
        ("A: b\nA: c", "duplicate key at line 2"), ("A: &x b", "anchor"), ("A: !!str b", "tag"),
        ("A: b\n---\nB: c", "second"),
        ("S:\n  A:\n    B: c\n", "a value is expected"), ("a:b: c", "bad name of a secret at line 1"),
        ("", "the file is empty"),
        ("A: b\nS/A: x\nS:\n  A: y\n", "the name 'S/A' is there twice, at lines 2 and 4"),
        ("\u{feff}A: b", "byte order mark"),
    ])
    func whatIsWrongIsSaidWithItsPlace(document: String, message: String) {
        #expect(
            refusal(Array(document.utf8), .yaml)?.contains(message) == true,
            "\(refusal(Array(document.utf8), .yaml) ?? "")"
        )
    }
}
