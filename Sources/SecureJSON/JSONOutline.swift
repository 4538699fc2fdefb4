// SPDX-License-Identifier: Apache-2.0

/// Outline of a JSON text (RFC 8259): where its values lie, without a copy of any of them.
package struct JSONOutline: Sendable {
    /// Kind of a value.
    package enum Kind: Sendable {
        case object
        case array
        case string
        case number
        case boolean
        case null
    }

    /// A value and the bytes it is written with.
    package struct Value: Sendable {
        /// Kind of the value.
        package let kind: Kind
        /// Bytes of the value, quotes included.
        package let range: Range<Int>
    }

    /// Deeper texts are refused: each level is a level of the reader's own stack.
    private static let maximumDepth = 64

    /// Checks a whole text.
    ///
    /// - Returns: its one value; nil for a text that is not JSON.
    package static func check(_ bytes: Span<UInt8>) -> Value? {
        guard JSONScanner.accepts(bytes, maximumDepth: maximumDepth) else { return nil }
        var scanner = JSONScanner(maximumDepth: maximumDepth)
        return value(&scanner, in: bytes)
    }

    /// Finds a member of an object of a text that was checked.
    ///
    /// - Returns: nil where there is none, or two.
    package static func member(_ key: String, of value: Value, in bytes: Span<UInt8>) -> Value? {
        let found = members(key, of: value, in: bytes)
        return found.count == 1 ? found[0] : nil
    }

    /// Finds every member of a key; none of anything but an object.
    package static func members(_ key: String, of value: Value, in bytes: Span<UInt8>) -> [Value] {
        var found: [Value] = []
        forEachMember(of: value, in: bytes) { (name, member) in
            if let name, JSONString(name).equals(key, in: bytes) { found.append(member) }
        }
        return found
    }

    /// The number of members of an object or array; 0 of anything else.
    package static func count(of value: Value, in bytes: Span<UInt8>) -> Int {
        var count = 0
        forEachMember(of: value, in: bytes) { (_, _) in count += 1 }
        return count
    }

    /// The elements of an array of a text that was checked; none of anything else.
    package static func elements(of value: Value, in bytes: Span<UInt8>) -> [Value] {
        var elements: [Value] = []
        guard value.kind == .array else { return elements }
        forEachMember(of: value, in: bytes) { (_, element) in elements.append(element) }
        return elements
    }

    /// The members of an object of a text that was checked, with keys that are UTF-8; none of anything else.
    package static func members(of value: Value, in bytes: Span<UInt8>) -> [(key: String, value: Value)] {
        var members: [(key: String, value: Value)] = []
        guard value.kind == .object else { return members }
        forEachMember(of: value, in: bytes) { (key, member) in
            if let name = key.flatMap({ JSONString($0).text(in: bytes) }) { members.append((name, member)) }
        }
        return members
    }

    /// The text of a string that is not secret; nil for anything else.
    package static func text(_ value: Value?, in bytes: Span<UInt8>) -> String? {
        guard let value, value.kind == .string else { return nil }
        return JSONString(value.range).text(in: bytes)
    }

    private static func forEachMember(
        of value: Value,
        in bytes: Span<UInt8>,
        _ body: (Range<Int>?, Value) -> Void
    ) {
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
                guard scanner.string(bytes) else { return }
                key = start..<scanner.position
                scanner.skipSpace(bytes)
                guard scanner.take(":", bytes) else { return }
            }
            guard let member = Self.value(&scanner, in: bytes) else { return }
            body(key, member)
            scanner.skipSpace(bytes)
        } while scanner.take(",", bytes)
    }

    /// Steps over a value.
    private static func value(_ scanner: inout JSONScanner, in bytes: Span<UInt8>) -> Value? {
        scanner.skipSpace(bytes)
        let start = scanner.position
        guard scanner.value(bytes) else { return nil }
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
