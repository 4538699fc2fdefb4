// SPDX-License-Identifier: Apache-2.0

package import SecretProviders
package import SecureMemory

/// Keys that requests to AWS are signed with.
package final class AWSKeys: Sendable {
    /// Seconds before their end from which on others are wanted.
    private static let margin: Int64 = 300

    /// The name of the key.
    let accessKey: String
    /// The key, which leaves this buffer for no request.
    let secretKey: SecureBuffer
    private let heldToken: HeldText?
    /// Goes with each request of keys that end; worth nothing without the key.
    var sessionToken: String? { heldToken?.text }
    /// Seconds since 1970 at which they end; nil for never.
    let end: Int64?

    /// Makes keys.
    ///
    /// - Parameters:
    ///   - accessKey: the name of the key.
    ///   - secretKey: the key.
    ///   - sessionToken: what goes with each request; nil or empty for nothing.
    ///   - end: seconds since 1970 at which they end; nil for never.
    /// - Throws: where there is no memory for them.
    package init(
        accessKey: String,
        secretKey: consuming SecureBuffer,
        sessionToken: String?,
        end: Int64? = nil
    ) throws(ProviderError) {
        let heldKey = try secretKey.held()
        var heldToken: HeldText?
        if let sessionToken, !sessionToken.isEmpty { heldToken = try HeldText(sessionToken.utf8.span) }
        self.heldToken = heldToken
        self.accessKey = accessKey
        self.secretKey = heldKey
        self.end = end
    }

    /// They can still be used.
    func areValid(at now: Int64) -> Bool { end.map { now < $0 } ?? true }

    /// Others are wanted, while these can still be used.
    func areEnding(at now: Int64) -> Bool { end.map { now >= $0 - Self.margin } ?? false }

    /// Reads what `credential_process`, containers and instances answer: members of one JSON object.
    ///
    /// - Parameters:
    ///   - text: the answer.
    ///   - tokenKey: the member with the session token.
    /// - Returns: nil where it is none.
    /// - Throws: where there is no memory for the key.
    static func read(_ text: consuming SecureBuffer, tokenKey: String) throws(ProviderError) -> AWSKeys? {
        guard let document = SecretDocument(text) else { return nil }
        let root = document.root
        guard let accessKey = document.text("AccessKeyId", of: root), HeaderText.isPlain(accessKey),
            let secret = document.member("SecretAccessKey", of: root),
            let secretKey = try document.content(of: secret), secretKey.count > 0
        else { return nil }
        let token = document.text(tokenKey, of: root)
        guard token.map(HeaderText.isPlain) ?? true else { return nil }
        var end: Int64?
        if let text = document.text("Expiration", of: root) {
            guard let seconds = AWSTime.seconds(text) else { return nil }
            end = seconds
        }
        return try AWSKeys(accessKey: accessKey, secretKey: secretKey, sessionToken: token, end: end)
    }
}
