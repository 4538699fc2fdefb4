// SPDX-License-Identifier: Apache-2.0

/// Lower-case hexadecimal, for codes that are published.
enum Hexadecimal {
    private static let digits = Array("0123456789abcdef".utf8)

    /// The digits of some bytes.
    static func text(_ bytes: [UInt8]) -> String {
        var text = String.UnicodeScalarView()
        for byte in bytes {
            text.append(Unicode.Scalar(digits[Int(byte >> 4)]))
            text.append(Unicode.Scalar(digits[Int(byte & 15)]))
        }
        return String(text)
    }

    /// The bytes of some digits, or nil where there is an odd number or anything else among them.
    static func bytes(_ text: String) -> [UInt8]? {
        var bytes: [UInt8] = []
        var high: UInt8?
        for character in text.utf8 {
            guard let value = digits.firstIndex(of: character) else { return nil }
            if let half = high.take() { bytes.append(half << 4 | UInt8(value)) } else { high = UInt8(value) }
        }
        return high == nil ? bytes : nil
    }
}
