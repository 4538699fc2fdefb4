// SPDX-License-Identifier: Apache-2.0

internal import Sealing
package import SecretProviders
internal import SecureJSON
package import SecureMemory

/// Key of a service account of Google: the file that the console gives for it.
package struct GoogleAccount: Sendable {
    /// Where tokens are given out if the file does not say.
    private static let usualEndpoint = "https://oauth2.googleapis.com/token"
    private static let scope = "https://www.googleapis.com/auth/cloud-platform"
    /// Seconds that an assertion is good for; Google takes no more.
    private static let lifetime: Int64 = 3600
    private static let answerLimit = 1 << 16

    private let document: SecretDocument
    private let key: SecretDocument.Node
    private let email: String
    private let keyID: String?
    private let address: String
    private let endpoint: Endpoint

    /// Reads a file.
    ///
    /// - Parameters:
    ///   - text: the file.
    ///   - path: its path, for messages.
    /// - Throws: `denied` for another kind of credentials, and for a file that is none.
    package init(_ text: consuming SecureBuffer, path: String) throws(ProviderError) {
        guard let document = SecretDocument(text), let type = document.text("type", of: document.root) else {
            throw ProviderError(.denied, "\(path) has no credentials of Google")
        }
        guard type == "service_account" else {
            throw ProviderError(
                .denied,
                "\(path) is not the key of a service account",
                hint: "for a login of your own: CLOUDSDK_AUTH_ACCESS_TOKEN=$(gcloud auth print-access-token)"
            )
        }
        let address = document.text("token_uri", of: document.root) ?? Self.usualEndpoint
        guard let email = document.text("client_email", of: document.root),
            let key = document.member("private_key", of: document.root), let endpoint = Endpoint(address)
        else {
            throw ProviderError(.denied, "\(path) lacks client_email, private_key or a token_uri with https")
        }
        self.document = document
        self.key = key
        self.email = email
        keyID = document.text("private_key_id", of: document.root)
        self.address = address
        self.endpoint = endpoint
    }

    /// Text that says who we are and that we want in (RFC 7523), signed: whoever has it within an hour gets a token.
    ///
    /// - Parameter now: seconds since 1970.
    /// - Returns: a JWT (RFC 7519).
    /// - Throws: `denied` for a key that is none.
    package func assertion(at now: Int64) throws(ProviderError) -> SecureBuffer {
        var header: [String: JSONValue] = ["alg": .string("RS256"), "typ": .string("JWT")]
        if let keyID { header["kid"] = .string(keyID) }
        let claims: [String: JSONValue] = [
            "iss": .string(email), "scope": .string(Self.scope), "aud": .string(address), "iat": .integer(now),
            "exp": .integer(now + Self.lifetime),
        ]
        let parts = [header, claims].map { part in
            Base64.text(Array(JSONValue.object(part).text(.line).utf8), .urlSafe)
        }
        let signed = Array(parts.joined(separator: ".").utf8)
        let message = signed + [UInt8(ascii: ".")]
        guard let pem = try document.content(of: key) else { throw Self.noKey }
        do throws(SealingError) {
            let key = try pem.withBytes { (pem) throws(SealingError) in try RSAKey(pem: pem) }
            let signature = try SecureBuffer.filled(capacity: key.signatureByteCount, orThrow: SealingError.memory) {
                (bytes) throws(SealingError) in
                try key.sign(signed.span, into: &bytes)
                return bytes.count
            }
            let count = Base64.encodedCount(signature.count, .urlSafe)
            let text = try SecureBuffer.filled(capacity: count, orThrow: SealingError.memory) {
                (text) throws(SealingError) in
                signature.withBytes { Base64.encode($0, .urlSafe, into: &text) }
                return count
            }
            return try SecureBuffer.filled(capacity: message.count + count, orThrow: SealingError.memory) {
                (bytes) throws(SealingError) in
                for index in message.indices { bytes[index] = message[index] }
                text.withBytes { text in
                    for index in text.indices { bytes[message.count + index] = text[index] }
                }
                return bytes.count
            }
        } catch { throw Self.noKey }
    }

    /// Gets a token.
    ///
    /// - Parameters:
    ///   - transport: sends the request.
    ///   - now: seconds since 1970.
    ///   - deadline: time by which to have it.
    /// - Returns: the token.
    /// - Throws: `denied` where Google refuses the key.
    func token(_ transport: any HTTPTransport, at now: Int64, _ deadline: Int64) throws(ProviderError) -> BearerToken {
        let body = try SecretForm.body(
            [("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")],
            "assertion",
            try assertion(at: now)
        )
        var request = HTTPRequest("POST", endpoint, "", headers: SecretForm.headers, body: body)
        request.limit = Self.answerLimit
        let response = try transport.send(request, until: deadline)
        switch response.status {
        case 200: return try BearerToken.read(response.takeBody(), now: now)
        case 400, 401, 403:
            throw ProviderError(
                .denied,
                "Google refuses the key of \(email)",
                hint: "it may be deleted or disabled, or the clock of this machine is wrong"
            )
        default:
            throw TokenClient.Failure(status: response.status, word: "", retryAfter: response.retryAfter)
                .error("Google's token endpoint", right: "")
        }
    }

    private static let noKey = ProviderError(.denied, "the private_key of the service account is no RSA key in PEM")
}
