// SPDX-License-Identifier: Apache-2.0

internal import SecretProviders
internal import SecureMemory

/// Requests to a service that a token lets in, answered with JSON.
struct TokenClient: Sendable {
    /// Failure that the service answers: its status, and a word of its body.
    struct Failure: Error, Sendable {
        /// The status.
        let status: Int
        /// Word that stands for the error; empty where the answer has none.
        let word: String
        /// Seconds to wait that the service names.
        let retryAfter: Int?

        /// The error for whoever asked, where the service has no meaning of its own for the word.
        ///
        /// - Parameters:
        ///   - service: name of the service.
        ///   - right: what its rights have to allow.
        /// - Returns: the error.
        func error(_ service: String, right: String) -> ProviderError {
            let word = word.isEmpty ? "status \(status)" : word
            switch status {
            case 401:
                return ProviderError(.denied, "\(service) refuses the access token: \(word)", hint: "log in anew")
            case 403: return ProviderError(.denied, "\(service) refuses: \(word)", hint: right)
            case 404: return ProviderError(.notFound, "\(service) has no such secret or version")
            case 429:
                return ProviderError(
                    .throttled,
                    "\(service) takes no more requests for now: \(word)",
                    retryAfter: retryAfter
                )
            case 300..<400:
                return ProviderError(.unavailable, "\(service) answers with a redirect, which is not followed")
            case 408, 500...:
                return ProviderError(.unavailable, "\(service) fails for now: \(word)", retryAfter: retryAfter)
            default: return ProviderError(.invalid, "\(service) does not take the request: \(word)")
            }
        }
    }

    /// The service.
    let endpoint: Endpoint
    let transport: any HTTPTransport
    let tokens: TokenCache
    /// Finds the word of an error in its body.
    let word: @Sendable (SecretDocument) -> String?
    /// The error for whoever asked.
    let explain: @Sendable (Failure) -> ProviderError

    /// Reads a document, once more with another token where the first is refused.
    ///
    /// - Parameters:
    ///   - target: path and query.
    ///   - limit: the largest answer in bytes.
    ///   - deadline: time by which to end.
    /// - Returns: the document.
    /// - Throws: what transport, tokens or the service have to say.
    func get(_ target: String, limit: Int, _ deadline: Int64) throws(ProviderError) -> SecretDocument {
        var hasRenewed = false
        while true {
            let token = try tokens.token(until: deadline)
            let headers = [(name: "Accept", value: "application/json")]
            var request = HTTPRequest("GET", endpoint, target, headers: headers, body: try SecureBuffer.empty())
            request.limit = limit
            request.bearer = token
            let response = try transport.send(request, until: deadline)
            if response.status == 401, !hasRenewed {
                hasRenewed = true
                tokens.forget(token)
                continue
            }
            guard response.status == 200 else { throw explain(failure(response)) }
            guard let document = SecretDocument(response.takeBody()) else {
                throw ProviderError(.invalid, "the answer is not JSON")
            }
            return document
        }
    }

    private func failure(_ response: consuming HTTPResponse) -> Failure {
        let (status, retryAfter) = (response.status, response.retryAfter)
        let word = SecretDocument(response.takeBody()).flatMap(word) ?? ""
        return Failure(status: status, word: Self.isWord(word) ? word : "", retryAfter: retryAfter)
    }

    /// Letters, digits and `_`: what is none can be a sentence, which may have content.
    private static func isWord(_ text: String) -> Bool {
        text.utf8.count <= 100
            && text.utf8.allSatisfy { byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, UInt8(ascii: "_"): true
                default: false
                }
            }
    }
}
