// SPDX-License-Identifier: Apache-2.0

package import SecretStore
internal import SecureJSON

/// Reads a JSON object of strings, numbers and booleans, or of objects of them: SERVICE: {KEY: value}.
package struct JSONParser {
    private var scanner = JSONScanner()
    private let values: ImportedValues
    // Where lines were counted to.
    private var counted = 0
    private var line = 1

    private init(_ values: ImportedValues) {
        self.values = values
    }

    /// Reads a text.
    ///
    /// - Throws: class `invalid` with line and column.
    package static func parse(_ text: Span<UInt8>, into values: ImportedValues) throws(StoreError) {
        guard (try? UTF8Span(validating: text)) != nil else { throw StoreError(.invalid, "the document is not UTF-8") }
        var parser = JSONParser(values)
        if text.starts(with: "\u{feff}") { parser.scanner.position = 3 }
        parser.scanner.skipSpace(text)
        guard parser.scanner.take("{", text) else { throw parser.problem("an object is expected", text) }
        try parser.readMembers(text, service: nil)
        parser.scanner.skipSpace(text)
        guard parser.scanner.position == text.count else { throw parser.problem("text behind the object", text) }
    }

    private mutating func readMembers(_ text: Span<UInt8>, service: String?) throws(StoreError) {
        scanner.skipSpace(text)
        if scanner.take("}", text) { return }
        repeat {
            scanner.skipSpace(text)
            let start = scanner.position
            guard scanner.string(text) else { throw problem("a name in double quotes is expected", text) }
            let key = name(start, text)
            let line = countLines(text, to: start)
            scanner.skipSpace(text)
            guard scanner.take(":", text) else { throw problem("':' is expected", text) }
            scanner.skipSpace(text)
            try readValue(service.map { "\($0)/\(key)" } ?? key, from: start, line, text, isNested: service != nil)
            scanner.skipSpace(text)
        } while scanner.take(",", text)
        guard scanner.take("}", text) else { throw problem("',' or '}' is expected", text) }
    }

    private mutating func readValue(
        _ name: String,
        from nameStart: Int,
        _ line: Int,
        _ text: Span<UInt8>,
        isNested: Bool
    ) throws(StoreError) {
        let start = scanner.position
        var found = ImportedName(name)
        switch scanner.peek(text) {
        case UInt8(ascii: "{"):
            guard !isNested else { throw problem("an object in an object in the object", text) }
            scanner.position += 1
            return try readMembers(text, service: name)
        case UInt8(ascii: "["):
            throw problem("a list, which is no value of a secret,", text)
        case UInt8(ascii: "\""):
            guard scanner.string(text) else { throw problem("a string with an error", text) }
            values.begin()
            var string = JSONString(start..<scanner.position)
            while let byte = string.next(in: text) { values.bytes.append(byte) }
        default:
            guard scanner.value(text) else { throw problem("a value is expected", text) }
            values.begin()
            found.isNull = text[start] == UInt8(ascii: "n")
            if !found.isNull { values.bytes.append(text.extracting(start..<scanner.position)) }
        }
        guard SecretReference(name) != nil else {
            scanner.position = nameStart
            throw problem("bad name of a secret", text, hint: SecretReference.rule)
        }
        try values.end(found, line: line)
    }

    /// The name in a string that begins at a quote.
    private func name(_ start: Int, _ text: Span<UInt8>) -> String {
        JSONString(start..<scanner.position).text(in: text) ?? ""
    }

    /// The line of a position that is not before the last one.
    private mutating func countLines(_ text: Span<UInt8>, to position: Int) -> Int {
        for index in counted..<position where text[index] == UInt8(ascii: "\n") { line += 1 }
        counted = position
        return line
    }

    private func problem(_ message: String, _ text: Span<UInt8>, hint: String? = nil) -> StoreError {
        StoreError(.invalid, "\(message) \(text.place(scanner.position))", hint: hint)
    }
}
