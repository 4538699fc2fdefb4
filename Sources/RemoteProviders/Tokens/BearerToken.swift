// SPDX-License-Identifier: Apache-2.0

internal import SecretProviders
internal import SecureMemory

/// Access token of OAuth 2.0 (RFC 6750), in locked memory: whoever shows it is let in.
final class BearerToken: Sendable {
    /// Seconds before its end from which on another one is wanted; less for one that lives shorter.
    private static let margin: Int64 = 300

    /// The token, which can stand in a header.
    let bytes: SecureBuffer
    /// Seconds since 1970 at which it ends; nil where nobody knows.
    private let end: Int64?
    private let due: Int64?

    /// Makes a token.
    ///
    /// - Parameters:
    ///   - bytes: its characters.
    ///   - now: seconds since 1970.
    ///   - lifetime: seconds that it lives; nil where nobody knows.
    /// - Throws: `denied` for what no header can have.
    init(_ bytes: consuming SecureBuffer, now: Int64 = 0, lifetime: Int64? = nil) throws(ProviderError) {
        let isPlain = bytes.withBytes { bytes in bytes.indices.allSatisfy { (0x21...0x7e).contains(bytes[$0]) } }
        guard bytes.count > 0, isPlain else {
            throw ProviderError(.denied, "an access token is empty, or has what no header can have")
        }
        // A server can name any number.
        let lifetime = lifetime.map { min(max($0, 0), 86_400 * 365) }
        end = lifetime.map { now + $0 }
        due = lifetime.map { now + $0 - min(Self.margin, $0 / 5) }
        self.bytes = try bytes.held()
    }

    /// It can still be used.
    func isValid(at now: Int64) -> Bool { end.map { now < $0 } ?? true }

    /// Another one is wanted, while this one can still be used.
    func isEnding(at now: Int64) -> Bool { due.map { now >= $0 } ?? false }

    /// Reads the answer of a token endpoint (RFC 6749 section 5.1): `access_token` and `expires_in`.
    ///
    /// - Parameters:
    ///   - body: the answer.
    ///   - now: seconds since 1970 at which it was asked for.
    /// - Returns: the token.
    /// - Throws: `invalid` for an answer that has none.
    static func read(_ body: consuming SecureBuffer, now: Int64) throws(ProviderError) -> BearerToken {
        guard let document = SecretDocument(body), let member = document.member("access_token", of: document.root),
            let bytes = try document.content(of: member)
        else { throw ProviderError(.invalid, "the answer has no access token") }
        // Some servers write the number as a text.
        let text = document.text("expires_in", of: document.root)
        let number = try document.number("expires_in", of: document.root)
        let lifetime = text.flatMap { Int64($0) } ?? number
        return try BearerToken(bytes, now: now, lifetime: lifetime)
    }
}
