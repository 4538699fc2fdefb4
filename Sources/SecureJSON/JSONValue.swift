// SPDX-License-Identifier: Apache-2.0

/// JSON value (RFC 8259) that is not secret: memory that holds it is not wiped.
package indirect enum JSONValue: Sendable, Equatable {
    case null
    case boolean(Bool)
    /// A number in the characters that it is written with.
    case number(String)
    case string(String)
    case array([JSONValue])
    case object([String: JSONValue])

    package enum Layout: Sendable {
        /// Without any white space.
        case line
        /// A member a line, two spaces deeper for each level, ` : ` behind a key.
        case indented
    }

    package static func string(orNull text: String?) -> JSONValue { text.map(JSONValue.string) ?? .null }

    package static func integer(_ number: (some BinaryInteger)?) -> JSONValue {
        number.map { .number(String($0)) } ?? .null
    }

    /// The characters of a string; nil for anything else.
    package var text: String? {
        if case .string(let text) = self { text } else { nil }
    }

    /// An integer of a type; nil for anything else.
    package func integer<Integer: FixedWidthInteger>(_: Integer.Type = Integer.self) -> Integer? {
        if case .number(let number) = self { Integer(number) } else { nil }
    }

    /// The text, with keys in the order of their bytes and no newline at its end.
    package func text(_ layout: Layout) -> String {
        var writer = JSONWriter(layout: layout)
        writer.write(self)
        return writer.text
    }
}

// Reading.
extension JSONValue {
    /// The members of a text that is one object and nothing else.
    ///
    /// - Returns: nil for any other text, for a key that is there twice and for more levels than this.
    package static func members(_ text: Span<UInt8>, maximumDepth: Int) -> [String: JSONValue]? {
        guard JSONScanner.accepts(text, maximumDepth: maximumDepth) else { return nil }
        var scanner = JSONScanner(maximumDepth: maximumDepth)
        guard case .object(let members) = read(&scanner, text) else { return nil }
        return members
    }

    /// Reads a value of a text that was accepted.
    private static func read(_ scanner: inout JSONScanner, _ text: Span<UInt8>) -> JSONValue? {
        scanner.skipSpace(text)
        let start = scanner.position
        if scanner.take("{", text) {
            var members: [String: JSONValue] = [:]
            scanner.skipSpace(text)
            if scanner.take("}", text) { return .object(members) }
            repeat {
                scanner.skipSpace(text)
                guard let key = string(&scanner, text) else { return nil }
                scanner.skipSpace(text)
                guard scanner.take(":", text), let value = read(&scanner, text),
                    members.updateValue(value, forKey: key) == nil
                else { return nil }
                scanner.skipSpace(text)
            } while scanner.take(",", text)
            return scanner.take("}", text) ? .object(members) : nil
        }
        if scanner.take("[", text) {
            var elements: [JSONValue] = []
            scanner.skipSpace(text)
            if scanner.take("]", text) { return .array(elements) }
            repeat {
                guard let value = read(&scanner, text) else { return nil }
                elements.append(value)
                scanner.skipSpace(text)
            } while scanner.take(",", text)
            return scanner.take("]", text) ? .array(elements) : nil
        }
        if scanner.peek(text) == UInt8(ascii: "\"") { return string(&scanner, text).map(JSONValue.string) }
        guard scanner.value(text), let word = try? UTF8Span(validating: text.extracting(start..<scanner.position))
        else {
            return nil
        }
        switch String(copying: word) {
        case "null": return .null
        case "true": return .boolean(true)
        case "false": return .boolean(false)
        case let number: return .number(number)
        }
    }

    private static func string(_ scanner: inout JSONScanner, _ text: Span<UInt8>) -> String? {
        let start = scanner.position
        guard scanner.string(text) else { return nil }
        return JSONString(start..<scanner.position).text(in: text)
    }
}

/// Writes values one after the other.
private struct JSONWriter {
    let layout: JSONValue.Layout
    private(set) var text = ""
    private var depth = 0

    init(layout: JSONValue.Layout) {
        self.layout = layout
    }

    mutating func write(_ value: JSONValue) {
        switch value {
        case .null: text += "null"
        case .boolean(let flag): text += flag ? "true" : "false"
        case .number(let number): text += number
        case .string(let string): write(string)
        case .array(let elements):
            write("[", elements, "]") { writer, element in writer.write(element) }
        case .object(let members):
            write("{", members.sorted { $0.key < $1.key }, "}") { writer, member in
                writer.write(member.key)
                writer.text += writer.layout == .indented ? " : " : ":"
                writer.write(member.value)
            }
        }
    }

    private mutating func write<Part>(
        _ opening: String,
        _ parts: [Part],
        _ closing: String,
        _ body: (inout JSONWriter, Part) -> Void
    ) {
        text += opening
        depth += 1
        for (index, part) in parts.enumerated() {
            if index > 0 { text += "," }
            breakLine()
            body(&self, part)
        }
        depth -= 1
        // An empty one takes three lines, too.
        if parts.isEmpty && layout == .indented { text += "\n" }
        breakLine()
        text += closing
    }

    private mutating func breakLine() {
        guard layout == .indented else { return }
        text += "\n" + String(repeating: "  ", count: depth)
    }

    private mutating func write(_ string: String) {
        text += "\""
        for scalar in string.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\u{8}": text += "\\b"
            case "\u{c}": text += "\\f"
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            case "\t": text += "\\t"
            case "\0"..<" ": text += JSONString.escape(scalar.value)
            default: text.unicodeScalars.append(scalar)
            }
        }
        text += "\""
    }
}
