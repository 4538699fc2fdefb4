// SPDX-License-Identifier: Apache-2.0

internal import SecureJSON

/// Finds members of a JSON text (RFC 8259) without copying any of it: the whole text is checked first.
///
/// A key that is asked for must be there once.
struct JSONReader {
    /// Kind of a value.
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

    /// The failure of a text that is not JSON.
    ///
    /// Where it goes wrong is not told: that would be content.
    private static var invalid: CredentialsError { CredentialsError(.invalidFormat, reason: "not JSON") }

    /// Checks a whole text.
    ///
    /// - Returns: its one value.
    static func check(_ bytes: Span<UInt8>) throws(CredentialsError) -> Value {
        guard JSONScanner.accepts(bytes, maximumDepth: maximumDepth) else { throw invalid }
        var scanner = JSONScanner(maximumDepth: maximumDepth)
        return try value(&scanner, in: bytes)
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
        var scanner = JSONScanner(maximumDepth: maximumDepth)
        scanner.position = value.range.lowerBound + 1
        scanner.skipSpace(bytes)
        guard scanner.position < value.range.upperBound - 1 else { return }
        repeat {
            var key: Range<Int>?
            if value.kind == .object {
                scanner.skipSpace(bytes)
                let start = scanner.position
                guard scanner.string(bytes) else { throw invalid }
                key = start..<scanner.position
                scanner.skipSpace(bytes)
                guard scanner.take(":", bytes) else { throw invalid }
            }
            try body(key, Self.value(&scanner, in: bytes))
            scanner.skipSpace(bytes)
        } while scanner.take(",", bytes)
    }

    /// Steps over a value.
    private static func value(_ scanner: inout JSONScanner, in bytes: Span<UInt8>) throws(CredentialsError) -> Value {
        scanner.skipSpace(bytes)
        let start = scanner.position
        guard scanner.value(bytes) else { throw invalid }
        let kind: Kind =
            switch bytes[start] {
            case UInt8(ascii: "{"): .object
            case UInt8(ascii: "["): .array
            case UInt8(ascii: "\""): .string
            case UInt8(ascii: "t"), UInt8(ascii: "f"): .boolean
            case UInt8(ascii: "n"): .null
            default: .number
            }
        return Value(kind: kind, range: start..<scanner.position)
    }
}
