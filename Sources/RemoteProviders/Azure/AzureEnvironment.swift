// SPDX-License-Identifier: Apache-2.0

internal import SecretProviders
internal import SecureMemory
internal import SystemCalls

/// Surroundings that say who we are to Azure: variables and the host, in the order of Azure's own libraries.
final class AzureEnvironment: Sendable {
    /// The largest file or answer in bytes.
    private static let limit = 1 << 16
    /// Milliseconds for reaching what is one hop away, if it is there at all.
    private static let patience: Int64 = 1000
    /// Kind of a client assertion (RFC 7523).
    private static let assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    private static let hint = "https://HOST[:PORT]; http:// only for this machine"

    /// Secret of a client, in locked memory.
    private final class Held: Sendable {
        let bytes: SecureBuffer

        init(_ bytes: consuming SecureBuffer) {
            self.bytes = bytes
        }
    }

    private let secret: Held?
    /// What tokens are for.
    private let resource: String
    private let transport: any HTTPTransport
    private let clock: @Sendable () -> Int64

    /// Makes the provider of a source.
    ///
    /// - Parameters:
    ///   - arguments: the source: `VAULT` or `VAULT/PREFIX`, and its settings.
    ///   - asker: a descriptor that can be read once nobody waits.
    /// - Returns: the provider.
    /// - Throws: `invalid` for an endpoint that cannot be meant.
    static func provider(
        _ arguments: RemoteProgram.Arguments,
        asker: Int32
    ) throws(ProviderError) -> NamedSecretProvider {
        let parts = arguments.location.split(separator: "/", maxSplits: 1)
        let domain = arguments.settings["domain"] ?? "vault.azure.net"
        let named = arguments.settings["endpoint"] ?? "https://\(parts.first ?? "").\(domain)"
        guard let endpoint = Endpoint(named) else {
            throw ProviderError(.invalid, "the endpoint of Key Vault is no address", hint: hint)
        }
        let transport = CurlTransport(
            agent: "credfs-remote",
            authorities: value("SSL_CERT_FILE"),
            authoritiesVariable: "SSL_CERT_FILE",
            asker: asker
        )
        let environment = try AzureEnvironment(takingSecretFor: "https://\(domain)", transport) { AWSTime.now() }
        let tokens = TokenCache(clock: environment.clock) { (deadline) throws(ProviderError) in
            try environment.token(until: deadline)
        }
        let client = TokenClient(
            endpoint: endpoint,
            transport: transport,
            tokens: tokens,
            word: { AzureSecrets.word($0) },
            explain: { AzureSecrets.explain($0) }
        )
        let prefix = parts.count == 2 ? String(parts[1]) : ""
        return NamedSecretProvider(
            AzureSecrets(client),
            prefix: prefix,
            ids: arguments.ids,
            limit: arguments.limit
        )
    }

    /// Takes the secret out of the environment of this process; once, at its start.
    private init(
        takingSecretFor resource: String,
        _ transport: any HTTPTransport,
        clock: @escaping @Sendable () -> Int64
    ) throws(ProviderError) {
        self.resource = resource
        self.transport = transport
        self.clock = clock
        let secret = try EnvironmentVariables.take("AZURE_CLIENT_SECRET") { (value) throws(ProviderError) in
            try SecureBuffer.held(value)
        }
        if let secret, secret.count > 0 { self.secret = Held(secret) } else { self.secret = nil }
    }

    /// Gets a token from the first place that has an identity.
    private func token(until deadline: Int64) throws(ProviderError) -> BearerToken {
        if let secret { return try token("client_secret", secret.bytes, [], "AZURE_CLIENT_SECRET", deadline) }
        if let path = Self.value("AZURE_FEDERATED_TOKEN_FILE") {
            let isStrict = Self.value("CREDFS_PERMISSIONS_STRICT") != "0"
            // It is replaced before it ends: read anew each time.
            guard var assertion = try RemoteFile.read(path, limit: Self.limit, isStrict: isStrict) else {
                throw ProviderError(.denied, "there is no \(path), which AZURE_FEDERATED_TOKEN_FILE names")
            }
            assertion.dropTrailingSpace()
            let pairs = [("client_assertion_type", Self.assertionType)]
            return try token("client_assertion", assertion, pairs, "AZURE_FEDERATED_TOKEN_FILE", deadline)
        }
        if let token = try token(ofInstance: deadline) { return token }
        throw ProviderError(
            .denied,
            "there is no identity for Azure",
            hint: "AZURE_TENANT_ID and AZURE_CLIENT_ID with AZURE_CLIENT_SECRET, or see docs/sources.md"
        )
    }

