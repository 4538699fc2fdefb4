// SPDX-License-Identifier: Apache-2.0

package import SecretStore

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
            let key = try name(start, text)
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
            try decode(start + 1..<scanner.position - 1, text) { values.bytes.append($0) }
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
    private func name(_ start: Int, _ text: Span<UInt8>) throws(StoreError) -> String {
        var bytes: [UInt8] = []
        try decode(start + 1..<scanner.position - 1, text) { bytes.append($0) }
        guard let name = try? UTF8Span(validating: bytes.span) else { return "" }
        return String(copying: name)
    }

    /// Decodes what stands between the quotes of a string that was scanned.
    private func decode(
        _ range: Range<Int>,
        _ text: Span<UInt8>,
        _ append: (UInt8) -> Void
    ) throws(StoreError) {
        var index = range.lowerBound
        while index < range.upperBound {
            guard text[index] == UInt8(ascii: "\\") else {
                append(text[index])
                index += 1
                continue
            }
            let character = text[index + 1]
            index += 2
            switch character {
            case UInt8(ascii: "b"): append(0x08)
            case UInt8(ascii: "f"): append(0x0c)
            case UInt8(ascii: "n"): append(0x0a)
            case UInt8(ascii: "r"): append(0x0d)
            case UInt8(ascii: "t"): append(0x09)
            case UInt8(ascii: "u"):
                guard let scalar = Self.scalar(&index, range.upperBound, text) else {
                    throw StoreError(.invalid, "half of a surrogate pair \(text.place(index - 2))")
                }
                for byte in Unicode.UTF8.encode(scalar) ?? Unicode.UTF8.encodedReplacementCharacter { append(byte) }
            default: append(character)
            }
        }
    }

    /// The scalar of an escape whose digits begin at an index, which moves behind them; nil for half of a pair.
    private static func scalar(_ index: inout Int, _ end: Int, _ text: Span<UInt8>) -> Unicode.Scalar? {
        let first = hexadecimal(index, text)
        guard (0xd800...0xdbff).contains(first) else {
            guard let scalar = Unicode.Scalar(first) else { return nil }
            index += 4
            return scalar
        }
        guard index + 10 <= end, text[index + 4] == UInt8(ascii: "\\"), text[index + 5] == UInt8(ascii: "u") else {
            return nil
        }
        let second = hexadecimal(index + 6, text)
        guard (0xdc00...0xdfff).contains(second) else { return nil }
        index += 10
        return Unicode.Scalar(0x10000 + (first - 0xd800) << 10 + (second - 0xdc00))
    }

    /// Four digits that the scanner saw.
    private static func hexadecimal(_ start: Int, _ text: Span<UInt8>) -> UInt32 {
        var number: UInt32 = 0
        for index in start..<start + 4 {
            let digit = text[index]
            number = number << 4 | UInt32(digit <= 0x39 ? digit - 0x30 : (digit | 0x20) - 0x61 + 10)
        }
        return number
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
