// SPDX-License-Identifier: Apache-2.0

internal import SecretProviders
internal import SecureMemory

/// Secrets of a project in Google Secret Manager (`v1` of its API).
struct GoogleSecrets: NamedSecretService {
    /// Name of the service for messages.
    static let name = "Secret Manager"
    private static let listingLimit = 1 << 22
    private static let valueLimit = 1 << 20

    private let client: TokenClient
    private let parent: String

    /// Makes one.
    ///
    /// - Parameters:
    ///   - project: the project.
    ///   - region: the location of secrets that stay in one; nil for those that do not.
    ///   - client: sends requests.
    init(project: String, region: String?, _ client: TokenClient) {
        self.client = client
        let location = region.map { "/locations/\(FormText.encoded($0))" } ?? ""
        parent = "/v1/projects/\(FormText.encoded(project))\(location)/secrets"
    }

    func page(_ mark: String?, until deadline: Int64) throws(ProviderError) -> (names: [String], next: String?) {
        let query = "?pageSize=500" + (mark.map { "&pageToken=\(FormText.encoded($0))" } ?? "")
        let document = try client.get(parent + query, limit: Self.listingLimit, deadline)
        let names = document.elements("secrets", of: document.root).compactMap { item in
            document.text("name", of: item)?.split(separator: "/").last.map(String.init)
        }
        let next = document.text("nextPageToken", of: document.root).flatMap { $0.isEmpty ? nil : $0 }
        return (names, next)
    }

    func value(of id: NamedSecretID, until deadline: Int64) throws(ProviderError) -> SecureBuffer {
        let version = FormText.encoded(id.version ?? "latest")
        let target = "\(parent)/\(FormText.encoded(id.base))/versions/\(version):access"
        let document = try client.get(target, limit: Self.valueLimit, deadline)
        guard let payload = document.member("payload", of: document.root) else {
            throw ProviderError(.invalid, "the answer has no value")
        }
        // An empty value has no member.
        guard let data = document.member("data", of: payload) else { return try SecureBuffer.empty() }
        guard let content = try document.decodedContent(of: data) else {
            throw ProviderError(.invalid, "the answer has no value")
        }
        if let text = document.text("dataCrc32c", of: payload) {
            let sum = content.withBytes { CRC32C.of($0) }
            guard Int64(text) == Int64(sum) else {
                throw ProviderError(.unavailable, "the value was damaged on its way: its checksum differs")
            }
        }
        return content
    }

    /// The word of an error of Google.
    static func word(_ document: SecretDocument) -> String? {
        document.member("error", of: document.root).flatMap { document.text("status", of: $0) }
    }

    /// The error for whoever asked.
    static func explain(_ failure: TokenClient.Failure) -> ProviderError {
        if failure.word == "FAILED_PRECONDITION" {
            return ProviderError(.notFound, "the version is disabled or destroyed")
        }
        return failure.error(
            name,
            right: "roles/secretmanager.secretAccessor, and secretmanager.secrets.list for listings; the API is enabled"
        )
    }
}
