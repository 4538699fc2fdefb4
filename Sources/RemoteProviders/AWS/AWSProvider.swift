// SPDX-License-Identifier: Apache-2.0

package import SecretProviders
package import SecureMemory
internal import Synchronization

/// Provider of secrets of AWS: what both of its services have in common.
///
/// A request asks for many; where AWS refuses it for one of them, each is asked for by itself.
package final class AWSProvider: SecretProvider {
    /// Settings of a source, as credfs hands them on.
    package struct Settings: Sendable {
        /// What the names of secrets are below; they are listed if it ends with a slash.
        let prefix: String
        /// What names stand for, where that is not the name itself.
        let ids: [String: String]
        /// The largest value in bytes.
        let limit: Int

        /// Makes settings.
        package init(prefix: String, ids: [String: String], limit: Int) {
            self.prefix = prefix
            self.ids = ids
            self.limit = limit
        }
    }

    /// The most secrets of one listing.
    private static let listingLimit = 10_000

    package var batchLimit: Int { kind.batchLimit }
    private let kind: any AWSSecretKind
    private let settings: Settings
    private let connect: @Sendable () throws(ProviderError) -> AWSService
    private let service = Mutex<AWSService?>(nil)
    private let handed = HandedValues()
    /// What listed names stand for.
    private let listed = Mutex<[String: String]>([:])

    /// Makes a provider.
    ///
    /// - Parameters:
    ///   - kind: the service.
    ///   - settings: which secrets.
    ///   - connect: finds region and endpoint; called again until it succeeds.
    init(
        _ kind: any AWSSecretKind,
        _ settings: Settings,
        connect: @escaping @Sendable () throws(ProviderError) -> AWSService
    ) {
        self.kind = kind
        self.settings = settings
        self.connect = connect
    }

    package func rest() { handed.forget() }

    package func list(until deadline: Int64) throws(ProviderError) -> [String]? {
        guard settings.prefix.hasSuffix("/") else { return nil }
        handed.forget()
        let service = try connected()
        var names: [String: String] = [:]
        var token: String?
        repeat {
            let input = kind.listing(settings.prefix, after: token)
            let document: SecretDocument
            do throws(AWSService.Failure) {
                document = try service.call(input.operation, input.text, limit: kind.answerLimit, deadline)
            } catch { throw Self.error(error, kind.listingRight) }
            for item in document.elements(kind.itemsKey, of: document.root) {
                guard let id = document.text("Name", of: item), let name = name(of: id) else { continue }
                names[name] = id
                handed.keep(HandedValues.Value(document: document, item: item), of: name)
            }
            for item in document.elements("Errors", of: document.root) {
                if let id = document.text("SecretId", of: item), let name = name(of: id) { names[name] = id }
            }
            let next = document.text("NextToken", of: document.root).flatMap { $0.isEmpty ? nil : $0 }
            guard next != token || next == nil, names.count <= Self.listingLimit else {
                throw ProviderError(
                    .invalid,
                    "there are more than \(Self.listingLimit) secrets, or the listing does not end"
                )
            }
            token = next
        } while token != nil
        listed.withLock { $0 = names }
        return names.keys.sorted()
    }

    /// What follows the prefix; nil for what is not right below it.
    private func name(of id: String) -> String? {
        let isBelow = id.hasPrefix(settings.prefix)
        // At the root of the parameters a name may have no slash at all.
        guard isBelow || (settings.prefix == "/" && !id.contains("/")) else { return nil }
        let name = isBelow ? String(id.dropFirst(settings.prefix.count)) : id
        return name.isEmpty || name.contains("/") ? nil : name
    }

    package func fetch(
        _ names: [String],
        until deadline: Int64,
        answer: (String, consuming Result<SecureBuffer, ProviderError>) -> Void
    ) {
        var open: [AWSSecretID: [(name: String, member: String?)]] = [:]
        for name in names {
            if let value = handed.take(name) {
                answer(name, content(value, member: nil))
                continue
            }
            let id = id(of: name)
            open[AWSSecretID(id.text), default: []].append((name, id.member))
        }
        guard !open.isEmpty else { return }
        let service: AWSService
        do throws(ProviderError) { service = try connected() } catch {
            for (name, _) in open.values.joined() { answer(name, .failure(error)) }
            return
        }
        for batch in kind.batches(open.keys.sorted { $0.text < $1.text }) {
            fetch(batch, service, deadline) { (id, result) in
                for (name, member) in open[id] ?? [] {
                    switch result {
                    case .success(let value): answer(name, content(value, member: member))
                    case .failure(let error): answer(name, .failure(error))
                    }
                }
            }
        }
    }

    /// What a name stands for, as settings or the last listing say.
    private func id(of name: String) -> AWSSecretID {
        if settings.ids[name] == nil, let whole = listed.withLock({ $0[name] }) { return AWSSecretID(whole) }
        return AWSSecretID(settings.ids[name] ?? name, below: settings.prefix)
    }

    /// Fetches what one request can ask for.
    private func fetch(
        _ ids: [AWSSecretID],
        _ service: AWSService,
        _ deadline: Int64,
        _ answer: (AWSSecretID, Result<HandedValues.Value, ProviderError>) -> Void
    ) {
        let input = kind.request(ids)
        let failure: AWSService.Failure
        do throws(AWSService.Failure) {
            let document = try service.call(input.operation, input.text, limit: kind.answerLimit, deadline)
            for id in ids { answer(id, kind.value(of: id, among: ids, in: document)) }
            return
        } catch { failure = error }
        let concernsOne =
            switch failure {
            case .answered(let failure): failure.isDenied || failure.isRefused || failure.isNotFound
            case .other(let error): error.kind == .invalid
            }
        guard ids.count > 1, concernsOne else {
            for id in ids { answer(id, .failure(Self.error(failure, kind.right))) }
            return
        }
        for id in ids { fetch([id], service, deadline, answer) }
    }

    private func connected() throws(ProviderError) -> AWSService {
        if let service = service.withLock({ $0 }) { return service }
        let new = try connect()
        service.withLock { $0 = new }
        return new
    }

    private static func error(_ failure: AWSService.Failure, _ right: String) -> ProviderError {
        switch failure {
        case .answered(let failure): failure.error(right)
        case .other(let error): error
        }
    }

    /// The bytes of a value, or of one member of it.
    private func content(
        _ value: HandedValues.Value,
        member: String?
    ) -> Result<SecureBuffer, ProviderError> {
        do throws(ProviderError) {
            guard let whole = try kind.content(of: value) else {
                return .failure(ProviderError(.invalid, "the answer has no value"))
            }
            let content: SecureBuffer
            if let member {
                guard let document = SecretDocument(whole) else {
                    return .failure(ProviderError(.invalid, "the value is not JSON, and has no member"))
                }
                guard let node = document.member(member, of: document.root) else {
                    return .failure(ProviderError(.notFound, "the value has no such member"))
                }
                guard let text = try document.content(of: node) else {
                    return .failure(ProviderError(.invalid, "the member is no text, number or boolean"))
                }
                content = text
            } else {
                content = whole
            }
            guard content.count <= settings.limit else {
                return .failure(ProviderError(.invalid, "the value is larger than \(settings.limit) bytes"))
            }
            return .success(content)
        } catch {
            return .failure(error)
        }
    }
}
