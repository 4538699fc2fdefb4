// SPDX-License-Identifier: Apache-2.0

/// Content of a JSON string that was scanned, one byte at a time: the caller decides what memory it goes to.
package struct JSONString: Sendable {
    private var position: Int
    private let end: Int
    /// UTF-8 of an escape, the next byte lowest.
    private var rest: UInt32 = 0
    private var restCount = 0

    /// Starts at a string.
    ///
    /// - Parameter range: its bytes, quotes included.
    package init(_ range: Range<Int>) {
        position = range.lowerBound + 1
        end = range.upperBound - 1
    }

    /// Escape of a scalar below U+10000: `\u` and four digits.
    package static func escape(_ scalar: UInt32) -> String {
        let digits = String(scalar, radix: 16)
        return "\\u" + String(repeating: "0", count: 4 - digits.utf8.count) + digits
    }

    /// The next byte of the content as UTF-8.
    package mutating func next(in bytes: Span<UInt8>) -> UInt8? {
        if restCount > 0 {
            let byte = UInt8(truncatingIfNeeded: rest)
            rest >>= 8
            restCount -= 1
            return byte
        }
        guard position < end else { return nil }
        let byte = bytes[position]
        position += 1
        return byte == UInt8(ascii: "\\") ? escape(in: bytes) : byte
    }

    /// Compares the content with a text, byte for byte.
    package func equals(_ text: String, in bytes: Span<UInt8>) -> Bool {
        var copy = self
        for byte in text.utf8 where copy.next(in: bytes) != byte { return false }
        return copy.next(in: bytes) == nil
    }

    /// The content as text, in memory that is not wiped.
    package func text(in bytes: Span<UInt8>) -> String? {
        var copy = self
        var content: [UInt8] = []
        while let byte = copy.next(in: bytes) { content.append(byte) }
        guard let text = try? UTF8Span(validating: content.span) else { return nil }
        return String(copying: text)
    }

    /// The number that four hexadecimal digits stand for.
    static func codeUnit(at position: Int, in bytes: Span<UInt8>) -> UInt32? {
        var unit: UInt32 = 0
        for index in position..<(position + 4) {
            let digit: UInt8
            switch bytes[index] {
            case let byte where (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte): digit = byte - 48
            case let byte where (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte): digit = byte - 87
            case let byte where (UInt8(ascii: "A")...UInt8(ascii: "F")).contains(byte): digit = byte - 55
            default: return nil
            }
            unit = unit << 4 | UInt32(digit)
        }
        return unit
    }

    private mutating func escape(in bytes: Span<UInt8>) -> UInt8? {
        let byte = bytes[position]
        position += 1
        switch byte {
        case UInt8(ascii: "b"): return 0x08
        case UInt8(ascii: "f"): return 0x0c
        case UInt8(ascii: "n"): return 0x0a
        case UInt8(ascii: "r"): return 0x0d
        case UInt8(ascii: "t"): return 0x09
        case UInt8(ascii: "u"): return unicode(in: bytes)
        default: return byte
        }
    }

    private mutating func unicode(in bytes: Span<UInt8>) -> UInt8? {
        guard var code = Self.codeUnit(at: position, in: bytes) else { return nil }
        position += 4
        if 0xd800...0xdbff ~= code, let low = Self.codeUnit(at: position + 2, in: bytes) {
            position += 6
            code = 0x10000 + (code - 0xd800) << 10 + (low - 0xdc00)
        }
        spell(code)
        return next(in: bytes)
    }

    /// Sets the UTF-8 of a code point aside.
    private mutating func spell(_ code: UInt32) {
        switch code {
        case 0..<0x80:
            rest = code
            restCount = 1
        case 0x80..<0x800:
            rest = (0xc0 | code >> 6) | (0x80 | code & 0x3f) << 8
            restCount = 2
        case 0x800..<0x10000:
            rest = (0xe0 | code >> 12) | (0x80 | code >> 6 & 0x3f) << 8 | (0x80 | code & 0x3f) << 16
            restCount = 3
        default:
            let tail = (0x80 | code >> 6 & 0x3f) << 16 | (0x80 | code & 0x3f) << 24
            rest = (0xf0 | code >> 18) | (0x80 | code >> 12 & 0x3f) << 8 | tail
            restCount = 4
        }
    }
}
