// SPDX-License-Identifier: Apache-2.0

package import SecretProviders
package import SecureMemory
internal import Synchronization

/// Provider of the secrets of HashiCorp Vault's KV engine, and of servers that speak as it does (OpenBao).
///
/// What Vault calls a secret is a map: each of its keys is a secret here. The version of the engine is asked for.
package final class VaultProvider: SecretProvider {
    /// Settings of a source, as credfs hands them on.
    struct Settings: Sendable {
        /// Mount of the engine and path of the map: `secret/my-service`.
        let location: String
        /// What names stand for, where that is not the key of the same name.
        let ids: [String: String]
        /// The largest value in bytes.
        let limit: Int
    }

    /// The largest answer in bytes.
    private static let answerLimit = 1 << 21

    package let batchLimit = 100
    private let settings: Settings
    private let connect: @Sendable () throws(ProviderError) -> VaultClient
    private let client = Mutex<VaultClient?>(nil)
    private let handed = HandedValues()

    /// Makes a provider.
    ///
    /// - Parameters:
    ///   - settings: which secrets.
    ///   - connect: finds the server; called again until it succeeds.
    init(_ settings: Settings, connect: @escaping @Sendable () throws(ProviderError) -> VaultClient) {
        self.settings = settings
        self.connect = connect
    }

    package func rest() { handed.forget() }

    package func list(until deadline: Int64) throws(ProviderError) -> [String]? {
        handed.forget()
        let (document, data) = try map(VaultID("", in: settings.location), deadline)
        let members = document.members(of: data)
        guard !members.isEmpty else {
            throw ProviderError(.notFound, "Vault has the path, and no key in its map")
        }
        var names: [String] = []
        for (name, node) in members {
            names.append(name)
            handed.keep(HandedValues.Value(document: document, item: node), of: name)
        }
        return names.sorted()
    }

    package func fetch(
        _ names: [String],
        until deadline: Int64,
        answer: (String, consuming Result<SecureBuffer, ProviderError>) -> Void
    ) {
        var open: [VaultID: [(name: String, key: String)]] = [:]
        for name in names {
            if let value = handed.take(name) {
                answer(name, content(value.document, value.item))
                continue
            }
            let text = settings.ids[name] ?? name
            let id = VaultID(text, in: settings.location)
            open[id.map, default: []].append((name, id.key))
        }
        for id in open.keys.sorted(by: { $0.text < $1.text }) {
            let wanted = open[id] ?? []
            do throws(ProviderError) {
                let (document, data) = try map(id, deadline)
                for (name, key) in wanted {
                    guard let node = document.member(key, of: data) else {
                        answer(name, .failure(ProviderError(.notFound, "Vault has the path, and no such key in it")))
                        continue
                    }
                    answer(name, content(document, node))
                }
            } catch {
                for (name, _) in wanted { answer(name, .failure(error)) }
            }
        }
    }

    /// Reads a map.
    private func map(
        _ id: VaultID,
        _ deadline: Int64
    ) throws(ProviderError) -> (SecretDocument, SecretDocument.Node) {
        let client = try connected()
        let engine = try client.engine(of: id.path, deadline)
        let (mount, version) = engine
        let rest = id.path.dropFirst(mount.count)
        let target = version == 2 ? "\(mount)data/\(rest)" : "\(mount)\(rest)"
        let query = version == 2 ? id.version.map { "?version=\($0)" } ?? "" : ""
        let document = try client.get(target, query, limit: Self.answerLimit, deadline)
        guard var data = document.member("data", of: document.root) else { throw Self.invalid }
        if version == 2 {
            guard let inner = document.member("data", of: data) else { throw Self.invalid }
            data = inner
        }
        guard data.isObject else {
            throw ProviderError(.invalid, "what Vault has at the path is no map of keys")
        }
        client.keep(engine)
        return (document, data)
    }

    private static let invalid = ProviderError(.invalid, "the answer has no data")

    private func content(
        _ document: SecretDocument,
        _ node: SecretDocument.Node
    ) -> Result<SecureBuffer, ProviderError> {
        do throws(ProviderError) {
            guard let content = try document.content(of: node) else {
                return .failure(ProviderError(.invalid, "the value is no text, number or boolean"))
            }
            guard content.count <= settings.limit else {
                return .failure(ProviderError(.invalid, "the value is larger than \(settings.limit) bytes"))
            }
            return .success(content)
        } catch {
            return .failure(error)
        }
    }

    private func connected() throws(ProviderError) -> VaultClient {
        if let client = client.withLock({ $0 }) { return client }
        let new = try connect()
        client.withLock { $0 = new }
        return new
    }
}
