// SPDX-License-Identifier: Apache-2.0

/// JSON as the log has it (RFC 8259): written by hand, so that appending an entry costs microseconds.
package struct JSONText {
    private(set) var bytes: [UInt8] = []
    private var needsComma = false

    mutating func begin() {
        bytes.append(UInt8(ascii: "{"))
        needsComma = false
    }

    mutating func end() {
        bytes.append(UInt8(ascii: "}"))
        needsComma = true
    }

    mutating func key(_ key: String) {
        if needsComma { bytes.append(UInt8(ascii: ",")) }
        string(key)
        bytes.append(UInt8(ascii: ":"))
        needsComma = true
    }

    mutating func member(_ key: String, _ value: String?) {
        self.key(key)
        if let value { string(value) } else { bytes.append(contentsOf: "null".utf8) }
    }

    mutating func member(_ key: String, number: (some FixedWidthInteger)?) {
        self.key(key)
        bytes.append(contentsOf: (number.map { String($0) } ?? "null").utf8)
    }

    /// The most bytes that a text takes in a list.
    static func largestByteCount(of text: String) -> Int {
        let isPlain = text.utf8.allSatisfy { (0x20..<0x7f).contains($0) && ![0x22, 0x5c].contains($0) }
        return (isPlain ? 1 : 6) * text.utf8.count + 3
    }

    /// Texts beyond what a list may take are left out.
    mutating func member(_ key: String, list: [String]) {
        self.key(key)
        bytes.append(UInt8(ascii: "["))
        needsComma = false
        let limit = bytes.count + AuditLine.maximumListByteCount
        for text in list {
            if bytes.count + Self.largestByteCount(of: text) > limit { break }
            if needsComma { bytes.append(UInt8(ascii: ",")) }
            string(text)
            needsComma = true
        }
        bytes.append(UInt8(ascii: "]"))
        needsComma = true
    }

    private static func escaped(_ scalar: Unicode.Scalar) -> [UInt8] {
        switch scalar {
        case "\"", "\\":
            return [UInt8(ascii: "\\"), UInt8(ascii: scalar)]
        case "\u{00}"..<"\u{20}", "\u{7f}"..<"\u{a0}", "\u{2028}", "\u{2029}":
            let digits = String(scalar.value, radix: 16)
            return Array("\\u\(String(repeating: "0", count: 4 - digits.utf8.count))\(digits)".utf8)
        default:
            return UTF8.encode(scalar).map(Array.init) ?? []
        }
    }

    /// What is too long is cut, so that no path can make a line that is none.
    private mutating func string(_ text: String) {
        bytes.append(UInt8(ascii: "\""))
        var count = 0
        for scalar in text.unicodeScalars {
            let characters = Self.escaped(scalar)
            count += characters.count
            if count > AuditLine.maximumTextByteCount { break }
            bytes += characters
        }
        bytes.append(UInt8(ascii: "\""))
    }
}

// Reading.
extension JSONText {
    package indirect enum Value: Equatable {
        case null
        case flag(Bool)
        /// As it stands there.
        case number(String)
        case text(String)
        case list([Value])
        case object([String: Value])
    }

    /// Reads a text that is one object and nothing else.
    ///
    /// - Returns: nil for any other text, for members that stand twice and for more than a few levels.
    package static func object(_ bytes: [UInt8]) -> [String: Value]? {
        var reader = Reader(bytes: bytes)
        guard case .object(let members) = reader.value(depth: 0), reader.isAtEnd else { return nil }
        return members
    }

    private struct Reader {
        static let maximumDepth = 4

        let bytes: [UInt8]
        var position = 0

        init(bytes: [UInt8]) {
            self.bytes = bytes
        }

        var next: UInt8? { position < bytes.count ? bytes[position] : nil }

        var isAtEnd: Bool {
            mutating get {
                skipSpace()
                return position == bytes.count
            }
        }

        mutating func skipSpace() {
            while let character = next, [0x20, 0x09, 0x0a, 0x0d].contains(character) { position += 1 }
        }

