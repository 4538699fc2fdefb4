// SPDX-License-Identifier: Apache-2.0

import SecretStore
import Testing

struct VariableNameTests {
    @Test(arguments: [
        ("GHCR_TOKEN", "GHCR_TOKEN_FILE"), ("ghcr-token", "GHCR_TOKEN_FILE"), ("db.password", "DB_PASSWORD_FILE"),
        ("2fa", "_2FA_FILE"), ("a b~c", "A_B_C_FILE"), ("_", "__FILE"), ("*", "__FILE"),
    ])
    func everyNameHasAVariable(_ name: String, _ variable: String) throws {
        #expect(VariableName(ofFileWith: try #require(SecretName(name))).text == variable)
    }

    @Test(arguments: ["", "1A", "A-B", "A B", "A=B", "\u{e4}"])
    func otherTextIsNoName(_ text: String) {
        #expect(VariableName(text) == nil)
    }

    @Test func whatCredfsSetsOrTakesAwayIsReserved() throws {
        for text in ["CREDENTIALS_DIRECTORY", "CREDFS_AUTH_MODE", "CREDFS_KEY", "CREDFS_KEY_FILE", "SOPS_AGE_KEY_FILE"]
        {
            #expect(try #require(VariableName(text)).isReserved)
        }
        #expect(try !#require(VariableName("CREDFS_STORE")).isReserved)
    }

    @Test func variablesThatOpenStoresAreKnownByTheirBytes() {
        #expect(VariableName.opensStores(Array("CREDFS_PASSWORD_FD".utf8)))
        #expect(
            VariableName.opensStores(Array("CREDFS_AGE_KEY".utf8))
                && !VariableName.opensStores(Array("CREDFS_STORE".utf8))
        )
    }

    @Test func variablesAreInTheOrderOfTheirBytes() throws {
        let names = try ["_B", "a", "A1", "A"].map { try #require(VariableName($0)) }
        #expect(names.sorted().map(\.text) == ["A", "A1", "_B", "a"])
    }

    @Test func namesThatReadersKeepAreObstacles() {
        #expect(VariableName.shellObstacle("UID") != nil && VariableName.dotenvObstacle("UID") != nil)
        #expect(VariableName.shellObstacle("__proto__") == nil && VariableName.dotenvObstacle("__proto__") != nil)
        #expect(VariableName.dotenvObstacle("API_TOKEN") == nil)
    }
}

/// Traits that are found byte by byte, beside those of the whole.
struct ContentTraitsTests {
    private static func traits(_ bytes: [UInt8]) -> ContentTraits { ContentTraits(bytes.span) }

    @Test func endsAndLinesAreFound() {
        #expect(Self.traits(Array(" a".utf8)).hasOuterSpace && Self.traits(Array("a\t".utf8)).hasOuterSpace)
        #expect(!Self.traits(Array("a b".utf8)).hasOuterSpace && !Self.traits([]).hasOuterSpace)
        #expect(Self.traits(Array("a\r".utf8)).endsInReturn && !Self.traits(Array("\ra".utf8)).endsInReturn)
        let traits = Self.traits(Array("a=\n\r\0".utf8))
        #expect(traits.hasNewline && traits.hasReturn && traits.hasEqualsSign && traits.hasZero)
    }

    @Test(arguments: [("", 0..<0), ("  ", 0..<0), ("a", 0..<1), (" a b\n", 1..<4)])
    func whatIsStrippedIsARange(_ text: String, _ range: Range<Int>) {
        let stripped = Self.traits(Array(text.utf8)).stripped
        #expect(stripped == range)
    }

    /// Whatever bytes there are, UTF-8 is what the standard library takes for it.
    @Test func utf8IsThatOfTheStandardLibrary() {
        let bytes: [UInt8] = [
            0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0,
            0xf1, 0xf3, 0xf4, 0xf5, 0xff,
        ]
        for one in bytes {
            #expect(Self.traits([one]).isUTF8 == (String(validating: [one], as: UTF8.self) != nil))
            for two in bytes {
                for three in bytes {
                    for sample in [[one, two], [one, two, three], [one, two, three, 0x80], [one, two, three, 0x41]] {
                        let expected = String(validating: sample, as: UTF8.self) != nil
                        #expect(Self.traits(sample).isUTF8 == expected, "\(sample)")
                    }
                }
            }
        }
    }

    @Test(arguments: [
        ("plain_-./+:@%,a=b", nil, nil), ("", nil, nil), ("a b", "'", nil), ("=a", "'", nil), ("it's", "\"", nil),
        ("a\nb", "'", nil), ("a\\b", "'", nil), ("a\\\\b", nil, "two backslashes"), ("a\\", nil, "two backslashes"),
        ("'$", nil, "a single quote beside"), ("a\rb", nil, "a carriage return"), ("${a}", nil, "a reference"),
        ("$a}", "'", nil), ("$ {a}", "'", nil),
    ])
    func dotenvIsQuotedOrRefused(_ text: String, _ quote: Character?, _ obstacle: String?) {
        let traits = Self.traits(Array(text.utf8))
        #expect((traits.dotenvObstacle == nil) == (obstacle == nil))
        #expect(obstacle.map { traits.dotenvObstacle?.hasPrefix($0) == true } ?? true)
        if obstacle == nil { #expect(traits.dotenvQuote.map { Character(Unicode.Scalar($0)) } == quote) }
    }
}
