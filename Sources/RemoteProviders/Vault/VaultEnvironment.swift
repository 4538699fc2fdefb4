// SPDX-License-Identifier: Apache-2.0

internal import SecretProviders
internal import SecureMemory
internal import SystemCalls

/// Surroundings that say where Vault is and who we are: the settings of the source, then the variables of Vault's own tools.
final class VaultEnvironment: Sendable {
    /// The largest file of a token in bytes.
    private static let limit = 1 << 16

    private let settings: [String: String]
    private let token: Held?
    private let secretID: Held?

    /// Value of a variable, in locked memory.
    private final class Held: Sendable {
        private let bytes: SecureBuffer

        init(_ bytes: consuming SecureBuffer) {
            self.bytes = bytes
        }

        var text: String? { bytes.withBytes { $0.text } }
    }

    /// Takes what is secret out of the environment of this process; once, at its start.
    ///
    /// - Throws: where there is no memory for it.
    init(takingSecrets settings: [String: String]) throws(ProviderError) {
        self.settings = settings
        token = try Self.take("VAULT_TOKEN")
        secretID = try Self.take("VAULT_SECRET_ID")
    }

    private static func take(_ name: String) throws(ProviderError) -> Held? {
        let value = try EnvironmentVariables.take(name) { (value) throws(ProviderError) in
            try SecureBuffer.copying(value)
        }
        guard let value, value.count > 0 else { return nil }
        return Held(value)
    }

    /// Finds the server, and the way to be let in.
    ///
    /// - Parameters:
    ///   - asker: a descriptor that can be read once nobody waits for answers.
    ///   - clock: seconds since 1970.
    /// - Returns: the client.
    /// - Throws: `invalid` where nothing names a server.
    func client(asker: Int32, clock: @escaping @Sendable () -> Int64) throws(ProviderError) -> VaultClient {
        guard let address = settings["address"] ?? Self.value("VAULT_ADDR") else {
            throw ProviderError(.invalid, "no Vault is named", hint: "set VAULT_ADDR, or add ?address= to the source")
        }
        guard let endpoint = Endpoint(address) else {
            throw ProviderError(
                .invalid,
                "the address of Vault is no address",
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
        return VaultClient(endpoint, namespace: namespace, VaultLogin(try way(), clock: clock), transport)
    }

    private func way() throws(ProviderError) -> VaultLogin.Way {
        guard let role = Self.value("VAULT_ROLE_ID") else {
            return .token { [self] () throws(ProviderError) in try readToken() }
        }
        return .role(
            id: role,
            secret: { [self] () throws(ProviderError) in try readSecretID() },
            mount: settings["login"] ?? "approle"
        )
    }

    /// The token of the variable, else what the file of Vault's own tools has now.
    private func readToken() throws(ProviderError) -> String {
        if let text = token?.text { return text }
        if let home = Self.value("HOME"), let text = try Self.line("\(home)/.vault-token") { return text }
        throw ProviderError(
            .denied,
            "there is no token for Vault",
            hint: "vault login, VAULT_TOKEN, or VAULT_ROLE_ID with VAULT_SECRET_ID"
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
        guard let content = try RemoteFile.read(path, limit: limit, isStrict: isStrict) else { return nil }
        return content.withBytes { $0.text }.map { String($0.prefix { !$0.isNewline }) }
    }

    private static func value(_ name: String) -> String? {
        guard let value = EnvironmentVariables.value(name), !value.isEmpty else { return nil }
        return value
    }
}
