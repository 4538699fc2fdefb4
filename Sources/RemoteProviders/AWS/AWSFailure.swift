// SPDX-License-Identifier: Apache-2.0

internal import SecretProviders
package import SecureMemory

/// Failure that a server of AWS answers, by the status and whatever the body says.
///
/// Bodies differ: JSON, XML, or a page of a proxy between. Only the code of the error is taken from them, no sentence.
package struct AWSFailure: Error, Sendable, Equatable {
    /// Code of the error, such as `AccessDeniedException`; empty where the answer has none.
    package let code: String
    /// Hint for keys that have ended.
    static let newKeys = "get keys anew: aws sso login, or another profile"

    private let status: Int
    private let retryAfter: Int?

    /// Reads an answer that is no success.
    package init(_ response: borrowing HTTPResponse) {
        status = response.status
        retryAfter = response.retryAfter
        let header = response.headers["x-amzn-errortype"]
        code = Self.plain(header ?? "") ?? Self.code(in: response.body)
    }

    /// Makes the failure of one item of an answer.
    init(code: String) {
        self.code = Self.plain(code) ?? ""
        status = 400
        retryAfter = nil
    }

    /// The code in a body of JSON or XML; empty where there is none.
    package static func code(in body: borrowing SecureBuffer) -> String {
        let copy = try? body.withBytes { (bytes) throws(ProviderError) in try SecureBuffer.copying(bytes) }
        if let copy, let document = SecretDocument(copy) {
            for key in ["__type", "code", "Code"] {
                if let code = document.text(key, of: document.root).flatMap(Self.plain) { return code }
            }
        }
        return XMLText.element("Code", in: body).flatMap(Self.plain) ?? ""
    }

    /// A code without its name space and what follows a colon; nil for what is none.
    private static func plain(_ text: String) -> String? {
        let code = text.split(separator: "#").last?.prefix { $0 != ":" } ?? ""
        let isCode = code.utf8.allSatisfy { byte in
            (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte) || byte == 0x2e
        }
        return !code.isEmpty && code.utf8.count <= 100 && isCode ? String(code) : nil
    }

    /// There is no such secret.
    var isNotFound: Bool {
        ["ParameterNotFound", "ParameterVersionNotFound", "ResourceNotFoundException"].contains(code)
    }

    /// The keys have ended, or are known no more: others may be.
    var concernsKeys: Bool {
        [
            "ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException",
            "InvalidToken",
        ].contains(code)
    }

    /// Another right is missing: for one item of many, perhaps.
    var isDenied: Bool { code.hasPrefix("AccessDenied") || code == "KMSAccessDenied" }

    /// The request cannot be meant, perhaps for one item of many.
    var isRefused: Bool { code.hasPrefix("Validation") }

    /// The error for whoever asked.
    ///
    /// - Parameter right: what the rights have to allow.
    /// - Returns: the error.
    func error(_ right: String) -> ProviderError {
        let word = code.isEmpty ? "status \(status)" : code
        if isNotFound { return ProviderError(.notFound, "AWS knows no such secret") }
        if concernsKeys {
            return ProviderError(.denied, "the AWS keys are refused: \(word)", hint: Self.newKeys)
        }
        if isDenied {
            return ProviderError(.denied, "AWS refuses: \(word)", hint: "the rights of the keys have to allow \(right)")
        }
        switch code {
        case "SignatureDoesNotMatch", "InvalidSignatureException", "IncompleteSignature", "MissingAuthenticationToken":
            return ProviderError(
                .denied,
                "AWS refuses the signature: \(word)",
                hint: "the secret key is not that of the key id"
            )
        case "RequestTimeTooSkewed", "RequestExpired":
            return ProviderError(
                .denied,
                "AWS refuses the time of the request: \(word)",
                hint: "set the clock of this machine"
            )
        case "InvalidKeyId", "KMSInvalidStateException", "DecryptionFailure":
            return ProviderError(.denied, "the KMS key of the secret cannot be used: \(word)")
        case "InvalidRequestException":
            return ProviderError(.notFound, "the secret is marked for deletion, or has no such version: \(word)")
        case _ where code.hasPrefix("Throttl") || code.hasPrefix("TooManyRequests") || status == 429,
            "RequestLimitExceeded", "SlowDown", "BandwidthLimitExceeded":
            return ProviderError(.throttled, "AWS takes no more requests for now: \(word)", retryAfter: retryAfter)
        default: break
        }
        switch status {
        case 300..<400:
            return ProviderError(.unavailable, "the server answers with a redirect, which is not followed: \(word)")
        case 401, 403: return ProviderError(.denied, "AWS refuses: \(word)")
        case 408, 500...: return ProviderError(.unavailable, "AWS fails for now: \(word)", retryAfter: retryAfter)
        default: return ProviderError(.invalid, "AWS does not take the request: \(word)")
        }
    }
}
