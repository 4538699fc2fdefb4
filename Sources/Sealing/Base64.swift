// SPDX-License-Identifier: Apache-2.0

/// Base64 (RFC 4648) with one spelling for every byte sequence: what is not canonical is refused.
///
/// Characters are mapped without tables or branches on their value, since key files are read with it.
package enum Base64 {
    /// The alphabets of RFC 4648, with and without padding.
    package enum Alphabet: Sendable {
        /// Section 4: `+` and `/`, padded with `=`.
        case standard
        /// Section 4, not padded: what age files have.
        case standardUnpadded
        /// Section 5: `-` and `_`, not padded.
        case urlSafe
    }

    /// The number of characters that some bytes take.
    package static func encodedCount(_ byteCount: Int, _ alphabet: Alphabet) -> Int {
        switch alphabet {
        case .standard: (byteCount + 2) / 3 * 4
        case .standardUnpadded, .urlSafe: (byteCount * 4 + 2) / 3
        }
    }

    /// The number of bytes that a text stands for, or nil where no canonical text has this form.
    package static func decodedCount(_ text: Span<UInt8>, _ alphabet: Alphabet) -> Int? {
        var count = text.count
        if alphabet == .standard {
            guard count % 4 == 0 else { return nil }
            var padding = 0
            while padding < 2, count > 0, text[count - 1] == UInt8(ascii: "=") {
                padding += 1
                count -= 1
            }
        }
        return count % 4 == 1 ? nil : count / 4 * 3 + max(0, count % 4 - 1)
    }

    /// Writes the text of some bytes.
    ///
    /// - Parameters:
    ///   - bytes: what to write.
    ///   - alphabet: the characters to use.
    ///   - text: filled; must have `encodedCount` characters.
    package static func encode(_ bytes: Span<UInt8>, _ alphabet: Alphabet, into text: inout MutableSpan<UInt8>) {
        precondition(text.count == encodedCount(bytes.count, alphabet), "the size is the caller's")
        var position = 0
        var index = 0
        while index < bytes.count {
            let available = min(3, bytes.count - index)
            var group = UInt32(bytes[index]) << 16
            if available > 1 { group |= UInt32(bytes[index + 1]) << 8 }
            if available > 2 { group |= UInt32(bytes[index + 2]) }
            for part in 0..<4 {
                if part <= available {
                    text[position] = character(group >> UInt32(18 - 6 * part) & 63, alphabet)
                } else if alphabet == .standard {
                    text[position] = UInt8(ascii: "=")
                } else {
                    break
                }
                position += 1
            }
            index += available
        }
    }

    /// Reads a canonical text.
    ///
    /// - Parameters:
    ///   - text: what to read.
    ///   - alphabet: the characters it may have.
    ///   - bytes: filled; must have `decodedCount` bytes.
    /// - Returns: whether the text is canonical; if not, `bytes` holds nothing of use.
    package static func decode(
        _ text: Span<UInt8>,
        _ alphabet: Alphabet,
        into bytes: inout MutableSpan<UInt8>
    ) -> Bool {
        guard decodedCount(text, alphabet) == bytes.count else { return false }
        let characters = encodedCount(bytes.count, .urlSafe)
        var invalid: UInt32 = 0
        var group: UInt32 = 0
        var bits = 0
        var position = 0
        for index in 0..<characters {
            let value = value(text[index], alphabet)
            invalid |= value >> 8
            group = group << 6 | (value & 63)
            bits += 6
            if bits >= 8 {
                bits -= 8
                bytes[position] = UInt8(truncatingIfNeeded: group >> UInt32(bits))
                position += 1
            }
        }
        // Bits behind the last byte must be zero, else two texts would stand for the same bytes.
        invalid |= group & ((1 << UInt32(bits)) - 1)
        return invalid == 0
    }

    /// The text of bytes that may be published.
    package static func text(_ bytes: [UInt8], _ alphabet: Alphabet = .standard) -> String {
        let count = encodedCount(bytes.count, alphabet)
        return unsafe String(unsafeUninitializedCapacity: count) { buffer in
            var text = unsafe buffer.mutableSpan
            encode(bytes.span, alphabet, into: &text)
            return count
        }
    }

    /// The bytes of a canonical text that is no secret; nil for any other.
    package static func bytes(_ text: Span<UInt8>, _ alphabet: Alphabet = .standard) -> [UInt8]? {
        guard let count = decodedCount(text, alphabet) else { return nil }
        var bytes = [UInt8](repeating: 0, count: count)
        var span = bytes.mutableSpan
        return decode(text, alphabet, into: &span) ? bytes : nil
    }

    package static func bytes(_ text: String, _ alphabet: Alphabet = .standard) -> [UInt8]? {
        bytes(text.utf8.span, alphabet)
    }

    /// All ones where low <= value <= high, for values below 256.
    private static func mask(_ value: UInt32, from low: UInt32, through high: UInt32) -> UInt32 {
        let below = (value &- low) >> 31
        let above = (high &- value) >> 31
        return (below | above) &- 1
    }

    private static func character(_ value: UInt32, _ alphabet: Alphabet) -> UInt8 {
        let (last, first): (UInt8, UInt8) =
            alphabet == .urlSafe
            ? (UInt8(ascii: "_"), UInt8(ascii: "-")) : (UInt8(ascii: "/"), UInt8(ascii: "+"))
        var result = mask(value, from: 0, through: 25) & (value &+ 65)
        result |= mask(value, from: 26, through: 51) & (value &+ 71)
        result |= mask(value, from: 52, through: 61) & (value &- 4)
        result |= mask(value, from: 62, through: 62) & UInt32(first)
        result |= mask(value, from: 63, through: 63) & UInt32(last)
        return UInt8(truncatingIfNeeded: result)
    }

    /// The six bits of a character, or a value with bit 8 set.
    private static func value(_ character: UInt8, _ alphabet: Alphabet) -> UInt32 {
        let (last, first): (UInt8, UInt8) =
            alphabet == .urlSafe
            ? (UInt8(ascii: "_"), UInt8(ascii: "-")) : (UInt8(ascii: "/"), UInt8(ascii: "+"))
        let code = UInt32(character)
        let upper = mask(code, from: 65, through: 90)
        let lower = mask(code, from: 97, through: 122)
        let digit = mask(code, from: 48, through: 57)
        let plus = mask(code, from: UInt32(first), through: UInt32(first))
        let slash = mask(code, from: UInt32(last), through: UInt32(last))
        let known = upper | lower | digit | plus | slash
        let result =
            (upper & (code &- 65)) | (lower & (code &- 71)) | (digit & (code &+ 4)) | (plus & 62) | (slash & 63)
        return result | (~known & 0x100)
    }
}
