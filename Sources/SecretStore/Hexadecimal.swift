// SPDX-License-Identifier: Apache-2.0

/// Lower-case hexadecimal, the only case that a manifest may hold.
///
/// For salts, codes and identifiers, never for keys.
package enum Hexadecimal {
    /// The digits of some bytes.
    package static func text(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef".unicodeScalars)
        var text = String.UnicodeScalarView()
        for byte in bytes {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return String(text)
    }

    /// The bytes of some digits, or nil where there is an odd number or anything else among them.
    package static func bytes(_ text: String) -> [UInt8]? {
        let characters = Array(text.utf8)
        guard characters.count.isMultiple(of: 2), characters.allSatisfy(isDigit) else { return nil }
        return stride(from: 0, to: characters.count, by: 2).map { index in
            value(characters[index]) << 4 | value(characters[index + 1])
        }
    }

    /// Whether a character is a digit.
    static func isDigit(_ character: UInt8) -> Bool {
        (0x30...0x39).contains(character) || (0x61...0x66).contains(character)
    }

    private static func value(_ digit: UInt8) -> UInt8 {
        digit <= 0x39 ? digit - 0x30 : digit - 0x57
    }
}