        mutating func take(_ character: Unicode.Scalar) -> Bool {
            skipSpace()
            guard next == UInt8(ascii: character) else { return false }
            position += 1
            return true
        }

        mutating func word(_ word: String) -> Bool {
            guard bytes[position...].starts(with: word.utf8) else { return false }
            position += word.utf8.count
            return true
        }

        mutating func value(depth: Int) -> Value? {
            skipSpace()
            guard depth <= Self.maximumDepth, let character = next else { return nil }
            switch Unicode.Scalar(character) {
            case "{": return members(depth: depth).map(Value.object)
            case "[": return elements(depth: depth).map(Value.list)
            case "\"": return string().map(Value.text)
            case "t": return word("true") ? .flag(true) : nil
            case "f": return word("false") ? .flag(false) : nil
            case "n": return word("null") ? .null : nil
            default: return number().map(Value.number)
            }
        }

        mutating func members(depth: Int) -> [String: Value]? {
            position += 1
            var members: [String: Value] = [:]
            if take("}") { return members }
            repeat {
                skipSpace()
                guard next == UInt8(ascii: "\""), let key = string(), take(":"), let value = value(depth: depth + 1),
                    members.updateValue(value, forKey: key) == nil
                else { return nil }
            } while take(",")
            return take("}") ? members : nil
        }

        mutating func elements(depth: Int) -> [Value]? {
            position += 1
            var elements: [Value] = []
            if take("]") { return elements }
            repeat {
                guard let value = value(depth: depth + 1) else { return nil }
                elements.append(value)
            } while take(",")
            return take("]") ? elements : nil
        }

        /// The characters of a number, if it begins as one; what they come to is the business of whoever wants one.
        mutating func number() -> String? {
            let start = position
            while let character = next,
                (0x30...0x39).contains(character) || [0x2b, 0x2d, 0x2e, 0x45, 0x65].contains(character)
            {
                position += 1
            }
            guard bytes[start..<position].first(where: { $0 != 0x2d }).map({ (0x30...0x39).contains($0) }) == true,
                let text = try? UTF8Span(validating: bytes.span.extracting(start..<position))
            else {
                return nil
            }
            return String(copying: text)
        }

        mutating func string() -> String? {
            position += 1
            var content: [UInt8] = []
            while let character = next {
                position += 1
                switch character {
                case UInt8(ascii: "\""):
                    guard let text = try? UTF8Span(validating: content.span) else { return nil }
                    return String(copying: text)
                case 0..<0x20: return nil
                case UInt8(ascii: "\\"):
                    guard let scalar = escape(), let characters = UTF8.encode(scalar) else { return nil }
                    content.append(contentsOf: characters)
                default: content.append(character)
                }
            }
            return nil
        }

        mutating func escape() -> Unicode.Scalar? {
            guard let character = next else { return nil }
            position += 1
            switch Unicode.Scalar(character) {
            case "\"", "\\", "/": return Unicode.Scalar(character)
            case "b": return "\u{8}"
            case "f": return "\u{c}"
            case "n": return "\n"
            case "r": return "\r"
            case "t": return "\t"
            case "u":
                guard let unit = unit() else { return nil }
                guard (0xd800..<0xdc00).contains(unit) else { return Unicode.Scalar(unit) }
                guard word("\\u"), let low = self.unit(), (0xdc00..<0xe000).contains(low) else { return nil }
                return Unicode.Scalar(0x10000 + (unit - 0xd800) << 10 + (low - 0xdc00))
            default: return nil
            }
        }

        private mutating func unit() -> UInt32? {
            var value: UInt32 = 0
            for _ in 0..<4 {
                guard let character = next else { return nil }
                let digit: UInt8
                switch character {
                case 0x30...0x39: digit = character - 0x30
                case 0x41...0x46: digit = character - 0x37
                case 0x61...0x66: digit = character - 0x57
                default: return nil
                }
                position += 1
                value = value << 4 | UInt32(digit)
            }
            return value
        }
    }
}
