// SPDX-License-Identifier: Apache-2.0

internal import SecretProviders
internal import SecureMemory

/// Keys that the host hands out: to containers and pods, and to instances.
struct AWSHostKeys: Sendable {
    /// The largest answer in bytes.
    private static let limit = 1 << 16
    /// Milliseconds for reaching what is one hop away, if it is there at all.
    private static let patience: Int64 = 1000

    let environment: AWSEnvironment
    let transport: any HTTPTransport

    /// Keys of a container or pod; nil outside of one.
    func ofContainer(_ deadline: Int64) throws(ProviderError) -> AWSKeys? {
        let address: String
        if let path = environment["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] {
            address = "http://169.254.170.2\(path.hasPrefix("/") ? "" : "/")\(path)"
        } else if let full = environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"] {
            address = full
        } else {
            return nil
        }
        let parts = address.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        guard let endpoint = Endpoint(String(parts[0])) else {
            throw ProviderError(.denied, "the address of the container's keys is neither https nor one of this host")
        }
        var headers: [(name: String, value: String)] = [("Accept", "application/json")]
        if let token = try token() { headers.append(("Authorization", token)) }
        let target = parts.count == 2 ? "?\(parts[1])" : ""
        let response = try get("GET", endpoint, target, headers, deadline)
        guard response.status == 200, let keys = try AWSKeys.read(response.takeBody(), tokenKey: "Token") else {
            throw ProviderError(.unavailable, "the host has no keys for this container")
        }
        return keys
    }

    /// What a container shows to be let in; of a file what it has now.
    private func token() throws(ProviderError) -> String? {
        guard let path = environment["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] else {
            return environment.tokenOfContainer
        }
        guard let text = try environment.read(path, limit: Self.limit) else {
            throw ProviderError(
                .unavailable,
                "there is no \(path), which AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE names"
            )
        }
        let token = text.withBytes { $0.text } ?? ""
        return String(token.prefix { !$0.isNewline })
    }

    /// Keys of an instance, by the second version of its service of metadata alone; nil where there is no such service.
    func ofInstance(_ deadline: Int64) throws(ProviderError) -> AWSKeys? {
        guard !environment.isTrue("AWS_EC2_METADATA_DISABLED") else { return nil }
        let address = environment["AWS_EC2_METADATA_SERVICE_ENDPOINT"] ?? "http://169.254.169.254"
        guard let endpoint = Endpoint(address) else {
            throw ProviderError(
                .denied,
                "AWS_EC2_METADATA_SERVICE_ENDPOINT is neither https nor an address of this host"
            )
        }
        let lifetime = (name: "X-aws-ec2-metadata-token-ttl-seconds", value: "21600")
        let token: String
        do throws(ProviderError) {
            let answer = try get("PUT", endpoint, "/latest/api/token", [lifetime], deadline)
            guard answer.status == 200, let text = Self.line(answer.takeBody()) else { return nil }
            token = text
        } catch {
            // Most machines are no instance.
            return nil
        }
        let headers = [(name: "X-aws-ec2-metadata-token", value: token)]
        let path = "/latest/meta-data/iam/security-credentials/"
        let list = try get("GET", endpoint, path, headers, deadline)
        guard list.status != 404 else { return nil }
        guard list.status == 200, let role = Self.line(list.takeBody()) else { throw Self.failure }
        let response = try get("GET", endpoint, path + role, headers, deadline)
        guard response.status == 200, let keys = try AWSKeys.read(response.takeBody(), tokenKey: "Token") else {
            throw Self.failure
        }
        return keys
    }

    private static let failure = ProviderError(.unavailable, "the service of metadata has no keys for this instance")

    private func get(
        _ method: String,
        _ endpoint: Endpoint,
        _ target: String,
        _ headers: [(name: String, value: String)],
        _ deadline: Int64
    ) throws(ProviderError) -> HTTPResponse {
        var request = HTTPRequest(method, endpoint, target, headers: headers, body: try SecureBuffer.empty())
        request.limit = Self.limit
        request.connectTimeout = Self.patience
        return try transport.send(request, until: deadline)
    }

    /// The first line of an answer, if it can stand in a header and a path.
    private static func line(_ body: consuming SecureBuffer) -> String? {
        let text = body.withBytes { $0.text } ?? ""
        let line = String(text.prefix { !$0.isNewline })
        return !line.isEmpty && HeaderText.isPlain(line) ? line : nil
    }
}
