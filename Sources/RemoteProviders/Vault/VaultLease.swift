// SPDX-License-Identifier: Apache-2.0

internal import SecretProviders
internal import SecureMemory

/// Token of Vault, with the time that it has.
struct VaultLease: Sendable {
    /// The longest time in seconds that is believed; nobody waits for the end of it.
    private static let longest: Int64 = 10 * 366 * 86_400
    /// The most seconds before its end at which a token is renewed.
    private static let margin: Int64 = 60

    private let held: HeldText
    /// The token.
    var token: String { held.text }
    /// Seconds since 1970 from which on it is renewed, or another is wanted; nil for never.
    var due: Int64?
    /// Seconds since 1970 of its end, as far as is known.
    let end: Int64?
    /// Seconds that it was given for.
    let duration: Int64
    /// Vault may give it more time.
    let isRenewable: Bool

    /// Makes one that begins now.
    ///
    /// - Parameters:
    ///   - token: the token.
    ///   - duration: seconds that it lives for; 0 for one that does not end.
    ///   - isRenewable: whether Vault may give it more time.
    ///   - now: seconds since 1970.
    /// - Throws: `denied` for what no header can have.
    init(_ token: String, lasting duration: Int64 = 0, isRenewable: Bool = false, now: Int64) throws(ProviderError) {
        guard !token.isEmpty, HeaderText.isPlain(token) else {
            throw ProviderError(.denied, "the token of Vault is empty, or has what no header can have")
        }
        held = try HeldText(token.utf8.span)
        self.duration = min(max(0, duration), Self.longest)
        self.isRenewable = isRenewable
        end = self.duration > 0 ? now + self.duration : nil
        due = end.map { [duration = self.duration] in $0 - min(Self.margin, duration / 5) }
    }

    /// Reads the answer to a login, a renewal or an unwrapping.
    ///
    /// - Throws: `invalid` where it has no token.
    init(_ document: SecretDocument?, now: Int64) throws(ProviderError) {
        guard let document, let auth = document.member("auth", of: document.root),
            let token = document.text("client_token", of: auth)
        else { throw ProviderError(.invalid, "the answer of Vault has no token") }
        try self.init(token, lasting: "lease_duration", isRenewable: "renewable", of: auth, in: document, now: now)
    }

    /// Reads what an object says of a token.
    init(
        _ token: String,
        lasting duration: String,
        isRenewable: String,
        of node: SecretDocument.Node,
        in document: SecretDocument,
        now: Int64
    ) throws(ProviderError) {
        let mark = try document.member(isRenewable, of: node).flatMap { (node) throws(ProviderError) in
            try document.content(of: node)?.withBytes { $0.text }
        }
        try self.init(
            token,
            lasting: try document.number(duration, of: node) ?? 0,
            isRenewable: mark == "true",
            now: now
        )
    }
}
