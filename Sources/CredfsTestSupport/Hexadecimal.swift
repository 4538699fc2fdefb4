// SPDX-License-Identifier: Apache-2.0

/// Bytes as published vectors write them.
package enum Hexadecimal {
    /// A text that is not made of pairs of hexadecimal digits.
    package struct Invalid: Error {
        package let text: String
    }

    /// Reads pairs of digits; white space between them is ignored.
    package static func decode(_ text: String) throws(Invalid) -> [UInt8] {
        var bytes: [UInt8] = []
        var high: UInt8?
        for character in text where !character.isWhitespace {
            guard character.isASCII, let digit = character.hexDigitValue else { throw Invalid(text: text) }
            if let first = high {
                bytes.append(first << 4 | UInt8(digit))
                high = nil
            } else {
                high = UInt8(digit)
            }
        }
        guard high == nil else { throw Invalid(text: text) }
        return bytes
    }

    /// Writes bytes as lower-case digits.
    package static func encode(_ bytes: some Sequence<UInt8>) -> String {
        bytes.map { byte in
            let digits = String(byte, radix: 16)
            return digits.count == 1 ? "0" + digits : digits
        }.joined()
    }
}
