// SPDX-License-Identifier: Apache-2.0

/// Hexadecimal digits, read without tables or branches on their value: keys are written in them.
enum HexDigits {
    /// Reads two digits for every byte of `bytes`.
    ///
    /// - Returns: whether all of `digits`, twice as many as there are bytes, are digits.
    static func decode(_ digits: Span<UInt8>, into bytes: inout MutableSpan<UInt8>) -> Bool {
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
