// SPDX-License-Identifier: Apache-2.0

internal import SecretProviders
internal import SecureJSON
internal import SecureMemory

/// Requests to a server of Vault, in one of its name spaces.
struct VaultRequests: Sendable {
    /// The largest answer in bytes that is no map of secrets.
    static let answerLimit = 1 << 18

    private let endpoint: Endpoint
    private let namespace: String?
    private let transport: any HTTPTransport

    /// Makes them possible.
    ///
    /// - Parameters:
    ///   - endpoint: the server.
    ///   - namespace: the name space; nil for the root.
    ///   - transport: sends.
    init(_ endpoint: Endpoint, namespace: String?, _ transport: any HTTPTransport) {
        self.endpoint = endpoint
        self.namespace = namespace
        self.transport = transport
    }

    /// Reads a path.
    ///
    /// - Parameters:
    ///   - path: the path, without a slash at its start.
    ///   - query: its query with the question mark, or nothing.
    ///   - token: lets us in.
    ///   - limit: the largest answer in bytes.
    ///   - deadline: time by which to end, in milliseconds of `BootClock`.
    /// - Returns: the answer, whatever its status.
    /// - Throws: what sending throws.
    func get(
        _ path: String,
        _ query: String = "",
        token: String,
        limit: Int = answerLimit,
        _ deadline: Int64
    ) throws(ProviderError) -> HTTPResponse {
        try send("GET", path, query, token, try SecureBuffer.empty(), limit, deadline)
    }

    /// Has something done at a path.
    ///
    /// - Parameters:
    ///   - path: the path, without a slash at its start.
    ///   - members: what is said.
    ///   - token: lets us in; nil for what asks for none.
    ///   - deadline: time by which to end, in milliseconds of `BootClock`.
    /// - Returns: the answer, whatever its status.
    /// - Throws: what sending throws.
    func post(
        _ path: String,
        _ members: [String: JSONValue] = [:],
        token: String? = nil,
        _ deadline: Int64
    ) throws(ProviderError) -> HTTPResponse {
        let body = try SecureBuffer.copying(JSONValue.object(members).text(.line))
        return try send("POST", path, "", token, body, Self.answerLimit, deadline)
    }

    private func send(
        _ method: String,
        _ path: String,
        _ query: String,
        _ token: String?,
        _ body: consuming SecureBuffer,
        _ limit: Int,
        _ deadline: Int64
    ) throws(ProviderError) -> HTTPResponse {
        var headers = [(name: "X-Vault-Request", value: "true")]
        if let token { headers.append(("X-Vault-Token", token)) }
        if let namespace { headers.append(("X-Vault-Namespace", namespace)) }
        if body.count > 0 { headers.append(("Content-Type", "application/json")) }
        let target = "/v1/" + path.split(separator: "/").map { FormText.encoded(String($0)) }.joined(separator: "/")
        var request = HTTPRequest(method, endpoint, target + query, headers: headers, body: body)
        request.limit = limit
        return try transport.send(request, until: deadline)
    }

    /// The error of an answer, by its status alone.
    static func error(_ response: borrowing HTTPResponse) -> ProviderError {
        switch response.status {
        case 400: ProviderError(.invalid, "Vault does not take the request")
        case 403:
            ProviderError(
                .denied,
                "Vault refuses the token, or what it may read",
                hint: "a policy has to allow read of the path; vault token lookup says whether the token lives"
            )
        case 404: ProviderError(.notFound, "Vault has no such path or version")
        case 429: ProviderError(.throttled, "Vault takes no more requests for now", retryAfter: response.retryAfter)
        case 503:
            ProviderError(.unavailable, "Vault is sealed, or down for maintenance", retryAfter: response.retryAfter)
        case 300..<400: ProviderError(.unavailable, "the server answers with a redirect, which is not followed")
        case 412, 472, 473, 500...:
            ProviderError(
                .unavailable,
                "Vault fails for now: status \(response.status)",
                retryAfter: response.retryAfter
            )
        default: ProviderError(.invalid, "Vault does not take the request: status \(response.status)")
        }
    }
}
