// SPDX-License-Identifier: Apache-2.0

/// Bech32 (BIP 173) of 32 bytes without its bound of 90 characters: the text of age recipients and identities.
///
/// Characters are mapped without branches on their value, since identities are read with it.
enum Bech32 {
    /// The number of characters behind the prefix and its `1`.
    static let dataCount = 52
    static let checksumCount = 6
    static let byteCount = 32

    private static let alphabet = Array("qpzry9x8gf2tvdw0s3jn54khce6mua7l".utf8)

    /// The text of some bytes, in lower case; for what may be published.
    ///
    /// - Parameters:
    ///   - bytes: 32 bytes.
    ///   - prefix: the part before the `1`, in lower case.
    /// - Returns: the text.
    static func text(_ bytes: [UInt8], prefix: String) -> String {
        var checksum = Checksum(prefix: prefix)
        var text = Array(prefix.utf8) + [UInt8(ascii: "1")]
        var group: UInt32 = 0
        var bits = 0
        func append(_ value: UInt32) {
            checksum.add(value)
            text.append(alphabet[Int(value)])
        }
        for byte in bytes {
            group = group << 8 | UInt32(byte)
            bits += 8
            while bits >= 5 {
                bits -= 5
                append(group >> UInt32(bits) & 31)
            }
        }
        if bits > 0 { append(group << UInt32(5 - bits) & 31) }
        let remainder = checksum.finish()
        for index in 0..<checksumCount { text.append(alphabet[Int(remainder >> UInt32(25 - 5 * index) & 31)]) }
        var result = ""
        for character in text { result.unicodeScalars.append(Unicode.Scalar(character)) }
        return result
    }

    /// Reads a text of 32 bytes.
    ///
    /// - Parameters:
    ///   - text: the whole text.
    ///   - prefix: the part that must stand before the `1`, in the case of the whole text.
    ///   - bytes: 32 bytes; filled, with nothing of use if the text is not of this form.
    /// - Returns: whether it is.
    static func decode(_ text: Span<UInt8>, prefix: String, into bytes: inout MutableSpan<UInt8>) -> Bool {
        precondition(bytes.count == byteCount, "the size is the caller's")
        let start = prefix.utf8.count + 1
        guard text.count == start + dataCount + checksumCount else { return false }
        for (index, character) in prefix.utf8.enumerated() where text[index] != character { return false }
        guard text[start - 1] == UInt8(ascii: "1") else { return false }
        let isUpper = prefix.utf8.contains { (0x41...0x5a).contains($0) }
        var checksum = Checksum(prefix: prefix)
        var invalid: UInt32 = 0
        var group: UInt32 = 0
        var bits = 0
        var position = 0
        for index in start..<text.count {
            let value = value(text[index], isUpper: isUpper)
            invalid |= value >> 8
            checksum.add(value & 31)
            guard index < start + dataCount else { continue }
            group = group << 5 | value & 31
            bits += 5
            if bits >= 8 {
                bits -= 8
                bytes[position] = UInt8(truncatingIfNeeded: group >> UInt32(bits))
                position += 1
            }
        }
        // Bits behind the last byte must be zero, else two texts would stand for the same bytes.
        invalid |= group & ((1 << UInt32(bits)) - 1)
        invalid |= checksum.value ^ 1
        return invalid == 0
    }

    /// The five bits of a character, or a value with bit 8 set.
    private static func value(_ character: UInt8, isUpper: Bool) -> UInt32 {
        var result: UInt32 = 0
        var found: UInt32 = 0
        for (index, known) in alphabet.enumerated() {
            let isLetter = known >= 0x61
            let difference = UInt32(character ^ (isUpper && isLetter ? known ^ 0x20 : known))
            // All ones where the difference is zero.
            let mask = (difference &- 1) >> 31 &* UInt32.max
            result |= mask & UInt32(index)
            found |= mask
        }
        return result | (~found & 0x100)
    }

    private struct Checksum {
        private(set) var value: UInt32 = 1

        init(prefix: String) {
            for character in prefix.utf8 { add(UInt32(lower(character)) >> 5) }
            add(0)
            for character in prefix.utf8 { add(UInt32(lower(character)) & 31) }
        }

        mutating func add(_ group: UInt32) {
            let top = value >> 25
            value = (value & 0x1ff_ffff) << 5 ^ group
            let generators: InlineArray<5, UInt32> = [
                0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3,
            ]
            for index in 0..<5 { value ^= (0 &- (top >> UInt32(index) & 1)) & generators[index] }
        }

        /// The six groups of the checksum.
        mutating func finish() -> UInt32 {
            for _ in 0..<checksumCount { add(0) }
            return value ^ 1
        }

        private func lower(_ character: UInt8) -> UInt8 {
            (0x41...0x5a).contains(character) ? character | 0x20 : character
        }
    }
}
