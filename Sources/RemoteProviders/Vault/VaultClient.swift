// SPDX-License-Identifier: Apache-2.0

package import SecretProviders
internal import Synchronization

/// Reader of a server of Vault, with the token that a login has.
package final class VaultClient: Sendable {
    private let requests: VaultRequests
    private let login: VaultLogin
    /// Mounts and versions of engines that were asked for.
    private let engines = Mutex<[String: (mount: String, version: Int)]>([:])

    /// Makes one.
    ///
    /// - Parameters:
    ///   - requests: reach the server.
    ///   - login: has tokens.
    init(_ requests: VaultRequests, _ login: VaultLogin) {
        self.requests = requests
        self.login = login
    }

    /// The mount that a path is below, with a slash at its end, and the version of its engine.
    ///
    /// A token that may not ask for that may still read: the second version, mounted at the first part of the path, is supposed
    /// then, and asked for again unless something is read there (`keep`).
    func engine(of path: String, _ deadline: Int64) throws(ProviderError) -> (mount: String, version: Int) {
        if let known = engines.withLock({ engines in engines.first { "\(path)/".hasPrefix($0.key) }?.value }) {
            return known
        }
        // What is wrong with a login says nothing of the engine.
        _ = try login.token(deadline)
        do throws(ProviderError) {
            let answer = try get("sys/internal/ui/mounts/\(path)", "", limit: VaultRequests.answerLimit, deadline)
            guard let data = answer.member("data", of: answer.root), let mount = answer.text("path", of: data),
                "\(path)/".hasPrefix(mount), mount.hasSuffix("/")
            else { throw ProviderError(.invalid, "the answer names no engine") }
            let options = answer.member("options", of: data)
            let version = options.flatMap { answer.text("version", of: $0) }
            let engine = (mount: mount, version: version == "2" ? 2 : 1)
            keep(engine)
            return engine
        } catch {
            guard error.kind == .denied else { throw error }
            return (mount: path.prefix { $0 != "/" } + "/", version: 2)
        }
    }

    /// Keeps an engine by which something was read.
    func keep(_ engine: (mount: String, version: Int)) {
        engines.withLock { $0[engine.mount] = engine }
    }

    /// Reads a path, once more with another token where the first is refused.
    ///
    /// - Parameters:
    ///   - path: the path, with its mount.
    ///   - query: its query with the question mark, or nothing.
    ///   - limit: the largest answer in bytes.
    ///   - deadline: time by which to end, in milliseconds of `BootClock`.
    /// - Returns: the answer.
    /// - Throws: why there is none.
    package func get(
        _ path: String,
        _ query: String,
        limit: Int,
        _ deadline: Int64
    ) throws(ProviderError) -> SecretDocument {
        var hasRenewed = false
        while true {
            let token = try login.token(deadline)
            let response = try requests.get(path, query, token: token, limit: limit, deadline)
            if response.status == 403, !hasRenewed, login.forget(deadline) {
                hasRenewed = true
                continue
            }
            guard response.status == 200 else { throw VaultRequests.error(response) }
            guard let document = SecretDocument(response.takeBody()) else {
                throw ProviderError(.invalid, "the answer is not JSON")
            }
            return document
        }
    }
}
