// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Sealing
import Testing

/// No shape of a file that others made costs more than its length.
@Suite struct LinearTimeTests {
    private static func age(_ stanzas: String) -> String { "age-encryption.org/v1\n" + stanzas + "--- " }

    static let headers: [GrowingText] = [
        GrowingText("stanzas", count: 3000) { age(String(repeating: "-> a b\n\n", count: $0)) },
        GrowingText("arguments", count: 10_000) { age("->" + String(repeating: " a", count: $0) + "\n\n") },
        GrowingText("spaces", count: 20_000) { age("-> " + String(repeating: " ", count: $0) + "\n\n") },
        GrowingText("a body", count: 500) {
            age("-> a\n" + String(repeating: String(repeating: "A", count: 64) + "\n", count: $0) + "\n")
        },
        GrowingText("one line", count: 50_000) { String(repeating: "a", count: $0) },
        GrowingText("a long code", count: 20_000) { age("-> a\n\n") + String(repeating: "A", count: $0) + "\n" },
    ]

    @Test(arguments: headers)
    func anAgeHeaderCostsWhatItsLengthIs(_ text: GrowingText) {
        #expect(text.growth { _ = try? AgeHeader($0.span) } < linearGrowth)
    }

    static let armors: [GrowingText] = [
        GrowingText("lines", count: 500) {
            "-----BEGIN AGE ENCRYPTED FILE-----\r\n"
                + String(repeating: String(repeating: "A", count: 64) + "\r\n", count: $0)
                + "AAAA\r\n-----END AGE ENCRYPTED FILE-----\r\n"
        },
        GrowingText("empty lines", count: 20_000) {
            "-----BEGIN AGE ENCRYPTED FILE-----" + String(repeating: "\n", count: $0)
                + "-----END AGE ENCRYPTED FILE-----"
        },
        GrowingText("white space", count: 50_000) { String(repeating: " ", count: $0) },
        GrowingText("one line", count: 50_000) { String(repeating: "a", count: $0) },
    ]

    @Test(arguments: armors)
    func ageArmorCostsWhatItsLengthIs(_ text: GrowingText) {
        #expect(text.growth { _ = try? AgeArmor.decode($0.span) } < linearGrowth)
    }

    @Test(arguments: [
        GrowingText("a recipient", count: 20_000) { "age1" + String(repeating: "q", count: $0) },
        GrowingText("hyphens", count: 20_000) { String(repeating: "1", count: $0) },
    ])
    func aRecipientCostsWhatItsLengthIs(_ text: GrowingText) {
        #expect(text.growth { _ = try? AgeRecipient(String(decoding: $0, as: UTF8.self)) } < linearGrowth)
    }

    @Test(arguments: [GrowingText("base64", count: 10_000) { String(repeating: "AAAA", count: $0) }])
    func base64CostsWhatItsLengthIs(_ text: GrowingText) {
        #expect(text.growth { _ = Base64.bytes(String(decoding: $0, as: UTF8.self)) } < linearGrowth)
    }
}
