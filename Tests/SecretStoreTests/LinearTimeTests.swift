// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import SecretStore
import Testing

/// A manifest comes from a pull request before anybody has signed it: no shape of it may cost more than its length.
@Suite struct LinearTimeTests {
    private static func secrets(_ count: Int, _ text: (Int) -> String) -> String {
        "secrets:\n" + (0..<count).map(text).joined()
    }

    private static func one(_ scalar: String) -> String { "secrets: {A: {value: \(scalar)}}\n" }

    static let texts: [GrowingText] = [
        GrowingText("all secrets on one line", count: 3000) { count in
            "secrets: {" + (0..<count).map { "S\($0): {value: \"\"}" }.joined(separator: ", ") + "}\n"
        },
        GrowingText("all secrets on one line, comments behind", count: 3000) { count in
            "secrets: {" + (0..<count).map { "S\($0): {value: \"\"}, # c\n" }.joined() + "}\n"
        },
        GrowingText("one line of many characters that take three bytes", count: 2000) { count in
            "secrets: {"
                + (0..<count).map { "S\($0): {value: \"\", description: \"\u{20ac}\"}" }.joined(separator: ", ")
                + "}\n"
        },
        GrowingText("many secrets", count: 2000) { secrets($0) { "  S\($0):\n    value: \"\"\n" } },
        GrowingText("CRLF", count: 2000) { secrets($0) { "  S\($0):\r\n    value: \"\"\r\n" } },
        GrowingText("lone CR", count: 2000) { secrets($0) { "  S\($0):\r    value: \"\"\r" } },
        GrowingText("comments above", count: 5000) { "# c\n" + one("\"\"") + String(repeating: "# c\n", count: $0) },
        GrowingText("comments inside", count: 5000) {
            "secrets:\n  A:\n" + String(repeating: "    # c\n", count: $0) + "    value: \"\"\n"
        },
        GrowingText("one long comment", count: 50_000) { "#" + String(repeating: "#", count: $0) + "\n" + one("\"\"") },
        GrowingText("empty lines", count: 50_000) { String(repeating: "\n", count: $0) + one("\"\"") },
        GrowingText("spaces", count: 50_000) { one(String(repeating: " ", count: $0) + "\"\"") },
        GrowingText("spaces that begin lines", count: 1000) {
            "secrets:\n  A:\n" + String(repeating: String(repeating: " ", count: 50) + "\n", count: $0)
                + "    value: \"\"\n"
        },
        GrowingText("one huge plain scalar", count: 50_000) { one(String(repeating: "a", count: $0)) },
        GrowingText("one huge quoted scalar", count: 50_000) { one("'\(String(repeating: "a", count: $0))'") },
        GrowingText("many escapes", count: 12_000) { one("\"\(String(repeating: "\\x41", count: $0))\"") },
        GrowingText("doubled quotes", count: 25_000) { one("'\(String(repeating: "''", count: $0))'") },
        GrowingText("a block of many lines", count: 10_000) {
            "secrets:\n  A:\n    value: |\n" + String(repeating: "      a\n", count: $0)
        },
        GrowingText("a block of empty lines", count: 50_000) {
            "secrets:\n  A:\n    value: |\n" + String(repeating: "\n", count: $0) + "      a\n"
        },
        GrowingText("a folded block", count: 10_000) {
            "secrets:\n  A:\n    value: >\n" + String(repeating: "      a\n", count: $0)
        },
        GrowingText("a long list", count: 10_000) {
            "secrets:\n  A:\n    value: \"\"\n    policy:\n      uids:\n"
                + String(repeating: "        - 1\n", count: $0)
        },
        GrowingText("a long list on one line", count: 10_000) {
            "secrets: {A: {value: \"\", policy: {uids: [" + String(repeating: "1, ", count: $0) + "]}}}\n"
        },
        GrowingText("a sealed value", count: 12_000) {
            one(
                "ENC[AES256_GCM,data:" + String(repeating: "AAAA", count: $0)
                    + ",iv:AAAAAAAAAAAAAAAA,tag:AAAAAAAAAAAAAAAAAAAAAA==]"
            )
        },
        // What follows is refused, which must not take longer.
        GrowingText("open brackets", count: 50_000) { "secrets: " + String(repeating: "[", count: $0) },
        GrowingText("open braces", count: 50_000) { "secrets: " + String(repeating: "{", count: $0) },
        GrowingText("open brackets inside keys", count: 10_000) { "secrets: " + String(repeating: "{? [", count: $0) },
        GrowingText("dashes", count: 25_000) { "secrets:\n" + String(repeating: "- ", count: $0) },
        GrowingText("question marks", count: 25_000) { "secrets:\n  " + String(repeating: "? ", count: $0) },
        GrowingText("commas", count: 50_000) { "secrets: {" + String(repeating: ",", count: $0) },
        GrowingText("many slots", count: 3000) { count in
            "slots:\n" + (0..<count).map { "  s\($0): {type: keyfile, sealed: x}\n" }.joined()
        },
        GrowingText("a quote that is not closed", count: 50_000) { "secrets: \"" + String(repeating: "a", count: $0) },
        GrowingText("a bad byte at the end", count: 50_000) {
            "# " + String(repeating: "a\n# ", count: $0 / 4) + "\u{1}"
        },
        GrowingText("keys that are not closed", count: 12_000) { String(repeating: "a\n", count: $0) },
        GrowingText("a mark of a merge at the end", count: 12_000) {
            "a: b\n" + String(repeating: "a: b\n", count: $0) + "<<<<<<< x\n"
        },
    ]

