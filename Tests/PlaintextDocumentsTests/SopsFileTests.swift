// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import PlaintextDocuments
import Sealing
import SecretStore
import Testing

/// Files of sops without sops: what it never writes.
///
/// `EncryptedSourceTests` has the real ones.
@Suite struct SopsFileTests {
    /// Spellings of Go's `strconv.FormatFloat(x, 'f', -1, 64)`.
    @Test(arguments: [
        ("0", "0"), ("7", "7"), ("-7", "-7"), ("+7", "7"), ("1.0", "1"), ("1.50", "1.5"), ("-0.0", "-0"),
        ("1e6", "1000000"),
        ("1e+06", "1000000"), ("1E-7", "0.0000001"), ("123456.789e3", "123456789"), ("1.5e-10", "0.00000000015"),
        (".5", "0.5"),
        ("5.", "5"), ("1e21", "1000000000000000000000"), ("9223372036854775807", "9223372036854775807"),
        ("12345678901234567890", "12345678901234567000"), ("0.1", "0.1"), ("100", "100"),
        ("1.7976931348623157e2", "179.76931348623157"),
    ]) func numbersAreSpelledAsSopsHashesThem(_ text: String, _ spelling: String) {
        #expect(SopsNumber.text(text) == spelling)
    }

    @Test(arguments: [
        "", "-", ".", "e5", "1e", "1e+", "0x10", "1_000", "1 ", " 1", "1e999", "nan", "inf", "1.2.3", "--1", "1a",
    ])
    func whatIsNoNumberIsText(_ text: String) {
        #expect(SopsNumber.text(text) == nil)
    }

    @Test(arguments: [
        "", "ENC[]", "ENC[AES256_GCM,]", "ENC[AES256_GCM,data:,iv:,tag:,type:str]",
        "ENC[AES256_GCM,data:AA==,iv:AA==,tag:AA==,type:str]",
        "ENC[AES256_GCM,data:AA==]", "ENC[AES256_GCM,data:AA==,tag:AA==,iv:AA==,type:str]", "ENC[AES256_GCM,type:str",
    ]) func whatSopsDoesNotWriteIsNoValue(_ text: String) {
        #expect(SopsValue(text.utf8.span) == nil)
        let iv = String(repeating: "A", count: 43) + "="
        let tag = String(repeating: "A", count: 22) + "=="
        let good = "ENC[AES256_GCM,data:AA==,iv:\(iv),tag:\(tag),type:"
        #expect(SopsValue("\(good)str]".utf8.span) != nil)
        for kind in ["comment", "", "strx", "st"] { #expect(SopsValue("\(good)\(kind)]".utf8.span) == nil) }
    }

    private static let armor = AgeArmor.encode(Array("age-encryption.org/v1\n-> X25519 x\n".utf8).span)

    /// A file in each form with made-up keys.
    private static func document(_ form: SopsForm) -> String {
        let iv = String(repeating: "A", count: 43) + "="
        let tag = String(repeating: "A", count: 22) + "=="
        let value = "ENC[AES256_GCM,data:AA==,iv:\(iv),tag:\(tag),type:str]"
        let armor = String(decoding: armor, as: UTF8.self).split(separator: "\n")
        switch form {
        case .yaml:
            let lines = armor.map { "            \($0)\n" }.joined()
            return """
                a: \(value)
                list: [1, 2.5, null, "x"]
                b_unencrypted: true
                sops:
                    kms: []
                    age:
                        - recipient: age1x
                          enc: |
                \(lines)    lastmodified: "2026-01-01T00:00:00Z"
                    mac: \(value)

                """
        case .json:
            return """
                {"a":"\(value)","list":[1,2.5,null,"\\u00e9"],"sops":{"age":[{"recipient":"age1x","enc":"\
                \(armor.joined(separator: "\\n"))"}],"lastmodified":"2026","mac":"\(value)"}}
                """
        case .dotenv:
            return """
                A=\(value)
                # comment
                B_unencrypted=b\\nb
                sops_age__list_0__map_enc=\(armor.joined(separator: "\\n"))
                sops_age__list_0__map_recipient=age1x
                sops_lastmodified=2026
                sops_mac=\(value)
                sops_mac_only_encrypted=true

                """
        }
    }

    private func read(_ text: [UInt8]) throws {
        let key = try Key256(copying: [UInt8](repeating: 7, count: Key256.byteCount).span)
        var failure: StoreError?
        do throws(StoreError) {
            let file = try SopsFile(text.span)
            try file.decrypt(text.span, key, as: SecretReference("N"), mustBeBinary: false, into: ImportedValues())
        } catch { failure = error }
        let code = try #require(failure).code
        #expect([.invalid, .authentication].contains(code), "\(String(decoding: text, as: UTF8.self))")
    }

    @Test(arguments: SopsForm.allCases) func theMetadataIsFoundInEveryForm(_ form: SopsForm) throws {
        let text = Self.document(form)
        let file = try SopsFile(text.utf8.span)
        #expect(file.metadata.ageKeys.map(\.recipient) == ["age1x"])
        let inner = try AgeArmor.decode(Self.armor.span)
        #expect(file.metadata.ageKeys.map(\.file) == [inner])
        try read(Array(text.utf8))
    }

    @Test(arguments: SopsForm.allCases) func everyMutationIsReadOrRefused(_ form: SopsForm) throws {
        let document = Array(Self.document(form).utf8)
        var random = SystemRandomNumberGenerator()
        for _ in 0..<1500 {
            var changed = document
            for _ in 0..<Int.random(in: 1...3, using: &random) where !changed.isEmpty {
                let index = Int.random(in: 0..<changed.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: changed[index] = UInt8.random(in: 0...255, using: &random)
                case 1: changed.removeSubrange(index..<min(changed.count, index + 9))
                case 2: changed.insert(document[Int.random(in: 0..<document.count, using: &random)], at: index)
                default: changed.remove(at: index)
                }
            }
            try read(changed)
        }
        for count in 0..<document.count { try read(Array(document.prefix(count))) }
    }

    @Test func deepNestingIsRefusedAndNotFollowed() throws {
        let deep = String(repeating: "{\"a\":", count: 100_000)
        try read(Array(deep.utf8))
        try read(Array((String(repeating: "[", count: 100_000)).utf8))
        try read(Array("a: \(String(repeating: "[", count: 100_000))\n".utf8))
    }
}
