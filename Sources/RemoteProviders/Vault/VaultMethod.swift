// SPDX-License-Identifier: Apache-2.0

internal import SecretProviders
internal import SecureJSON

/// Login to Vault: a role, and what shows that we are it.
struct VaultMethod: Sendable {
    /// Kind of login, called as Vault calls its plugin.
    enum Kind: String, Sendable, CaseIterable {
        /// A role and its secret id.
        case approle
        /// A token that somebody has signed whom Vault believes.
        case jwt
        /// The token of a service account.
        case kubernetes

        fileprivate var roleKey: String { self == .approle ? "role_id" : "role" }
        fileprivate var secretKey: String { self == .approle ? "secret_id" : "jwt" }
    }

    /// What shows who we are.
    enum Secret: Sendable {
        /// Read anew for each login.
        case plain(@Sendable () throws(ProviderError) -> String)
        /// Wrapped by Vault; of AppRole only.
        case wrapped(VaultWrapping)
    }

    private let kind: Kind
    private let mount: String
    private let role: String?
    private let secret: Secret

    /// Makes a login.
    ///
    /// - Parameters:
    ///   - kind: its kind.
    ///   - mount: where the method is mounted; nil for its usual place.
    ///   - role: the role, or its id; nil for the one that Vault supposes.
    ///   - secret: what shows who we are.
    init(_ kind: Kind, mount: String?, role: String?, _ secret: Secret) {
        self.kind = kind
        self.mount = mount ?? kind.rawValue
        self.role = role
        self.secret = secret
    }

    /// Logs in.
    ///
    /// - Returns: the new token.
    /// - Throws: `denied` where Vault refuses; what sending throws.
    func lease(_ requests: VaultRequests, now: Int64, _ deadline: Int64) throws(ProviderError) -> VaultLease {
        var members = [kind.secretKey: JSONValue.string(try secretText(requests, deadline))]
        if let role { members[kind.roleKey] = .string(role) }
        let response = try requests.post("auth/\(mount)/login", members, deadline)
        switch response.status {
        case 200: return try VaultLease(SecretDocument(response.takeBody()), now: now)
        // Of a method that is not there, too: Vault does not say which.
        case 400, 401, 403, 404: throw refusal
        default: throw VaultRequests.error(response)
        }
    }

    private func secretText(_ requests: VaultRequests, _ deadline: Int64) throws(ProviderError) -> String {
        switch secret {
        case .plain(let read): return try read()
        case .wrapped(let wrapping):
            let document = try wrapping.content(requests, deadline) { path in
                path.hasPrefix("auth/\(mount)/role/") && path.hasSuffix("secret-id")
            }
            guard let data = document.member("data", of: document.root), let text = document.text("secret_id", of: data)
            else { throw ProviderError(.invalid, "what was wrapped has no secret id") }
            return text
        }
    }

    private static let hint = "login= names the mount of the method"

    private var refusal: ProviderError {
        switch kind {
        case .approle:
            ProviderError(
                .denied,
                "Vault refuses the role or its secret id",
                hint: "get another secret id; \(Self.hint)"
            )
        case .jwt, .kubernetes:
            ProviderError(
                .denied,
                "Vault refuses the role or its token",
                hint: "the role has to allow what the token says, which may have ended; \(Self.hint)"
            )
        }
    }
}
