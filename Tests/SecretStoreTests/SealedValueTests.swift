// SPDX-License-Identifier: Apache-2.0

import SecretStore
import Testing

@Suite struct SealedValueTests {
    private let value = SealedValue(
        ciphertext: [1, 2, 3, 4],
        nonce: [UInt8](repeating: 5, count: 12),
        tag: [UInt8](repeating: 6, count: 16)
    )

    @Test func theTextIsTheDocumentedOne() {
        #expect(
            value.text
                == "ENC[AES256_GCM,data:AQIDBA==,iv:BQUFBQUFBQUFBQUF,tag:BgYGBgYGBgYGBgYGBgYGBg==]"
        )
    }

    @Test(arguments: [0, 1, 2, 3, 4, 1000])
    func anyLengthComesBack(_ count: Int) throws {
        let value = SealedValue(
            ciphertext: (0..<count).map { UInt8(truncatingIfNeeded: $0) },
            nonce: value.nonce,
            tag: value.tag
        )
        #expect(SealedValue(value.text) == value)
    }

    @Test func everyOtherTextOfTheSameLengthThatMeansTheSameBytesIsRefused() {
        let text = value.text
        for index in text.indices {
            for character in "AB=+/[],:e " where text[index] != character {
                var changed = text
                changed.replaceSubrange(index...index, with: [character])
                if let other = SealedValue(changed) { #expect(other != value, "\(changed)") }
            }
        }
    }

    @Test(arguments: [
        "", "plaintext", "ENC[", "ENC[]", "ENC[AES256_GCM,data:,iv:,tag:]",
        "ENC[AES256_GCM,data:AQIDBA,iv:BQUFBQUFBQUFBQUF,tag:BgYGBgYGBgYGBgYGBgYGBg==]",
        "ENC[AES256_GCM,data:AQIDBB==,iv:BQUFBQUFBQUFBQUF,tag:BgYGBgYGBgYGBgYGBgYGBg==]x",
        "ENC[AES256_GCM,data:AQIDBB==,iv:BQUFBQUFBQUFBQUF,tag:BgYGBgYGBgYGBgYGBgYGBg==]",
        "ENC[AES256_GCM,data:AQIDBA==,iv:BQUFBQUFBQUFBQ==,tag:BgYGBgYGBgYGBgYGBgYGBg==]",
        "ENC[AES256_GCM,data:AQIDBA==,iv:BQUFBQUFBQUFBQUF,tag:BgYGBgYGBgYGBgYGBgYGBgYG]",
        "ENC[AES256_GCM,data:AQIDBA==,iv:BQUFBQUFBQUFBQUF,tag:BgYGBgYGBgYGBgYGBgYGBg==,type:str]",
        "enc[AES256_GCM,data:AQIDBA==,iv:BQUFBQUFBQUFBQUF,tag:BgYGBgYGBgYGBgYGBgYGBg==]",
    ])
    func otherFormsAreRefused(_ text: String) {
        #expect(SealedValue(text) == nil)
    }
}
