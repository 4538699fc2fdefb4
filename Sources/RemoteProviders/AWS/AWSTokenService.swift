// SPDX-License-Identifier: Apache-2.0

internal import SecretProviders
internal import SecureMemory

/// Security Token Service, which gives keys that end for a role.
struct AWSTokenService: Sendable {
    /// The largest answer in bytes.
    private static let limit = 1 << 18
    private static let version = "2011-06-15"

    private let client: AWSClient

    /// Makes one.
    init(_ client: AWSClient) {
        self.client = client
    }

    /// What is asked for.
    struct Role: Sendable {
        /// Name of the role (ARN).
        let name: String
        /// Name of the session, which is in the logs of AWS.
        let session: String
        /// Seconds that the keys are for; nil for the usual hour.
        var duration: String?
        /// What who owns the role has to be told.
        var externalID: String?
    }

    /// Gets keys for a role by other keys.
    func assume(_ role: Role, with keys: AWSKeys, _ deadline: Int64) throws(ProviderError) -> AWSKeys {
        let body = try SecureBuffer.copying(Self.form("AssumeRole", role))
        let response = try client.post(body, headers: Self.headers, keys, limit: Self.limit, deadline)
        return try Self.read(response, "sts:AssumeRole of \(role.name)")
    }

    /// Gets keys for a role by a token of somebody whom AWS trusts; such a request is not signed.
    func assume(_ role: Role, withToken token: borrowing SecureBuffer, _ deadline: Int64) throws(ProviderError)
        -> AWSKeys
    {
        let start = Array((Self.form("AssumeRoleWithWebIdentity", role) + "&WebIdentityToken=").utf8)
        let body = try token.withBytes { (token) throws(ProviderError) in
            try SecureBuffer.made(capacity: start.count + 3 * token.count) { (bytes) in
                for index in start.indices { bytes[index] = start[index] }
                var filled = start.count
                for index in token.indices { FormText.write(token[index], to: &bytes, &filled) }
                return filled
            }
        }
        var request = HTTPRequest("POST", client.endpoint, "/", headers: Self.headers, body: body)
        request.limit = Self.limit
        let response = try client.transport.send(request, until: deadline)
        return try Self.read(response, "sts:AssumeRoleWithWebIdentity of \(role.name)")
    }

    private static let headers = [(name: "Content-Type", value: "application/x-www-form-urlencoded")]

    private static func form(_ action: String, _ role: Role) -> String {
        let pairs = [
            ("Action", action), ("Version", version), ("RoleArn", role.name), ("RoleSessionName", role.session),
            ("DurationSeconds", role.duration), ("ExternalId", role.externalID),
        ]
        return pairs.compactMap { key, value in value.map { "\(key)=\(FormText.encoded($0))" } }.joined(separator: "&")
    }

    private static func read(_ response: consuming HTTPResponse, _ right: String) throws(ProviderError) -> AWSKeys {
        guard response.status == 200 else { throw AWSFailure(response).error(right) }
        let body = response.takeBody()
        guard let accessKey = XMLText.element("AccessKeyId", in: body), HeaderText.isPlain(accessKey),
            let secretKey = try XMLText.secret("SecretAccessKey", in: body), secretKey.count > 0,
            let token = XMLText.element("SessionToken", in: body), HeaderText.isPlain(token),
            let end = XMLText.element("Expiration", in: body).flatMap(AWSTime.seconds)
        else { throw ProviderError(.invalid, "the answer of the token service has no keys") }
        return try AWSKeys(accessKey: accessKey, secretKey: secretKey, sessionToken: token, end: end)
    }
}

/// Text of a form (application/x-www-form-urlencoded): all but letters, digits and `-._~` as `%` and two digits.
enum FormText {
    /// The text of a value that is not secret.
    static func encoded(_ text: String) -> String {
        var bytes = [UInt8](repeating: 0, count: 3 * text.utf8.count)
        var filled = 0
        var span = bytes.mutableSpan
        for byte in text.utf8 { write(byte, to: &span, &filled) }
        return String(decoding: bytes.prefix(filled), as: UTF8.self)
    }

    /// Writes one byte of a value.
    static func write(_ byte: UInt8, to bytes: inout MutableSpan<UInt8>, _ filled: inout Int) {
        switch byte {
        case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2d, 0x2e, 0x5f, 0x7e:
            bytes[filled] = byte
            filled += 1
        default:
            bytes[filled] = UInt8(ascii: "%")
            bytes[filled + 1] = digit(byte >> 4)
            bytes[filled + 2] = digit(byte & 15)
            filled += 3
        }
    }

    private static func digit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 + value : 0x37 + value }
}
