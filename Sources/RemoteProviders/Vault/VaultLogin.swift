// SPDX-License-Identifier: Apache-2.0

internal import SecretProviders
internal import SecureJSON
internal import SecureMemory
internal import Synchronization

/// Token of Vault: one that is there, or that a login gives.
final class VaultLogin: Sendable {
    /// How to get a token.
    enum Way: Sendable {
        /// Whoever reads it anew, since an agent may replace its file.
        case token(@Sendable () throws(ProviderError) -> String)
        /// A role and its secret, by the mount of the method.
        case role(id: String, secret: @Sendable () throws(ProviderError) -> String, mount: String)
    }

    /// Sends a login.
    typealias Sender = (String, consuming SecureBuffer) throws(ProviderError) -> HTTPResponse

    private struct Lease: Sendable {
        let token: String
        /// Seconds since 1970 after which another is wanted; nil for never.
        let end: Int64?
    }

    private let way: Way
    private let clock: @Sendable () -> Int64
    private let lease = Mutex<Lease?>(nil)

    /// Makes one without a token.
    init(_ way: Way, clock: @escaping @Sendable () -> Int64) {
        self.way = way
        self.clock = clock
    }

    /// A token that can be used.
    ///
    /// - Throws: why there is none.
    func token(_ deadline: Int64, _ send: Sender) throws(ProviderError) -> String {
        let now = clock()
        if let lease = lease.withLock({ $0 }), lease.end.map({ now < $0 }) ?? true { return lease.token }
        let new: Lease
        switch way {
        case .token(let read): new = Lease(token: try Self.plain(try read()), end: nil)
        case .role(let id, let secret, let mount):
            let input = JSONValue.object(["role_id": .string(id), "secret_id": .string(try secret())]).text(.line)
            let response = try send("auth/\(mount)/login", try SecureBuffer.copying(input))
            guard response.status == 200 else {
                guard response.status == 400 || response.status == 403 else { throw VaultClient.error(response) }
                throw ProviderError(.denied, "Vault refuses the role or its secret id", hint: "get another secret id")
            }
            guard let document = SecretDocument(response.takeBody()),
                let auth = document.member("auth", of: document.root),
                let token = document.text("client_token", of: auth)
            else { throw ProviderError(.invalid, "the answer to the login has no token") }
            let seconds = try document.number("lease_duration", of: auth) ?? 0
            // Another one before this one ends.
            new = Lease(token: try Self.plain(token), end: seconds > 0 ? now + seconds - min(60, seconds / 5) : nil)
        }
        lease.withLock { $0 = new }
        return new.token
    }

    /// Forgets a token that was refused.
    ///
    /// - Returns: whether there may be another.
    func forget() -> Bool {
        lease.withLock { lease in
            defer { lease = nil }
            return lease != nil
        }
    }

    private static func plain(_ token: String) throws(ProviderError) -> String {
        guard !token.isEmpty, HeaderText.isPlain(token) else {
            throw ProviderError(.denied, "the token of Vault is empty, or has what no header can have")
        }
        return token
    }
}
