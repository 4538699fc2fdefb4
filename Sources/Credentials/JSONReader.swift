// SPDX-License-Identifier: Apache-2.0

internal import SecureJSON

/// Finds members of a JSON text (RFC 8259) without copying any of it: the whole text is checked first.
///
/// A key that is asked for must be there once.
struct JSONReader {
    typealias Kind = JSONOutline.Kind
    typealias Value = JSONOutline.Value

    /// The failure of a text that is not JSON.
    ///
    /// Where it goes wrong is not told: that would be content.
    private static var invalid: CredentialsError { CredentialsError(.invalidFormat, reason: "not JSON") }

    /// Checks a whole text.
    ///
    /// - Returns: its one value.
    static func check(_ bytes: Span<UInt8>) throws(CredentialsError) -> Value {
        guard let value = JSONOutline.check(bytes) else { throw invalid }
        return value
    }

    /// Finds a member of a text that has been checked.
    ///
    /// - Returns: nil where there is none.
    static func find(_ path: [JSONPathElement], in bytes: Span<UInt8>) throws(CredentialsError) -> Value? {
        var value = try check(bytes)
        for element in path {
            let found: [Value]
            switch element.kind {
            case .key(let key): found = JSONOutline.members(key, of: value, in: bytes)
            case .index(let index):
                let elements = JSONOutline.elements(of: value, in: bytes)
                found = elements.indices.contains(index) ? [elements[index]] : []
            }
            guard found.count < 2 else { throw CredentialsError(.invalidFormat, reason: "a key that is there twice") }
            guard let next = found.first else { return nil }
            value = next
        }
        return value
    }

    /// The number of members of an object or array.
    static func count(_ value: Value, in bytes: Span<UInt8>) -> Int {
        JSONOutline.count(of: value, in: bytes)
    }
}
