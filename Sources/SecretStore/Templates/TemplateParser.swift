// SPDX-License-Identifier: Apache-2.0

/// Parser of templates.
///
/// An expression is `{{ OPERAND ... | FILTER ... }}`: names of secrets and texts in double quotes, one behind the other, and
/// filters. A name with white space or one of `|{}'"` stands in single quotes. `{{{{` is the text `{{`, and of three braces
/// the first is text.
enum TemplateParser {
    /// Reads literal text and expressions.
    ///
    /// - Parameter text: UTF-8.
    /// - Returns: the pieces in their order.
    /// - Throws: class `invalid` with line and column.
    static func parse(_ text: Span<UInt8>) throws(StoreError) -> [Template.Piece] {
        var pieces: [Template.Piece] = []
        var literal: [UInt8] = []
        var expressionCount = 0
        var index = 0
        while index < text.count {
            guard text[index] == UInt8(ascii: "{") else {
                literal.append(text[index])
                index += 1
                continue
            }
            let start = index
            while index < text.count, text[index] == UInt8(ascii: "{") { index += 1 }
            let count = index - start
            for _ in 0..<count / 4 { literal += Array("{{".utf8) }
            if count % 2 == 1 { literal.append(UInt8(ascii: "{")) }
            guard count % 4 >= 2 else { continue }
            expressionCount += 1
            guard expressionCount <= Template.maximumExpressionCount else {
                throw error("more than \(Template.maximumExpressionCount) expressions", at: start, text)
            }
            if !literal.isEmpty { pieces.append(Template.Piece(operands: [.text(literal)])) }
            literal = []
            pieces.append(try expression(text, from: &index))
        }
        if !literal.isEmpty { pieces.append(Template.Piece(operands: [.text(literal)])) }
        return pieces
    }

    private enum Token {
        case word(String)
        case name(String)
        case text([UInt8])
        case bar
        case end
    }

    /// Reads an expression behind its braces.
    private static func expression(_ text: Span<UInt8>, from index: inout Int) throws(StoreError) -> Template.Piece {
        let start = index
        var piece = Template.Piece(operands: [])
        var wantsFilter = false
        var isOpen = true
        while isOpen {
            skipSpace(text, &index)
            let place = index
            switch try token(text, &index, since: start) {
            case .word(let word) where wantsFilter:
                guard let filter = TemplateFilter(rawValue: word) else {
                    throw error("unknown filter", at: place, text, hint: "filters are \(TemplateFilter.list)")
                }
                piece.filters.append(filter)
                wantsFilter = false
            case .word(let word):
                guard piece.filters.isEmpty else { throw error("'|' or '}}' is expected", at: place, text) }
                // What it stands for is decided by the filter.
                piece.operands.append(word == all ? .all(.json) : .secret(try name(word, at: place, text)))
            case .name(let word):
                guard !wantsFilter, piece.filters.isEmpty else { throw error("a filter is expected", at: place, text) }
                piece.operands.append(.secret(try name(word, at: place, text)))
            case .text(let bytes):
                guard !wantsFilter, piece.filters.isEmpty else { throw error("a filter is expected", at: place, text) }
                piece.operands.append(.text(bytes))
            case .bar:
                guard !wantsFilter, !piece.operands.isEmpty else {
                    throw error("\(wantsFilter ? "a filter" : "the name of a secret") is expected", at: place, text)
                }
                wantsFilter = true
            case .end:
                guard !wantsFilter else { throw error("a filter is expected", at: place, text) }
                guard !piece.operands.isEmpty else { throw error("the name of a secret is expected", at: place, text) }
                isOpen = false
            }
        }
        return try resolved(piece, at: start, text)
    }

    private static let all = "all"

    /// Decides on the syntax of `all`, and leaves out what changes nothing: white space is outside of what other filters give.
    private static func resolved(
        _ piece: Template.Piece,
        at start: Int,
        _ text: Span<UInt8>
    ) throws(StoreError) -> Template.Piece {
        var piece = piece
        if piece.operands.contains(where: { if case .all = $0 { true } else { false } }) {
            let hint = "write {{ all | dotenv }} or {{ all | json }}; a secret of that name stands in single quotes"
            guard piece.operands.count == 1 else { throw error("'all' stands alone", at: start, text, hint: hint) }
            guard let collection = piece.filters.first.flatMap({ Template.Collection(rawValue: $0.rawValue) }) else {
                throw error("'all' takes dotenv or json", at: start, text, hint: hint)
            }
            piece.operands = [.all(collection)]
            piece.filters.removeFirst()
        }
        if let first = piece.filters.first {
            piece.filters = [first] + piece.filters.dropFirst().filter { $0 != .strip }
        }
        guard piece.filters.count <= maximumFilterCount else {
            throw error("more than \(maximumFilterCount) filters", at: start, text)
        }
        return piece
    }

