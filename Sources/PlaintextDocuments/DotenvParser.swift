// SPDX-License-Identifier: Apache-2.0

package import SecretStore

/// Reads dotenv files as most of their readers do (docs/migrating.md has the rules); nothing is expanded.
package struct DotenvParser {
    private var position = 0
    private var line = 1
    private let values: ImportedValues

    private init(_ values: ImportedValues) {
        self.values = values
    }

    /// Reads a text.
    ///
    /// - Throws: class `invalid` with line and column.
    package static func parse(_ text: Span<UInt8>, into values: ImportedValues) throws(StoreError) {
        for index in text.indices where text[index] == 0 {
            throw StoreError(
                .invalid,
                "a zero byte \(text.place(index))",
                hint: "save the file as UTF-8; a dotenv file holds no binary values"
            )
        }
        var parser = DotenvParser(values)
        if text.starts(with: "\u{feff}") { parser.position = 3 }
        while parser.position < text.count { try parser.readLine(text) }
    }

    private mutating func readLine(_ text: Span<UInt8>) throws(StoreError) {
        skipBlanks(text)
        guard !endsLine(text), peek(text) != UInt8(ascii: "#") else { return skipLine(text) }
        let first = line
        skipExport(text)
        let name = try readName(text)
        skipBlanks(text)
        guard peek(text) == UInt8(ascii: "=") else { throw problem("'=' is expected", text) }
        position += 1
        let start = position
        skipBlanks(text)
        values.begin()
        var found = name
        switch peek(text) {
        case UInt8(ascii: "'"), UInt8(ascii: "`"): try readLiteral(text)
        case UInt8(ascii: "\""): found.looksExpandable = try readEscaped(text)
        default: found.looksExpandable = readPlain(text, isCommentAtOnce: position > start)
        }
        try values.end(found, line: first)
        skipLine(text)
    }

    /// `export` before a name, as in a file that a shell reads, too.
    private mutating func skipExport(_ text: Span<UInt8>) {
        let word = "export"
        let end = position + word.utf8.count
        guard text.extracting(position..<text.count).starts(with: word), end < text.count, isBlank(text[end]) else {
            return
        }
        position = end
        skipBlanks(text)
    }

    private mutating func readName(_ text: Span<UInt8>) throws(StoreError) -> ImportedName {
        let start = position
        var name = ""
        while let byte = peek(text), Self.isNameByte(byte) {
            name.unicodeScalars.append(Unicode.Scalar(byte))
            position += 1
        }
        guard SecretName(name) != nil else {
            position = start
            throw problem("a name is expected", text)
        }
        return ImportedName(name)
    }

    /// Between single quotes or back quotes every byte is itself.
    private mutating func readLiteral(_ text: Span<UInt8>) throws(StoreError) {
        let start = position
        let quote = text[start]
        position += 1
        while let byte = peek(text), byte != quote { copy(byte, text) }
        try closeQuote(start, text)
    }

    /// - Returns: whether there is a `$` that other readers would replace.
    private mutating func readEscaped(_ text: Span<UInt8>) throws(StoreError) -> Bool {
        let start = position
        var looksExpandable = false
        position += 1
        while let byte = peek(text), byte != UInt8(ascii: "\"") {
            if byte == UInt8(ascii: "\\"), position + 1 < text.count, let meant = Self.escaped(text[position + 1]) {
                values.bytes.append(meant)
                position += 2
            } else {
                if isReference(position, text) { looksExpandable = true }
                copy(byte, text)
            }
        }
        try closeQuote(start, text)
        return looksExpandable
    }

    /// Takes a byte over as it is, but for the first of CR LF.
    private mutating func copy(_ byte: UInt8, _ text: Span<UInt8>) {
        let isReturn =
            byte == UInt8(ascii: "\r") && position + 1 < text.count && text[position + 1] == UInt8(ascii: "\n")
        if !isReturn { values.bytes.append(byte) }
        if byte == UInt8(ascii: "\n") { line += 1 }
        position += 1
    }

    private mutating func closeQuote(_ start: Int, _ text: Span<UInt8>) throws(StoreError) {
        guard position < text.count else {
            position = start
            throw problem("a quote that is not closed", text)
        }
        position += 1
        skipBlanks(text)
        guard endsLine(text) || peek(text) == UInt8(ascii: "#") else {
            throw problem("text behind a closing quote", text)
        }
    }

    /// A value without quotes: to the end of the line or a `#` behind a blank.
    private mutating func readPlain(_ text: Span<UInt8>, isCommentAtOnce: Bool) -> Bool {
        let start = position
        var end = start
        var looksExpandable = false
        var afterBlank = isCommentAtOnce
        while !endsLine(text), let byte = peek(text) {
            if byte == UInt8(ascii: "#") && afterBlank { break }
            if isReference(position, text) { looksExpandable = true }
            afterBlank = isBlank(byte)
            position += 1
            if !afterBlank { end = position }
        }
        values.bytes.append(text.extracting(start..<end))
        return looksExpandable
    }

    /// Detects a `$` where other readers would put the value of a variable or the output of a command.
    private func isReference(_ index: Int, _ text: Span<UInt8>) -> Bool {
        guard text[index] == UInt8(ascii: "$"), index + 1 < text.count else { return false }
        switch text[index + 1] {
        case 0x41...0x5a, 0x61...0x7a, UInt8(ascii: "_"), UInt8(ascii: "{"), UInt8(ascii: "("): return true
        default: return false
        }
    }

    private func peek(_ text: Span<UInt8>) -> UInt8? { position < text.count ? text[position] : nil }

    private func isBlank(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }

    private mutating func skipBlanks(_ text: Span<UInt8>) {
        while let byte = peek(text), isBlank(byte) { position += 1 }
    }

    /// Detects the end of a line or of the text; LF and CR LF end lines.
    private func endsLine(_ text: Span<UInt8>) -> Bool {
        guard let byte = peek(text) else { return true }
        if byte == UInt8(ascii: "\n") { return true }
        return byte == UInt8(ascii: "\r")
            && (position + 1 == text.count || text[position + 1] == UInt8(ascii: "\n"))
    }

    private mutating func skipLine(_ text: Span<UInt8>) {
        while let byte = peek(text) {
            position += 1
            guard byte != UInt8(ascii: "\n") else {
                line += 1
                return
            }
        }
    }

    private func problem(_ message: String, _ text: Span<UInt8>) -> StoreError {
        StoreError(.invalid, "\(message) \(text.place(position))")
    }

    /// Detects a byte of a name in a dotenv file: fewer than elsewhere, so that a piece of a value is no name.
    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."): true
        default: false
        }
    }

    /// Decodes an escape in double quotes; nil where backslash and character both stay.
    private static func escaped(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "n"): UInt8(ascii: "\n")
        case UInt8(ascii: "r"): UInt8(ascii: "\r")
        case UInt8(ascii: "t"): UInt8(ascii: "\t")
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "$"), UInt8(ascii: "`"): byte
        default: nil
        }
    }
}