    @Test(arguments: texts)
    func aManifestCostsWhatItsLengthIs(_ text: GrowingText) {
        #expect(text.growth { _ = try? ManifestReader.read($0.span, as: .template) } < linearGrowth)
    }

    static let contents: [(SecretEntry.Format, GrowingText)] = [
        (.json, GrowingText("open brackets", count: 50_000) { String(repeating: "[", count: $0) }),
        (.json, GrowingText("a list", count: 20_000) { "[" + String(repeating: "1,", count: $0) + "1]" }),
        (.json, GrowingText("escapes", count: 8000) { "\"" + String(repeating: "\\u0041", count: $0) + "\"" }),
        (.base64, GrowingText("lines", count: 10_000) { String(repeating: "AAAA\n", count: $0) }),
        (
            .pem,
            GrowingText("blocks", count: 1000) {
                String(repeating: "-----BEGIN A-----\nA: b\n\nAAAA\n-----END A-----\n", count: $0)
            }
        ),
        (
            .pem,
            GrowingText("headers", count: 10_000) {
                "-----BEGIN A-----\n" + String(repeating: "A: b\n", count: $0) + "-----END A-----\n"
            }
        ),
        (.text, GrowingText("characters", count: 25_000) { String(repeating: "\u{20ac}", count: $0) }),
    ]

    @Test(arguments: contents)
    func aFormatCostsWhatTheLengthOfTheContentIs(_ format: SecretEntry.Format, _ text: GrowingText) {
        #expect(text.growth { _ = format.accepts($0.span) } < linearGrowth)
    }

    @Test(arguments: [
        GrowingText("comments", count: 10_000) { String(repeating: "#\n", count: $0) },
        GrowingText("empty lines", count: 20_000) { String(repeating: "\r\n", count: $0) },
        GrowingText("one line", count: 50_000) { String(repeating: "A", count: $0) },
    ])
    func anIdentityFileCostsWhatItsLengthIs(_ text: GrowingText) {
        #expect(text.growth { _ = try? AgeIdentityFile($0.span, from: "a file") } < linearGrowth)
    }

    @Test func bringingTwoEditsTogetherCostsWhatTheirLengthIs() throws {
        let fixture = try StoreFixture()
        let empty = try LoadedManifest(fixture.store()).manifest
        let factor = try growth(from: 1000) { count in
            var base = empty
            base.secrets = try (0..<count).map { SecretEntry(name: try #require(SecretName("S\($0)"))) }
            var (edited, other) = (base, base)
            for index in base.secrets.indices { edited.secrets[index].required = true }
            other.secrets = other.secrets.reversed()
            other.generation += 1
            return (base, edited, other)
        } _: { base, edited, other in
            _ = other.merging(edited, since: base)
        }
        #expect(factor < linearGrowth)
    }
}
