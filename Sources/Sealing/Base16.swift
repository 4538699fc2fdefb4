// SPDX-License-Identifier: Apache-2.0

/// Hexadecimal digits (base16, RFC 4648 section 8), read without branches on their value: keys are written in them.
package enum Base16 {
    /// Lower-case digits of bytes that are no key.
    package static func text(_ bytes: [UInt8]) -> String {
        // NOT SECRET: digests, tags, identities of stores.
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    /// Bytes of lower-case digits, the only case in the formats of credfs; nil for any other text.
    package static func bytes(_ text: String) -> [UInt8]? {
        guard text.utf8.allSatisfy(isDigit) else { return nil }
        var bytes = [UInt8](repeating: 0, count: text.utf8.count / 2)
        var span = bytes.mutableSpan
        return decode(text.utf8.span, into: &span) ? bytes : nil
    }

    /// Detects a lower-case digit.
    package static func isDigit(_ character: UInt8) -> Bool {
        (0x30...0x39).contains(character) || (0x61...0x66).contains(character)
    }

    /// Reads two digits of either case for every byte of `bytes`.
    ///
    /// - Returns: whether all of `digits`, twice as many as there are bytes, are digits.
    package static func decode(_ digits: Span<UInt8>, into bytes: inout MutableSpan<UInt8>) -> Bool {
        guard digits.count == 2 * bytes.count else { return false }
        var invalid: UInt32 = 0
        for index in 0..<bytes.count {
            let high = value(digits[2 * index])
            let low = value(digits[2 * index + 1])
            invalid |= (high | low) & 0x100
            bytes[index] = UInt8(truncatingIfNeeded: high << 4 | (low & 0xf))
        }
        return invalid == 0
    }

    /// The value of a digit, or a value with bit 8 set.
    private static func value(_ digit: UInt8) -> UInt32 {
        let code = UInt32(digit)
        // All ones where the code lies in the range.
        let decimal = mask(code, from: 48, through: 57)
        let upper = mask(code, from: 65, through: 70)
        let lower = mask(code, from: 97, through: 102)
        let number = (decimal & (code &- 48)) | (upper & (code &- 55)) | (lower & (code &- 87))
        return number | (~(decimal | upper | lower) & 0x100)
    }

    private static func mask(_ value: UInt32, from low: UInt32, through high: UInt32) -> UInt32 {
        (((value &- low) | (high &- value)) >> 31) &- 1
    }
}
