// SPDX-License-Identifier: Apache-2.0

internal import SecretProviders
internal import SecureMemory
internal import Synchronization

/// Requests to a server of Vault.
final class VaultClient: Sendable {
    private static let answerLimit = 1 << 18

    private let endpoint: Endpoint
    private let namespace: String?
    private let login: VaultLogin
    private let transport: any HTTPTransport
    /// Mounts and versions of engines that were asked for.
    private let engines = Mutex<[String: (mount: String, version: Int)]>([:])

    /// Makes one.
    ///
    /// - Parameters:
    ///   - endpoint: the server.
    ///   - namespace: the name space; nil for the root.
    ///   - login: has tokens.
    ///   - transport: sends.
    init(_ endpoint: Endpoint, namespace: String?, _ login: VaultLogin, _ transport: any HTTPTransport) {
        self.endpoint = endpoint
        self.namespace = namespace
        self.login = login
        self.transport = transport
    }

    /// The mount that a path is below, with a slash at its end, and the version of its engine.
    ///
    /// A token that may not ask for that may still read: the second version, mounted at the first part of the path, is supposed then.
    func engine(of path: String, _ deadline: Int64) throws(ProviderError) -> (mount: String, version: Int) {
        if let known = engines.withLock({ engines in engines.first { "\(path)/".hasPrefix($0.key) }?.value }) {
            return known
        }
        let first = path.prefix { $0 != "/" } + "/"
        var engine = (mount: String(first), version: 2)
        do throws(ProviderError) {
            let answer = try get("sys/internal/ui/mounts/\(path)", "", limit: Self.answerLimit, deadline)
            guard let data = answer.member("data", of: answer.root), let mount = answer.text("path", of: data),
                "\(path)/".hasPrefix(mount), mount.hasSuffix("/")
            else { throw ProviderError(.invalid, "the answer names no engine") }
            let options = answer.member("options", of: data)
            let version = options.flatMap { answer.text("version", of: $0) }
            engine = (mount, version == "2" ? 2 : 1)
        } catch {
            guard error.kind == .denied else { throw error }
        }
        let found = engine
        engines.withLock { $0[found.mount] = found }
        return found
    }

    /// Reads a path, once more with another token where the first is refused.
    func get(_ path: String, _ query: String, limit: Int, _ deadline: Int64) throws(ProviderError) -> SecretDocument {
        var hasRenewed = false
        while true {
            let token = try login.token(deadline) { (path, body) throws(ProviderError) in
                try self.send("POST", path, "", token: nil, body, limit: Self.answerLimit, deadline)
            }
            let response = try send("GET", path, query, token: token, try SecureBuffer.empty(), limit: limit, deadline)
            if response.status == 403, !hasRenewed, login.forget() {
                hasRenewed = true
                continue
            }
            guard response.status == 200 else { throw Self.error(response) }
            guard let document = SecretDocument(response.takeBody()) else {
                throw ProviderError(.invalid, "the answer is not JSON")
            }
            return document
        }
    }

    private func send(
        _ method: String,
        _ path: String,
        _ query: String,
        token: String?,
        _ body: consuming SecureBuffer,
        limit: Int,
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
