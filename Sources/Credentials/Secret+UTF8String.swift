// SPDX-License-Identifier: Apache-2.0

/// The way out of locked memory, for interfaces that take text only.
extension Secret {
    /// Lends the content as a `String`, for interfaces that take nothing else.
    ///
    /// The string is a copy in ordinary memory: it can be swapped and dumped, and Swift does not wipe it when it is
    /// freed. Prefer ``withBytes(_:)``. This function is the only place where the library makes such a copy.
    ///
    /// - Parameter body: gets the text; it must not keep it.
    /// - Returns: what `body` returns.
    /// - Throws: what `body` throws; ``CredentialsError/Code/invalidFormat`` where the bytes are not UTF-8.
    public func withUTF8String<R: ~Copyable>(_ body: (String) throws -> R) throws -> R {
        try body(text())
    }

    /// The bytes are UTF-8 without a NUL, which would end the text in every C library.
    var isText: Bool {
        withBytes { bytes in
            guard (try? UTF8Span(validating: bytes)) != nil else { return false }
            for index in bytes.indices where bytes[index] == 0 { return false }
            return true
        }
    }

    private func text() throws(CredentialsError) -> String {
        try withBytes { (bytes) throws(CredentialsError) in
            guard let text = try? UTF8Span(validating: bytes) else {
                throw CredentialsError(.invalidFormat, reason: "not UTF-8")
            }
            return String(copying: text)
        }
    }
}
