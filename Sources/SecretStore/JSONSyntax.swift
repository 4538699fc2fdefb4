// SPDX-License-Identifier: Apache-2.0

/// Whether bytes are one JSON text (RFC 8259).
package enum JSONSyntax {
    /// The largest depth of nested arrays and objects.
    package static let maximumDepth = 512

    static func accepts(_ content: Span<UInt8>) -> Bool {
        guard (try? UTF8Span(validating: content)) != nil else { return false }
        var scanner = JSONScanner()
        guard scanner.value(content, depth: 0) else { return false }
        scanner.skipSpace(content)
        return scanner.position == content.count
    }
}

/// Steps over the parts of a JSON text (RFC 8259) without decoding any of it: parsers of libraries copy what they read into
/// memory that nobody wipes.
///
/// A step that answers false stops where the text is not JSON. Bytes of strings are taken for UTF-8, which is for the caller
/// to see.
package struct JSONScanner {
    /// The byte that is next.
    package var position = 0

    /// Makes a scanner at the start of a text.
    package init() {}

    /// The next byte, or nil at the end.
    package func peek(_ content: Span<UInt8>) -> UInt8? {
        position < content.count ? content[position] : nil
    }

    /// Steps over a character if it is next.
    package mutating func take(_ character: Unicode.Scalar, _ content: Span<UInt8>) -> Bool {
        guard peek(content) == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    /// Steps over white space.
    package mutating func skipSpace(_ content: Span<UInt8>) {
        while let character = peek(content), [0x20, 0x09, 0x0a, 0x0d].contains(character) { position += 1 }
    }

    /// Steps over a value.
    package mutating func value(_ content: Span<UInt8>, depth: Int = 0) -> Bool {
        guard depth <= JSONSyntax.maximumDepth else { return false }
        skipSpace(content)
        switch peek(content) {
        case UInt8(ascii: "{"): return members(content, depth: depth)
        case UInt8(ascii: "["): return elements(content, depth: depth)
        case UInt8(ascii: "\""): return string(content)
        case UInt8(ascii: "t"): return word("true", content)
        case UInt8(ascii: "f"): return word("false", content)
        case UInt8(ascii: "n"): return word("null", content)
        default: return number(content)
        }
    }

    private mutating func members(_ content: Span<UInt8>, depth: Int) -> Bool {
        position += 1
        skipSpace(content)
        if take("}", content) { return true }
        repeat {
            skipSpace(content)
            guard string(content) else { return false }
            skipSpace(content)
            guard take(":", content), value(content, depth: depth + 1) else { return false }
            skipSpace(content)
        } while take(",", content)
        return take("}", content)
    }

    private mutating func elements(_ content: Span<UInt8>, depth: Int) -> Bool {
        position += 1
        skipSpace(content)
        if take("]", content) { return true }
        repeat {
            guard value(content, depth: depth + 1) else { return false }
            skipSpace(content)
        } while take(",", content)
        return take("]", content)
    }

    /// Steps over a string with its quotes.
    package mutating func string(_ content: Span<UInt8>) -> Bool {
        guard take("\"", content) else { return false }
        while let character = peek(content) {
            position += 1
            switch character {
            case UInt8(ascii: "\""): return true
            case 0..<0x20: return false
            case UInt8(ascii: "\\"):
                guard escape(content) else { return false }
            default: continue
            }
        }
        return false
    }

    private mutating func escape(_ content: Span<UInt8>) -> Bool {
        guard let character = peek(content) else { return false }
        position += 1
        switch Unicode.Scalar(character) {
        case "\"", "\\", "/", "b", "f", "n", "r", "t":
            return true
        case "u":
            for _ in 0..<4 {
                switch peek(content) ?? 0 {
                case 0x30...0x39, 0x41...0x46, 0x61...0x66: position += 1
                default: return false
                }
            }
            return true
        default:
            return false
        }
    }

    private mutating func word(_ word: String, _ content: Span<UInt8>) -> Bool {
        guard content.extracting(position..<content.count).starts(with: word) else { return false }
        position += word.utf8.count
        return true
    }

    private mutating func number(_ content: Span<UInt8>) -> Bool {
        _ = take("-", content)
        if !take("0", content) {
            guard digits(content) else { return false }
        }
        if take(".", content), !digits(content) { return false }
        if take("e", content) || take("E", content) {
            if !take("+", content) { _ = take("-", content) }
            guard digits(content) else { return false }
        }
        return true
    }

    private mutating func digits(_ content: Span<UInt8>) -> Bool {
        let start = position
        while let character = peek(content), (0x30...0x39).contains(character) { position += 1 }
        return position > start
    }
}
