// SPDX-License-Identifier: Apache-2.0

internal import Sealing

/// A sealed value: `ENC[AES256_GCM,data:...,iv:...,tag:...]`, each part in canonical Base64.
package struct SealedValue: Sendable, Equatable {
    /// The ciphertext, as long as the plaintext.
    package let ciphertext: [UInt8]
    package let nonce: [UInt8]
    package let tag: [UInt8]

    /// Beginning of every text that is meant as a sealed value, and of no other.
    package static let opening = "ENC["

    private static let prefix = "ENC[AES256_GCM,data:"
    private static let nonceMark = ",iv:"
    private static let tagMark = ",tag:"
    // Base64 of 12 bytes needs no padding, of 16 bytes two characters.
    private static let nonceCharacters = 16
    private static let tagCharacters = 24
    private static let tailCount = 4 + nonceCharacters + 5 + tagCharacters + 1

    package init(ciphertext: [UInt8], nonce: [UInt8], tag: [UInt8]) {
        self.ciphertext = ciphertext
        self.nonce = nonce
        self.tag = tag
    }

    /// Reads the text.
    ///
    /// - Returns: nil if it is not of the form, or not canonical.
    package init?(_ text: Span<UInt8>) {
        guard let parts = Parts(text),
            let ciphertext = Base64.bytes(text.extracting(parts.data)),
            let nonce = Base64.bytes(text.extracting(parts.nonce)), nonce.count == AES256GCM.nonceByteCount,
            let tag = Base64.bytes(text.extracting(parts.tag)), tag.count == AES256GCM.tagByteCount
        else { return nil }
        self.init(ciphertext: ciphertext, nonce: nonce, tag: tag)
    }

    /// Reads the text, as above.
    package init?(_ text: String) {
        self.init(text.utf8.span)
    }

    package var text: String {
        Self.prefix + Base64.text(ciphertext) + Self.nonceMark + Base64.text(nonce) + Self.tagMark + Base64.text(tag)
            + "]"
    }

    private struct Parts {
        let data: Range<Int>
        let nonce: Range<Int>
        let tag: Range<Int>

        /// Finds the parts from the lengths of the fixed ones.
        init?(_ text: Span<UInt8>) {
            let start = prefix.utf8.count
            let end = text.count - tailCount
            guard end >= start else { return nil }
            let nonceStart = end + nonceMark.utf8.count
            let tagStart = nonceStart + nonceCharacters + tagMark.utf8.count
            guard Self.matches(prefix, text, at: 0), Self.matches(nonceMark, text, at: end),
                Self.matches(tagMark, text, at: nonceStart + nonceCharacters),
                text[text.count - 1] == UInt8(ascii: "]")
            else { return nil }
            data = start..<end
            nonce = nonceStart..<nonceStart + nonceCharacters
            tag = tagStart..<tagStart + tagCharacters
        }

        private static func matches(_ mark: String, _ text: Span<UInt8>, at start: Int) -> Bool {
            var index = start
            for character in mark.utf8 {
                guard text[index] == character else { return false }
                index += 1
            }
            return true
        }
    }
}
