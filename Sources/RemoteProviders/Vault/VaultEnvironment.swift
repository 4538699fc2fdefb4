// SPDX-License-Identifier: Apache-2.0

package import SecretProviders
internal import SecureMemory
internal import SystemCalls

/// Surroundings that say where Vault is and who we are: the settings of the source, then the variables of Vault's own tools.
package final class VaultEnvironment: Sendable {
    /// The largest file of a token in bytes.
    private static let limit = 1 << 16

    private let settings: [String: String]
    private let token: HeldText?
    private let secretID: HeldText?

    /// Takes what is secret out of the environment of this process; once, at its start.
    ///
    /// - Throws: where there is no memory for it.
    package init(takingSecrets settings: [String: String]) throws(ProviderError) {
        self.settings = settings
        token = try HeldText.taking("VAULT_TOKEN")
        secretID = try HeldText.taking("VAULT_SECRET_ID")
    }

    /// Finds the server, and the way to be let in.
    ///
    /// - Parameters:
    ///   - asker: a descriptor that can be read once nobody waits for answers.
    ///   - clock: seconds since 1970.
    /// - Returns: the client.
    /// - Throws: `invalid` where nothing names a server.
    package func client(
        asker: Int32,
        clock: @escaping @Sendable () -> Int64
    ) throws(ProviderError) -> VaultClient {
        guard let address = settings["address"] ?? Self.value("VAULT_ADDR") else {
            throw ProviderError(.unusable, "no Vault is named", hint: "set VAULT_ADDR, or add ?address= to the source")
        }
        guard let endpoint = Endpoint(address) else {
            throw ProviderError(
                .unusable,
                "the address of Vault is \(Endpoint.reason(against: address))",
                hint: "https://HOST[:PORT]; http:// only for this machine"
            )
        }
        let transport = CurlTransport(
            agent: "credfs-remote",
            authorities: Self.value("VAULT_CACERT"),
            authoritiesVariable: "VAULT_CACERT",
            asker: asker
        )
        let namespace = settings["namespace"] ?? Self.value("VAULT_NAMESPACE")
        let requests = VaultRequests(endpoint, namespace: namespace, transport)
        return VaultClient(requests, VaultLogin(try way(), requests, clock: clock))
    }

    private func way() throws(ProviderError) -> VaultLogin.Way {
        let roleID = Self.value("VAULT_ROLE_ID")
        let method = settings["method"] ?? Self.value("VAULT_AUTH_METHOD") ?? (roleID == nil ? "token" : "approle")
        let isWrapped = try isSet("wrapped", "VAULT_UNWRAP_TOKEN")
        if method == "token" {
            let read = { @Sendable [self] () throws(ProviderError) in try readToken() }
            guard isWrapped else { return .token(read, isRenewed: try isSet("renew", "VAULT_RENEW_TOKEN")) }
            return .wrapped(VaultWrapping(read))
        }
        guard let kind = VaultMethod.Kind(rawValue: method) else {
            throw ProviderError(
                .invalid,
                "there is no such way to log in to Vault",
                hint: "method is token, approle, jwt or kubernetes"
            )
        }
        guard kind != .approle else {
            guard let roleID else {
                throw ProviderError(.denied, "there is no role for AppRole", hint: "set VAULT_ROLE_ID")
            }
            let read = { @Sendable [self] () throws(ProviderError) in try readSecretID() }
            let secret = isWrapped ? VaultMethod.Secret.wrapped(VaultWrapping(read)) : .plain(read)
            return .method(VaultMethod(kind, mount: settings["login"], role: roleID, secret))
        }
        guard !isWrapped else {
            throw ProviderError(.invalid, "what is wrapped is a token or a secret id", hint: "leave wrapped out")
        }
        return .method(
            VaultMethod(
                kind,
                mount: settings["login"],
                role: try role(kind),
                .plain { [self] () throws(ProviderError) in try readSignedToken(kind) }
            )
        )
    }

    /// The role of a login by a signed token; Vault may suppose one for JWT alone.
    private func role(_ kind: VaultMethod.Kind) throws(ProviderError) -> String? {
        let role = settings["role"] ?? Self.value("VAULT_ROLE")
        guard role != nil || kind == .jwt else {
            throw ProviderError(.denied, "there is no role for the login", hint: "add role= to the source")
        }
        return role
    }

    /// The signed token, which whoever made it may have replaced.
    private func readSignedToken(_ kind: VaultMethod.Kind) throws(ProviderError) -> String {
        let usual = kind == .kubernetes ? "/var/run/secrets/kubernetes.io/serviceaccount/token" : nil
        guard let path = settings["jwt"] ?? Self.value("VAULT_JWT_FILE") ?? usual, path.hasPrefix("/") else {
            throw ProviderError(
                .denied,
                "no file of a token is named for the login",
                hint: "add jwt= to the source, or set VAULT_JWT_FILE; its path begins with a slash"
            )
        }
        guard let text = try Self.line(path) else { throw ProviderError(.denied, "there is no \(path)") }
        return text
    }

    private func isSet(_ key: String, _ variable: String) throws(ProviderError) -> Bool {
        switch settings[key] ?? Self.value(variable) ?? "false" {
        case "true", "1": return true
        case "false", "0": return false
        default: throw ProviderError(.invalid, "\(settings[key] == nil ? variable : key) is true or false")
        }
    }

    /// The token of the variable, else what the file of Vault's own tools has now.
    private func readToken() throws(ProviderError) -> String {
        if let text = token?.text { return text }
        if let home = Self.value("HOME"), let text = try Self.line("\(home)/.vault-token") { return text }
        throw ProviderError(
            .denied,
            "there is no token for Vault",
            hint: "vault login, VAULT_TOKEN, VAULT_ROLE_ID with VAULT_SECRET_ID, or method= of the source"
        )
    }

    private func readSecretID() throws(ProviderError) -> String {
        if let text = secretID?.text { return text }
        guard let path = Self.value("VAULT_SECRET_ID_FILE") else {
            throw ProviderError(.denied, "VAULT_ROLE_ID is set, and no secret id", hint: "set VAULT_SECRET_ID_FILE")
        }
        guard let text = try Self.line(path) else { throw ProviderError(.denied, "there is no \(path)") }
        return text
    }

    private static func line(_ path: String) throws(ProviderError) -> String? {
        let isStrict = value("CREDFS_PERMISSIONS_STRICT") != "0"
        let content = try RemoteFile.read(path, limit: limit, isStrict: isStrict, isSecret: true)
        return content?.withBytes { $0.text }.map { String($0.prefix { !$0.isNewline }) }
    }

    private static func value(_ name: String) -> String? {
        guard let value = EnvironmentVariables.value(name), !value.isEmpty else { return nil }
        return value
    }
}
