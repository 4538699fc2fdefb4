// SPDX-License-Identifier: Apache-2.0

internal import SecureJSON

/// One step from a JSON value to a member of it: a key (`"password"`) or an index (`0`).
public struct JSONPathElement: Sendable, Hashable, ExpressibleByStringLiteral, ExpressibleByIntegerLiteral {
    enum Kind: Hashable {
        case key(String)
        case index(Int)
    }

    let kind: Kind

    /// The member of an object under a key.
    ///
    /// - Parameter key: the key, compared byte for byte once escapes are resolved.
    /// - Returns: the step.
    public static func key(_ key: String) -> JSONPathElement { JSONPathElement(kind: .key(key)) }

    /// The member of an array at an index.
    ///
    /// - Parameter index: 0 for the first.
    /// - Returns: the step.
    public static func index(_ index: Int) -> JSONPathElement { JSONPathElement(kind: .index(index)) }

    private init(kind: Kind) {
        self.kind = kind
    }

    /// A key.
    ///
    /// - Parameter value: the key.
    public init(stringLiteral value: String) {
        self = .key(value)
    }

    /// An index.
    ///
    /// - Parameter value: 0 for the first.
    public init(integerLiteral value: Int) {
        self = .index(value)
    }

    var text: String {
        switch kind {
        case .key(let key): key
        case .index(let index): String(index)
        }
    }
}

/// Credentials that are JSON, read where they are: no document is built, no member is copied but into a secret.
///
/// Every function checks the whole text first (RFC 8259 to the letter, at most 64 levels deep) and refuses a key on the
/// path that is there twice.
extension Secret {
    /// A string member as a secret of its own.
    ///
    /// - Parameter path: keys and indices from the outermost value on.
    /// - Returns: the content of the string, escapes resolved.
    /// - Throws: ``CredentialsError/Code/credentialNotFound`` where there is no such member,
    ///   ``CredentialsError/Code/invalidFormat`` where it is not a string or the whole is not JSON.
    public func jsonSecret(_ path: JSONPathElement...) throws(CredentialsError) -> Secret {
        try withBytes { (bytes) throws(CredentialsError) in
            let value = try Self.member(path, .string, "not a string", in: bytes)
            return try Secret.filled(capacity: value.range.count) { (target) throws(CredentialsError) in
                var reader = JSONString(value.range)
                var count = 0
                while let byte = reader.next(in: bytes) {
                    target[count] = byte
                    count += 1
                }
                return count
            }
        }
    }

    /// An integer member, such as a port.
    ///
    /// - Parameter path: keys and indices from the outermost value on.
    /// - Returns: the integer.
    /// - Throws: ``CredentialsError/Code/credentialNotFound`` where there is no such member,
    ///   ``CredentialsError/Code/invalidFormat`` where it is not an integer of 64 bits or the whole is not JSON.
    public func jsonInteger(_ path: JSONPathElement...) throws(CredentialsError) -> Int {
        try withBytes { (bytes) throws(CredentialsError) in
            let value = try Self.member(path, .number, "not an integer", in: bytes)
            guard let integer = Self.integer(bytes.extracting(value.range)) else {
                throw CredentialsError(.invalidFormat, name: Self.text(path), reason: "not an integer")
            }
            return integer
        }
    }

    /// A `true` or `false` member.
    ///
    /// - Parameter path: keys and indices from the outermost value on.
    /// - Returns: the value.
    /// - Throws: ``CredentialsError/Code/credentialNotFound`` where there is no such member,
    ///   ``CredentialsError/Code/invalidFormat`` where it is neither or the whole is not JSON.
    public func jsonBoolean(_ path: JSONPathElement...) throws(CredentialsError) -> Bool {
        try withBytes { (bytes) throws(CredentialsError) in
            let value = try Self.member(path, .boolean, "neither true nor false", in: bytes)
            return bytes[value.range.lowerBound] == UInt8(ascii: "t")
        }
    }

    /// The number of members of an object or array.
    ///
    /// - Parameter path: keys and indices from the outermost value on; none for the outermost value.
    /// - Returns: the number of members.
    /// - Throws: ``CredentialsError/Code/credentialNotFound`` where there is no such member,
    ///   ``CredentialsError/Code/invalidFormat`` where it is neither or the whole is not JSON.
    public func jsonCount(_ path: JSONPathElement...) throws(CredentialsError) -> Int {
        try withBytes { (bytes) throws(CredentialsError) in
            guard let value = try JSONReader.find(path, in: bytes) else { throw Self.missing(path) }
            guard value.kind == .object || value.kind == .array else {
                throw CredentialsError(.invalidFormat, name: Self.text(path), reason: "neither an object nor an array")
            }
            return JSONReader.count(value, in: bytes)
        }
    }

    /// Detects a member, even one that is `null`.
    ///
    /// - Parameter path: keys and indices from the outermost value on.
    /// - Returns: whether there is one.
    /// - Throws: ``CredentialsError/Code/invalidFormat`` where the whole is not JSON.
    public func jsonContains(_ path: JSONPathElement...) throws(CredentialsError) -> Bool {
        try withBytes { (bytes) throws(CredentialsError) in try JSONReader.find(path, in: bytes) != nil }
    }

    private static func member(
        _ path: [JSONPathElement],
        _ kind: JSONReader.Kind,
        _ otherwise: String,
        in bytes: Span<UInt8>
    ) throws(CredentialsError) -> JSONReader.Value {
        guard let value = try JSONReader.find(path, in: bytes) else { throw missing(path) }
        guard value.kind == kind else {
            throw CredentialsError(.invalidFormat, name: text(path), reason: otherwise)
        }
        return value
    }

    private static func missing(_ path: [JSONPathElement]) -> CredentialsError {
        CredentialsError(.credentialNotFound, name: text(path))
    }

    private static func text(_ path: [JSONPathElement]) -> String {
        path.map(\.text).joined(separator: ".")
    }

    /// The value of a JSON number without fraction and exponent.
    private static func integer(_ digits: Span<UInt8>) -> Int? {
        let isNegative = digits[0] == UInt8(ascii: "-")
        var result = 0
        for index in (isNegative ? 1 : 0)..<digits.count {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digits[index]) else { return nil }
            let (product, overflow) = result.multipliedReportingOverflow(by: 10)
            let digit = Int(digits[index] - 48)
            let (sum, carry) =
                isNegative
                ? product.subtractingReportingOverflow(digit) : product.addingReportingOverflow(digit)
            guard !overflow, !carry else { return nil }
            result = sum
        }
        return result
    }
}