    private static let maximumFilterCount = 4

    private static func token(_ text: Span<UInt8>, _ index: inout Int, since start: Int) throws(StoreError) -> Token {
        guard index < text.count else { throw error("an expression has no '}}'", at: start, text) }
        switch text[index] {
        case UInt8(ascii: "|"):
            index += 1
            return .bar
        case UInt8(ascii: "}"):
            guard index + 1 < text.count, text[index + 1] == UInt8(ascii: "}") else {
                throw error("'}}' is expected", at: index, text)
            }
            index += 2
            return .end
        case UInt8(ascii: "{"): throw error("'{' in an expression", at: index, text)
        case UInt8(ascii: "\""): return .text(try quotedText(text, &index))
        case UInt8(ascii: "'"): return .name(try quotedName(text, &index))
        default:
            let first = index
            while index < text.count, !isSpace(text[index]), !isSpecial(text[index]) { index += 1 }
            return .word(string((first..<index).map { text[$0] }))
        }
    }

    /// Text in double quotes, where `\n`, `\r` and `\t` are control characters and a backslash takes any other as it is.
    private static func quotedText(_ text: Span<UInt8>, _ index: inout Int) throws(StoreError) -> [UInt8] {
        let start = index
        var bytes: [UInt8] = []
        index += 1
        while index < text.count, text[index] != UInt8(ascii: "\"") {
            let isEscaped = text[index] == UInt8(ascii: "\\")
            if isEscaped { index += 1 }
            guard index < text.count else { break }
            bytes.append(isEscaped ? unescaped(text[index]) : text[index])
            index += 1
        }
        guard index < text.count else { throw error("a text without its second quote", at: start, text) }
        index += 1
        return bytes
    }

    private static func unescaped(_ byte: UInt8) -> UInt8 {
        switch byte {
        case UInt8(ascii: "n"): UInt8(ascii: "\n")
        case UInt8(ascii: "r"): UInt8(ascii: "\r")
        case UInt8(ascii: "t"): UInt8(ascii: "\t")
        default: byte
        }
    }

    /// A name in single quotes, of which two are one.
    private static func quotedName(_ text: Span<UInt8>, _ index: inout Int) throws(StoreError) -> String {
        let (start, quote) = (index, UInt8(ascii: "'"))
        var bytes: [UInt8] = []
        index += 1
        while index < text.count {
            if text[index] == quote {
                index += 1
                guard index < text.count, text[index] == quote else { return string(bytes) }
            }
            bytes.append(text[index])
            index += 1
        }
        throw error("a name without its second quote", at: start, text)
    }

    private static func name(_ word: String, at index: Int, _ text: Span<UInt8>) throws(StoreError) -> SecretName {
        guard let reference = SecretReference(word) else {
            throw error("bad name of a secret", at: index, text, hint: SecretReference.rule)
        }
        return reference.name
    }

    /// Text between two places of a template.
    private static func string(_ bytes: [UInt8]) -> String {
        // NOT SECRET: templates are readable in the manifest.
        String(decoding: bytes, as: UTF8.self)
    }

    private static func skipSpace(_ text: Span<UInt8>, _ index: inout Int) {
        while index < text.count, isSpace(text[index]) { index += 1 }
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0d).contains(byte) }

    private static func isSpecial(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "|"), UInt8(ascii: "{"), UInt8(ascii: "}"), UInt8(ascii: "\""), UInt8(ascii: "'"): true
        default: false
        }
    }

    /// An error with line and column; never what stands there, which may be a misplaced value.
    private static func error(
        _ message: String,
        at index: Int,
        _ text: Span<UInt8>,
        hint: String? = nil
    ) -> StoreError {
        var position = (line: 1, column: 1)
        for place in 0..<min(index, text.count) {
            if text[place] == UInt8(ascii: "\n") {
                position = (position.line + 1, 1)
            } else if text[place] & 0xc0 != 0x80 {
                position.column += 1
            }
        }
        return StoreError(
            .invalid,
            "template, line \(position.line), column \(position.column): \(message)",
            hint: hint ?? "credfs-store(5) says what a template can hold"
        )
    }
}
