// SPDX-License-Identifier: Apache-2.0

/// A strict reader of JSON (RFC 8259) that makes no copy of what it reads: it checks the whole text and says where a
/// member lies.
///
/// Nothing beyond the grammar is taken: no comments, no trailing commas, no byte order mark, no lone surrogates. A key
/// that is asked for must be there once.
struct JSONReader {
    /// What a value is.
    enum Kind {
        case object
        case array
        case string
        case number
        case boolean
        case null
    }

    /// A value and the bytes it is written with.
    struct Value {
        let kind: Kind
        let range: Range<Int>
    }

    /// Deeper texts are refused: each level is a level of the reader's own stack.
    private static let maximumDepth = 64

    private var position: Int

    private init(at position: Int) {
        self.position = position
    }

    /// The failure of a text that is not JSON.
    ///
    /// Where it goes wrong is not told: that would be content.
    private static var invalid: CredentialsError { CredentialsError(.invalidFormat, reason: "not JSON") }

    /// Checks a whole text.
    ///
    /// - Returns: its one value.
    static func check(_ bytes: Span<UInt8>) throws(CredentialsError) -> Value {
        guard (try? UTF8Span(validating: bytes)) != nil else { throw invalid }
        var reader = JSONReader(at: 0)
        let value = try reader.value(in: bytes, depth: 0)
        reader.skipSpace(in: bytes)
        guard reader.position == bytes.count else { throw invalid }
        return value
    }

    /// Finds a member of a text that has been checked.
    ///
    /// - Returns: nil where there is none.
    static func find(_ path: [JSONPathElement], in bytes: Span<UInt8>) throws(CredentialsError) -> Value? {
        var value = try check(bytes)
        for element in path {
            guard let next = try member(element, of: value, in: bytes) else { return nil }
            value = next
        }
        return value
    }

    /// The number of members of an object or array.
    static func count(_ value: Value, in bytes: Span<UInt8>) throws(CredentialsError) -> Int {
        var count = 0
        try forEachMember(of: value, in: bytes) { (_, _) throws(CredentialsError) in count += 1 }
        return count
    }

    private static func member(
        _ element: JSONPathElement,
        of value: Value,
        in bytes: Span<UInt8>
    ) throws(CredentialsError) -> Value? {
        var found: Value?
        var index = 0
        try forEachMember(of: value, in: bytes) { (key, member) throws(CredentialsError) in
            let isWanted =
                switch (element.kind, key) {
                case (.key(let wanted), .some(let key)): JSONString(key).equals(wanted, in: bytes)
                case (.index(let wanted), nil): wanted == index
                default: false
                }
            index += 1
            guard isWanted else { return }
            guard found == nil else { throw CredentialsError(.invalidFormat, reason: "a key that is there twice") }
            found = member
        }
        return found
    }

    /// Visits the members of an object (with the bytes of their keys) or array; of anything else there are none.
    private static func forEachMember(
        of value: Value,
        in bytes: Span<UInt8>,
        _ body: (Range<Int>?, Value) throws(CredentialsError) -> Void
    ) throws(CredentialsError) {
        guard value.kind == .object || value.kind == .array else { return }
        var reader = JSONReader(at: value.range.lowerBound)
        if value.kind == .object {
            try reader.object(in: bytes, depth: 0, body)
        } else {
            try reader.array(in: bytes, depth: 0, body)
        }
    }

    // MARK: Grammar

    private mutating func value(in bytes: Span<UInt8>, depth: Int) throws(CredentialsError) -> Value {
        guard depth <= Self.maximumDepth else { throw Self.invalid }
        skipSpace(in: bytes)
        let start = position
        let kind: Kind
        switch peek(in: bytes) {
        case UInt8(ascii: "{"):
            try object(in: bytes, depth: depth) { (_, _) throws(CredentialsError) in }
            kind = .object
        case UInt8(ascii: "["):
            try array(in: bytes, depth: depth) { (_, _) throws(CredentialsError) in }
            kind = .array
        case UInt8(ascii: "\""):
            try string(in: bytes)
            kind = .string
        case UInt8(ascii: "t"):
            try word("true", in: bytes)
            kind = .boolean
        case UInt8(ascii: "f"):
            try word("false", in: bytes)
            kind = .boolean
        case UInt8(ascii: "n"):
            try word("null", in: bytes)
            kind = .null
        default:
            try number(in: bytes)
            kind = .number
        }
        return Value(kind: kind, range: start..<position)
    }

