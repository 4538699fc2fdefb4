// SPDX-License-Identifier: Apache-2.0

internal import SecretProviders
internal import SecureMemory

/// Service that keeps secrets by name, and tells the value of one in each request.
protocol NamedSecretService: Sendable {
    /// One page of the names that there are.
    ///
    /// - Parameters:
    ///   - mark: what the page before named as the next one; nil for the first.
    ///   - deadline: time by which to end.
    /// - Returns: names, and the mark of the next page; nil for the last.
    /// - Throws: why it cannot.
    func page(_ mark: String?, until deadline: Int64) throws(ProviderError) -> (names: [String], next: String?)

    /// The value of one version.
    ///
    /// - Parameters:
    ///   - id: the secret.
    ///   - deadline: time by which to end.
    /// - Returns: its bytes.
    /// - Throws: why there is none.
    func value(of id: NamedSecretID, until deadline: Int64) throws(ProviderError) -> SecureBuffer

    /// The name in the service that a name stands for by itself.
    func id(of name: String) -> String
}

extension NamedSecretService {
    func id(of name: String) -> String { name }
}

/// Provider of the secrets of such a service, or of those whose names begin alike.
final class NamedSecretProvider: SecretProvider {
    /// The most secrets of one listing.
    private static let listingLimit = 10_000

    // Each is a request, with its own time and its own turn.
    let batchLimit = 1
    private let service: any NamedSecretService
    private let prefix: String
    private let ids: [String: String]
    private let limit: Int

    /// Makes a provider.
    ///
    /// - Parameters:
    ///   - service: the service.
    ///   - prefix: what names in the service begin with; a secret is called what follows it.
    ///   - ids: what names stand for, where that is not the secret of that name below the prefix.
    ///   - limit: the largest value in bytes.
    init(_ service: any NamedSecretService, prefix: String, ids: [String: String], limit: Int) {
        self.service = service
        self.prefix = prefix
        self.ids = ids
        self.limit = limit
    }

    func list(until deadline: Int64) throws(ProviderError) -> [String]? {
        var names: Set<String> = []
        var marks: Set<String> = []
        var mark: String?
        repeat {
            let page = try service.page(mark, until: deadline)
            for name in page.names where name.hasPrefix(prefix) && name != prefix {
                names.insert(String(name.dropFirst(prefix.count)))
            }
            let isNew = page.next.map { marks.insert($0).inserted } ?? true
            guard isNew, names.count <= Self.listingLimit else {
                throw ProviderError(
                    .invalid,
                    "there are more than \(Self.listingLimit) secrets, or the listing does not end"
                )
            }
            mark = page.next
        } while mark != nil
        return names.sorted()
    }

    func fetch(
        _ names: [String],
        until deadline: Int64,
        answer: (String, consuming Result<SecureBuffer, ProviderError>) -> Void
    ) {
        for name in names {
            do throws(ProviderError) { answer(name, .success(try value(of: name, deadline))) } catch {
                answer(name, .failure(error))
            }
        }
    }

    private func value(of name: String, _ deadline: Int64) throws(ProviderError) -> SecureBuffer {
        let id = NamedSecretID(ids[name] ?? prefix + service.id(of: name))
        guard id.isPlain else {
            throw ProviderError(
                .notFound,
                "no secret there can have this name",
                hint: "names=NAME=ID says what it stands for"
            )
        }
        var content = try service.value(of: id, until: deadline)
        if let member = id.member {
            guard let document = SecretDocument(content) else {
                throw ProviderError(.invalid, "the value is not JSON, and has no member")
            }
            guard let node = document.member(member, of: document.root) else {
                throw ProviderError(.notFound, "the value has no such member")
            }
            guard let text = try document.content(of: node) else {
                throw ProviderError(.invalid, "the member is no text, number or boolean")
            }
            content = text
        }
        guard content.count <= limit else {
            throw ProviderError(.invalid, "the value is larger than \(limit) bytes")
        }
        return content
    }
}
