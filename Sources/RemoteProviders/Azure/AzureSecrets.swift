// SPDX-License-Identifier: Apache-2.0

internal import SecretProviders
internal import SecureJSON
internal import SecureMemory

/// Secrets of one vault in Azure Key Vault (version 7.4 of its API).
struct AzureSecrets: NamedSecretService {
    /// Name of the service for messages.
    static let name = "Key Vault"
    private static let version = "api-version=7.4"
    private static let listingLimit = 1 << 20
    private static let valueLimit = 1 << 18

    private let client: TokenClient

    /// Makes one.
    init(_ client: TokenClient) {
        self.client = client
    }

    func page(_ mark: String?, until deadline: Int64) throws(ProviderError) -> (names: [String], next: String?) {
        let first = "/secrets?\(Self.version)&maxresults=25"
        let document = try client.get(mark ?? first, limit: Self.listingLimit, deadline)
        let names = document.elements("value", of: document.root).compactMap { item -> String? in
            // The key of a certificate is a secret, too, and nobody means it with all secrets.
            guard !document.isTrue("managed", of: item),
                let attributes = document.member("attributes", of: item), document.isTrue("enabled", of: attributes)
            else { return nil }
            return document.text("id", of: item)?.split(separator: "/").last.map(String.init)
        }
        guard let link = document.text("nextLink", of: document.root), !link.isEmpty else { return (names, nil) }
        return (names, try target(of: link))
    }

    /// Path and query of the link to the next page, which has to stay where the token is meant for.
    private func target(of link: String) throws(ProviderError) -> String {
        let parts = link.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let path = client.endpoint.path + "/secrets"
        guard parts.count == 2, let place = Endpoint(String(parts[0])), place.origin == client.endpoint.origin,
            place.path == path, HeaderText.isPlain(link), !parts[1].contains("#")
        else { throw ProviderError(.invalid, "the listing goes on at another place, which is not followed") }
        return "/secrets?\(parts[1])"
    }

    func value(of id: NamedSecretID, until deadline: Int64) throws(ProviderError) -> SecureBuffer {
        let version = id.version.map { "/\(FormText.encoded($0))" } ?? ""
        let target = "/secrets/\(FormText.encoded(id.base))\(version)?\(Self.version)"
        let document = try client.get(target, limit: Self.valueLimit, deadline)
        guard let value = document.member("value", of: document.root), let content = try document.content(of: value)
        else { throw ProviderError(.invalid, "the answer has no value") }
        return content
    }

    /// Names of this service have no underscore, where those of variables have one.
    func id(of name: String) -> String { name.replacing("_", with: "-") }

    /// The word of an error of Key Vault: the inner one says more.
    static func word(_ document: SecretDocument) -> String? {
        guard let error = document.member("error", of: document.root) else { return nil }
        let inner = document.member("innererror", of: error).flatMap { document.text("code", of: $0) }
        return inner ?? document.text("code", of: error)
    }

    /// The error for whoever asked.
    static func explain(_ failure: TokenClient.Failure) -> ProviderError {
        if failure.status == 403, failure.word == "SecretDisabled" {
            return ProviderError(.notFound, "the version is disabled")
        }
        let right =
            failure.word == "ForbiddenByFirewall"
            ? "the network rules of the vault have to let this machine in"
            : "Key Vault Secrets User, or an access policy with Get and List of secrets"
        return failure.error(name, right: right)
    }
}

extension SecretDocument {
    /// The member of a key is `true`.
    fileprivate func isTrue(_ key: String, of node: Node) -> Bool {
        guard let value = member(key, of: node)?.value, value.kind == .boolean else { return false }
        return value.range.count == "true".utf8.count
    }
}
