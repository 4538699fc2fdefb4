// SPDX-License-Identifier: Apache-2.0

/// Scanner of JSON texts (RFC 8259) that decodes nothing: parsers of libraries copy what they read into
/// memory that nobody wipes.
///
/// Nothing beyond the grammar is taken: no comments, no trailing commas, no byte order mark, no lone surrogates. A step that
/// answers false stops where the text is not JSON. Bytes of strings are taken for UTF-8, which is for the caller to see. Every
/// byte is looked at once.
package struct JSONScanner: Sendable {
    /// The largest depth of nested arrays and objects in a value of a store.
    package static let usualDepth = 512

    /// The byte that is next.
    package var position = 0
    /// Each level is a level of the stack.
    private let maximumDepth: Int

    /// Makes a scanner at the start of a text.
    ///
    /// - Parameter maximumDepth: the largest depth of nested arrays and objects.
    package init(maximumDepth: Int = usualDepth) {
        self.maximumDepth = maximumDepth
    }

    /// Validates one JSON text in UTF-8.
    package static func accepts(_ content: Span<UInt8>, maximumDepth: Int = usualDepth) -> Bool {
        guard (try? UTF8Span(validating: content)) != nil else { return false }
        var scanner = JSONScanner(maximumDepth: maximumDepth)
        guard scanner.value(content) else { return false }
        scanner.skipSpace(content)
        return scanner.position == content.count
    }

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
        while let byte = peek(content), byte == 0x20 || byte == 0x09 || byte == 0x0a || byte == 0x0d { position += 1 }
    }

    /// Steps over a value.
    package mutating func value(_ content: Span<UInt8>, depth: Int = 0) -> Bool {
        guard depth <= maximumDepth else { return false }
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
            guard let unit = codeUnit(content), !(0xdc00...0xdfff).contains(unit) else { return false }
            guard (0xd800...0xdbff).contains(unit) else { return true }
            guard take("\\", content), take("u", content), let low = codeUnit(content) else { return false }
            return (0xdc00...0xdfff).contains(low)
        default:
            return false
        }
    }

    private mutating func codeUnit(_ content: Span<UInt8>) -> UInt32? {
        guard content.count - position >= 4, let unit = JSONString.codeUnit(at: position, in: content) else {
            return nil
        }
        position += 4
        return unit
    }

    private mutating func word(_ word: String, _ content: Span<UInt8>) -> Bool {
        for byte in word.utf8 {
            guard peek(content) == byte else { return false }
            position += 1
        }
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