    /// Token of an application, by its secret or what stands for it.
    private func token(
        _ key: String,
        _ secret: borrowing SecureBuffer,
        _ pairs: [(String, String)],
        _ variable: String,
        _ deadline: Int64
    ) throws(ProviderError) -> BearerToken {
        guard let tenant = Self.value("AZURE_TENANT_ID"), let application = Self.value("AZURE_CLIENT_ID") else {
            throw ProviderError(.denied, "\(variable) is set, and AZURE_TENANT_ID or AZURE_CLIENT_ID is not")
        }
        guard let endpoint = Endpoint(Self.value("AZURE_AUTHORITY_HOST") ?? "https://login.microsoftonline.com") else {
            throw ProviderError(.invalid, "AZURE_AUTHORITY_HOST is no address", hint: Self.hint)
        }
        let form = [
            ("grant_type", "client_credentials"), ("client_id", application), ("scope", "\(resource)/.default"),
        ]
        let body = try SecretForm.body(form + pairs, key, secret)
        let target = "/\(FormText.encoded(tenant))/oauth2/v2.0/token"
        var request = HTTPRequest("POST", endpoint, target, headers: SecretForm.headers, body: body)
        request.limit = Self.limit
        let now = clock()
        let response = try transport.send(request, until: deadline)
        switch response.status {
        case 200: return try BearerToken.read(response.takeBody(), now: now)
        case 400, 401, 403:
            throw ProviderError(
                .denied,
                "Azure refuses \(variable) of the application \(application)",
                hint: "it may have ended, or be of another tenant or application"
            )
        default:
            throw TokenClient.Failure(status: response.status, word: "", retryAfter: response.retryAfter)
                .error("Azure's token endpoint", right: "")
        }
    }

    /// Token of the managed identity of the instance, by its service of metadata; nil where there is none.
    private func token(ofInstance deadline: Int64) throws(ProviderError) -> BearerToken? {
        guard let endpoint = Endpoint(Self.value("AZURE_POD_IDENTITY_AUTHORITY_HOST") ?? "http://169.254.169.254")
        else { throw ProviderError(.denied, "AZURE_POD_IDENTITY_AUTHORITY_HOST is no address of this host") }
        let identity = Self.value("AZURE_CLIENT_ID").map { "&client_id=\(FormText.encoded($0))" } ?? ""
        let target =
            "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=\(FormText.encoded(resource))\(identity)"
        let headers = [(name: "Metadata", value: "true")]
        var request = HTTPRequest("GET", endpoint, target, headers: headers, body: try SecureBuffer.empty())
        request.limit = Self.limit
        request.connectTimeout = Self.patience
        let now = clock()
        let response: HTTPResponse
        do throws(ProviderError) { response = try transport.send(request, until: deadline) } catch {
            // Most machines are no instance.
            return nil
        }
        switch response.status {
        case 200: return try BearerToken.read(response.takeBody(), now: now)
        case 400, 403:
            throw ProviderError(
                .denied,
                "the service of metadata has no such identity for this machine",
                hint: "assign a managed identity; AZURE_CLIENT_ID names one of several"
            )
        case 404: return nil
        default:
            throw ProviderError(
                .unavailable,
                "the service of metadata has no token for now: status \(response.status)",
                retryAfter: response.retryAfter
            )
        }
    }

    private static func value(_ name: String) -> String? {
        guard let value = EnvironmentVariables.value(name), !value.isEmpty else { return nil }
        return value
    }
}
