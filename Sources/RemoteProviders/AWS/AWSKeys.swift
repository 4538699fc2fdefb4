// SPDX-License-Identifier: Apache-2.0

internal import SecretProviders
package import SecureMemory

/// Keys that requests to AWS are signed with.
package final class AWSKeys: Sendable {
    /// Seconds before their end from which on others are wanted.
    private static let margin: Int64 = 300

    /// The name of the key.
    let accessKey: String
    /// The key, which leaves this buffer for no request.
    let secretKey: SecureBuffer
    /// Goes with each request of keys that end; worth nothing without the key.
    let sessionToken: String?
    /// Seconds since 1970 at which they end; nil for never.
    let end: Int64?

    /// Makes keys.
    package init(accessKey: String, secretKey: consuming SecureBuffer, sessionToken: String?, end: Int64? = nil) {
        self.accessKey = accessKey
        self.secretKey = secretKey
        self.sessionToken = sessionToken.flatMap { $0.isEmpty ? nil : $0 }
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
        return AWSKeys(accessKey: accessKey, secretKey: secretKey, sessionToken: token, end: end)
    }
}