    private mutating func object(
        in bytes: Span<UInt8>,
        depth: Int,
        _ body: (Range<Int>?, Value) throws(CredentialsError) -> Void
    ) throws(CredentialsError) {
        try expect(UInt8(ascii: "{"), in: bytes)
        skipSpace(in: bytes)
        if take(UInt8(ascii: "}"), in: bytes) { return }
        repeat {
            skipSpace(in: bytes)
            let start = position
            try string(in: bytes)
            let key = start..<position
            skipSpace(in: bytes)
            try expect(UInt8(ascii: ":"), in: bytes)
            try body(key, value(in: bytes, depth: depth + 1))
            skipSpace(in: bytes)
        } while take(UInt8(ascii: ","), in: bytes)
        try expect(UInt8(ascii: "}"), in: bytes)
    }

    private mutating func array(
        in bytes: Span<UInt8>,
        depth: Int,
        _ body: (Range<Int>?, Value) throws(CredentialsError) -> Void
    ) throws(CredentialsError) {
        try expect(UInt8(ascii: "["), in: bytes)
        skipSpace(in: bytes)
        if take(UInt8(ascii: "]"), in: bytes) { return }
        repeat {
            try body(nil, value(in: bytes, depth: depth + 1))
            skipSpace(in: bytes)
        } while take(UInt8(ascii: ","), in: bytes)
        try expect(UInt8(ascii: "]"), in: bytes)
    }

    private mutating func string(in bytes: Span<UInt8>) throws(CredentialsError) {
        try expect(UInt8(ascii: "\""), in: bytes)
        while true {
            guard let byte = peek(in: bytes), byte >= 0x20 else { throw Self.invalid }
            position += 1
            if byte == UInt8(ascii: "\"") { return }
            if byte == UInt8(ascii: "\\") { try escape(in: bytes) }
        }
    }

    private mutating func escape(in bytes: Span<UInt8>) throws(CredentialsError) {
        guard let byte = peek(in: bytes) else { throw Self.invalid }
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            return
        case UInt8(ascii: "u"):
            let unit = try codeUnit(in: bytes)
            guard 0xd800...0xdfff ~= unit else { return }
            guard unit < 0xdc00, take(UInt8(ascii: "\\"), in: bytes), take(UInt8(ascii: "u"), in: bytes),
                0xdc00...0xdfff ~= (try codeUnit(in: bytes))
            else { throw Self.invalid }
        default: throw Self.invalid
        }
    }

    private mutating func codeUnit(in bytes: Span<UInt8>) throws(CredentialsError) -> UInt32 {
        guard bytes.count - position >= 4, let unit = JSONString.codeUnit(at: position, in: bytes) else {
            throw Self.invalid
        }
        position += 4
        return unit
    }

    private mutating func number(in bytes: Span<UInt8>) throws(CredentialsError) {
        _ = take(UInt8(ascii: "-"), in: bytes)
        if !take(UInt8(ascii: "0"), in: bytes) { try digits(in: bytes) }
        if take(UInt8(ascii: "."), in: bytes) { try digits(in: bytes) }
        if take(UInt8(ascii: "e"), in: bytes) || take(UInt8(ascii: "E"), in: bytes) {
            if !take(UInt8(ascii: "+"), in: bytes) { _ = take(UInt8(ascii: "-"), in: bytes) }
            try digits(in: bytes)
        }
    }

    private mutating func digits(in bytes: Span<UInt8>) throws(CredentialsError) {
        let start = position
        while let byte = peek(in: bytes), (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { position += 1 }
        guard position > start else { throw Self.invalid }
    }

    private mutating func word(_ word: StaticString, in bytes: Span<UInt8>) throws(CredentialsError) {
        for byte in word.description.utf8 { try expect(byte, in: bytes) }
    }

    private mutating func skipSpace(in bytes: Span<UInt8>) {
        while let byte = peek(in: bytes), byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 { position += 1 }
    }

    private func peek(in bytes: Span<UInt8>) -> UInt8? {
        position < bytes.count ? bytes[position] : nil
    }

    private mutating func take(_ byte: UInt8, in bytes: Span<UInt8>) -> Bool {
        guard peek(in: bytes) == byte else { return false }
        position += 1
        return true
    }

    private mutating func expect(_ byte: UInt8, in bytes: Span<UInt8>) throws(CredentialsError) {
        guard take(byte, in: bytes) else { throw Self.invalid }
    }
}
