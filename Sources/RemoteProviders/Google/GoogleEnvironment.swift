// SPDX-License-Identifier: Apache-2.0

internal import SecretProviders
internal import SecureMemory
internal import SystemCalls

/// Surroundings that say who we are to Google: variables, files and the host, in the order of Google's own libraries.
final class GoogleEnvironment: Sendable {
    /// The largest file or answer in bytes.
    private static let limit = 1 << 16
    /// Milliseconds for reaching what is one hop away, if it is there at all.
    private static let patience: Int64 = 1000
    private static let flavor = (name: "Metadata-Flavor", value: "Google")

    private let token: BearerToken?
    private let transport: any HTTPTransport
    private let clock: @Sendable () -> Int64

    /// Makes the provider of a source.
    ///
    /// - Parameters:
    ///   - arguments: the source: `PROJECT` or `PROJECT/PREFIX`, and its settings.
    ///   - asker: a descriptor that can be read once nobody waits.
    /// - Returns: the provider.
    /// - Throws: `invalid` for an endpoint that cannot be meant, `denied` for a token that is none.
    static func provider(
        _ arguments: RemoteProgram.Arguments,
        asker: Int32
    ) throws(ProviderError) -> NamedSecretProvider {
        let region = arguments.settings["region"]
        let host = region.map { "secretmanager.\($0).rep" } ?? "secretmanager"
        let named = arguments.settings["endpoint"] ?? value("CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER")
        let address = named ?? "https://\(host).googleapis.com"
        guard let endpoint = Endpoint(address) else {
            throw ProviderError(
                .unusable,
                "the endpoint of Secret Manager is \(Endpoint.reason(against: address))",
                hint: "https://HOST[:PORT]; http:// only for this machine"
            )
        }
        let transport = CurlTransport(
            agent: "credfs-remote",
            authorities: value("CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE"),
            authoritiesVariable: "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
            asker: asker
        )
        let environment = try GoogleEnvironment(takingTokenFor: transport) { AWSTime.now() }
        let tokens = TokenCache(clock: environment.clock) { (deadline) throws(ProviderError) in
            try environment.token(until: deadline)
        }
        let client = TokenClient(
            endpoint: endpoint,
            transport: transport,
            tokens: tokens,
            word: { GoogleSecrets.word($0) },
            explain: { GoogleSecrets.explain($0) }
        )
        let parts = arguments.location.split(separator: "/", maxSplits: 1)
        let service = GoogleSecrets(project: String(parts.first ?? ""), region: region, client)
        let prefix = parts.count == 2 ? String(parts[1]) : ""
        return NamedSecretProvider(service, prefix: prefix, ids: arguments.ids, limit: arguments.limit)
    }

    /// Takes a token out of the environment of this process; once, at its start.
    private init(
        takingTokenFor transport: any HTTPTransport,
        clock: @escaping @Sendable () -> Int64
    ) throws(ProviderError) {
        self.transport = transport
        self.clock = clock
        var token: BearerToken?
        for name in ["CLOUDSDK_AUTH_ACCESS_TOKEN", "GOOGLE_OAUTH_ACCESS_TOKEN"] {
            let bytes = try EnvironmentVariables.take(name) { (value) throws(ProviderError) in
                try SecureBuffer.copying(value)
            }
            if let bytes, bytes.count > 0, token == nil { token = try BearerToken(bytes) }
        }
        self.token = token
    }

    /// Gets a token from the first place that has credentials.
    private func token(until deadline: Int64) throws(ProviderError) -> BearerToken {
        if let token { return token }
        if let path = Self.value("GOOGLE_APPLICATION_CREDENTIALS") {
            guard let token = try token(ofAccountIn: path, deadline) else {
                throw ProviderError(.denied, "there is no \(path), which GOOGLE_APPLICATION_CREDENTIALS names")
            }
            return token
        }
        if let directory = Self.value("CLOUDSDK_CONFIG") ?? Self.value("HOME").map({ "\($0)/.config/gcloud" }),
            let token = try token(ofAccountIn: "\(directory)/application_default_credentials.json", deadline)
        {
            return token
        }
        if let token = try token(ofInstance: deadline) { return token }
        throw ProviderError(
            .denied,
            "there are no credentials of Google",
            hint: "GOOGLE_APPLICATION_CREDENTIALS, or CLOUDSDK_AUTH_ACCESS_TOKEN, or see docs/sources.md"
        )
    }

    /// Token by the key of a service account; nil where there is no such file.
    private func token(ofAccountIn path: String, _ deadline: Int64) throws(ProviderError) -> BearerToken? {
        let isStrict = Self.value("CREDFS_PERMISSIONS_STRICT") != "0"
        guard let file = try RemoteFile.read(path, limit: Self.limit, isStrict: isStrict) else { return nil }
        return try GoogleAccount(file, path: path).token(transport, at: clock(), deadline)
    }

    /// Token of the instance or pod, by its service of metadata; nil where there is none.
    private func token(ofInstance deadline: Int64) throws(ProviderError) -> BearerToken? {
        guard Self.value("NO_GCE_CHECK")?.lowercased() != "true" else { return nil }
        guard let endpoint = Endpoint("http://" + (Self.value("GCE_METADATA_HOST") ?? "169.254.169.254")) else {
            throw ProviderError(.denied, "GCE_METADATA_HOST is no address of this host")
        }
        let target = "/computeMetadata/v1/instance/service-accounts/default/token"
        var request = HTTPRequest("GET", endpoint, target, headers: [Self.flavor], body: try SecureBuffer.empty())
        request.limit = Self.limit
        request.connectTimeout = Self.patience
        let now = clock()
        let response: HTTPResponse
        do throws(ProviderError) { response = try transport.send(request, until: deadline) } catch {
            // Most machines are no instance.
            return nil
        }
        // Other clouds answer at this address, too.
        guard response.headers[Self.flavor.name.lowercased()] == Self.flavor.value else { return nil }
        guard response.status == 200 else {
            throw ProviderError(
                response.status == 404 ? .denied : .unavailable,
                "the service of metadata has no token for this instance",
                hint: "the instance needs a service account"
            )
        }
        return try BearerToken.read(response.takeBody(), now: now)
    }

    private static func value(_ name: String) -> String? {
        guard let value = EnvironmentVariables.value(name), !value.isEmpty else { return nil }
        return value
    }
}
