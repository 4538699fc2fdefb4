// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import PlaintextDocuments
import Testing

/// No shape of a document costs more than its length.
@Suite struct LinearTimeTests {
    private static func names(_ count: Int, _ text: (Int) -> String) -> String { (0..<count).map(text).joined() }

    static let dotenv: [GrowingText] = [
        GrowingText("names", count: 2000) { names($0) { "S\($0)=a\n" } },
        GrowingText("names and CRLF", count: 2000) { names($0) { "export S\($0)='a' # c\r\n" } },
        GrowingText("lone CR", count: 10_000) { "A=" + String(repeating: "a\r", count: $0) },
        GrowingText("comments", count: 10_000) { String(repeating: "# c\n", count: $0) },
        GrowingText("a long line", count: 50_000) { "A=" + String(repeating: "a", count: $0) },
        GrowingText("blanks", count: 50_000) { "A=" + String(repeating: " ", count: $0) + "a" },
        GrowingText("a long name", count: 50_000) { String(repeating: "A", count: $0) + "=a" },
        GrowingText("escapes", count: 20_000) { "A=\"" + String(repeating: "\\n", count: $0) + "\"" },
        GrowingText("references", count: 10_000) { "A=\"" + String(repeating: "$AB ", count: $0) + "\"" },
        GrowingText("a quote over many lines", count: 20_000) { "A='" + String(repeating: "a\n", count: $0) + "'" },
        GrowingText("a quote that is not closed", count: 50_000) { "A='" + String(repeating: "a", count: $0) },
        GrowingText("empty lines", count: 50_000) { String(repeating: "\n", count: $0) },
    ]

    @Test(arguments: dotenv)
    func aDotenvFileCostsWhatItsLengthIs(_ text: GrowingText) {
        #expect(text.growth { _ = try? Parsed($0, .dotenv) } < linearGrowth)
    }

    static let json: [GrowingText] = [
        GrowingText("names", count: 2000) { "{" + names($0) { "\"S\($0)\":\"a\"," } + "\"A\":1}" },
        GrowingText("names of a service", count: 2000) {
            "{\"S\":{" + names($0) { "\"S\($0)\":\"a\",\n" } + "\"A\":1}}"
        },
        GrowingText("services", count: 1000) { "{" + names($0) { "\"S\($0)\":{\"A\":true}," } + "\"A\":1}" },
        GrowingText("a long string", count: 50_000) { "{\"A\":\"" + String(repeating: "a", count: $0) + "\"}" },
        GrowingText("a long name", count: 50_000) { "{\"" + String(repeating: "A", count: $0) + "\":1}" },
        GrowingText("a long number", count: 50_000) { "{\"A\":" + String(repeating: "1", count: $0) + "}" },
        GrowingText("escapes", count: 8000) { "{\"A\":\"" + String(repeating: "\\u0041", count: $0) + "\"}" },
        GrowingText("pairs of surrogates", count: 4000) {
            "{\"A\":\"" + String(repeating: "\\ud83d\\ude00", count: $0) + "\"}"
        },
        GrowingText("white space", count: 50_000) { "{" + String(repeating: "\r\n", count: $0) + "\"A\":1}" },
        GrowingText("open brackets", count: 50_000) { "{\"A\":" + String(repeating: "[", count: $0) },
        GrowingText("a string that is not closed", count: 50_000) { "{\"A\":\"" + String(repeating: "a", count: $0) },
    ]

    @Test(arguments: json)
    func aJSONTextCostsWhatItsLengthIs(_ text: GrowingText) {
        #expect(text.growth { _ = try? Parsed($0, .json) } < linearGrowth)
    }

    static let yaml: [GrowingText] = [
        GrowingText("names on one line", count: 2000) { "{" + names($0) { "S\($0): a, " } + "}" },
        GrowingText("names", count: 2000) { names($0) { "S\($0): a\n" } },
        GrowingText("names of a service", count: 2000) { "S:\n" + names($0) { "  S\($0): a # c\r\n" } },
        GrowingText("a folded text", count: 20_000) { "A: a\n" + String(repeating: " a\n", count: $0) },
        GrowingText("a folded quote", count: 20_000) { "A: \"a\n" + String(repeating: " a\n", count: $0) + " \"" },
        GrowingText("escapes", count: 10_000) { "A: \"" + String(repeating: "\\x41", count: $0) + "\"" },
        GrowingText("escaped ends of lines", count: 10_000) { "A: \"" + String(repeating: "\\\n  ", count: $0) + "\"" },
        GrowingText("open braces", count: 50_000) { "A: " + String(repeating: "{", count: $0) },
    ]

    @Test(arguments: yaml)
    func aYAMLDocumentCostsWhatItsLengthIs(_ text: GrowingText) {
        #expect(text.growth { _ = try? Parsed($0, .yaml) } < linearGrowth)
    }
}
