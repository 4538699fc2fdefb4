// SPDX-License-Identifier: Apache-2.0

/// The pieces that the schema is made of. Messages give positions, never what stands there: it may be a misplaced value.
extension YAMLEventReader {
    /// Reads a mapping that is about to begin and hands out its keys, each once.
    package mutating func mapping(
        _ body: (String, inout YAMLEventReader) throws(StoreError) -> Void
    ) throws(StoreError) {
        guard try next() == .mappingStart else { throw invalid("a mapping is expected") }
        try mappingEntries(body)
    }

    /// Reads the entries of a mapping that has begun.
    package mutating func mappingEntries(
        _ body: (String, inout YAMLEventReader) throws(StoreError) -> Void
    ) throws(StoreError) {
        var seen: Set<String> = []
        var event = try next()
        while event != .mappingEnd {
            guard event == .scalar else { throw invalid("a key must be text") }
            let key = try scalarText()
            if key == "<<" && isPlain { throw invalid("merge key: manifests have none") }
            guard seen.insert(key).inserted else { throw invalid("duplicate key") }
            try body(key, &self)
            event = try next()
        }
    }

    /// Reads a list that is about to begin; the function is called on the first event of each item.
    mutating func list(
        _ body: (Event, inout YAMLEventReader) throws(StoreError) -> Void
    ) throws(StoreError) {
        guard try next() == .sequenceStart else { throw invalid("a list is expected") }
        var event = try next()
        while event != .sequenceEnd {
            try body(event, &self)
            event = try next()
        }
    }

    mutating func expectScalar() throws(StoreError) {
        guard try next() == .scalar else { throw invalid("text is expected") }
    }

    /// Reads text of one line without control characters and without characters that reorder what is shown.
    package mutating func text() throws(StoreError) -> String {
        try expectScalar()
        return try currentText()
    }

    /// The current scalar, as `text()` has it.
    func currentText() throws(StoreError) -> String {
        let text = try scalarText()
        guard !text.isEmpty else { throw invalid("empty text: leave the key out instead") }
        guard SecretEntry.isDescription(text) else {
            throw invalid("text with a line break, or a control character, or one that reorders others")
        }
        return text
    }

    /// Reads `true` or `false`.
    mutating func flag() throws(StoreError) -> Bool {
        switch try text() {
        case "true": return true
        case "false": return false
        default: throw invalid("true or false is expected")
        }
    }

    /// Reads a decimal number without sign and leading zeros.
    mutating func number() throws(StoreError) -> UInt64 {
        try expectScalar()
        return try currentNumber()
    }

    /// The current scalar, as `number()` has it.
    func currentNumber() throws(StoreError) -> UInt64 {
        let text = try currentText()
        guard let number = UInt64(text), String(number) == text else { throw invalid("a number is expected") }
        return number
    }

    mutating func timestamp() throws(StoreError) -> Timestamp {
        try expectScalar()
        guard let timestamp = try withScalar({ (bytes) throws(StoreError) in Timestamp(bytes) }) else {
            _ = try currentText()
            throw invalid("a time is expected", hint: "times are RFC 3339 in UTC, such as 2026-11-21T07:11:00Z")
        }
        return timestamp
    }

    /// Reads one of a few words.
    mutating func word<Word: RawRepresentable & CaseIterable>(
        _ type: Word.Type
    ) throws(StoreError) -> Word where Word.RawValue == String {
        let text = try text()
        guard let word = Word(rawValue: text) else {
            let words = type.allCases.map(\.rawValue).joined(separator: ", ")
            throw invalid("unknown word", hint: "one of \(words) is expected")
        }
        return word
    }

    /// An unknown key, with those that are known.
    func unknownKey(_ known: String) -> StoreError {
        invalid("unknown key", hint: "the keys here are \(known)")
    }
}

extension SecretEntry {
    /// Checks text of a manifest: one line, nothing that hides or reorders what is shown.
    package static func isDescription(_ text: String) -> Bool {
        if text.utf8.allSatisfy({ (0x20...0x7e).contains($0) }) { return true }
        return text.unicodeScalars.allSatisfy { scalar in
            switch scalar.properties.generalCategory {
            case .control, .lineSeparator, .paragraphSeparator: false
            default: !refused.contains(scalar.value)
            }
        }
    }

    // U+FEFF, U+FFFE and U+FFFF, which YAML does not have, and the bidirectional controls that make a text look like
    // another (CVE-2021-42574).
    private static let refused: Set<UInt32> = [
        0xfeff, 0xfffe, 0xffff, 0x061c, 0x200e, 0x200f, 0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2066, 0x2067, 0x2068,
        0x2069,
    ]
}
