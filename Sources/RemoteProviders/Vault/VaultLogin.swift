// SPDX-License-Identifier: Apache-2.0

internal import SecretProviders
internal import SecureJSON
internal import Synchronization

/// Token of Vault: one that is there, or that a login gives; renewed before its end, or replaced.
final class VaultLogin: Sendable {
    /// How to get a token.
    enum Way: Sendable {
        /// Whoever reads it anew, since an agent may replace its file; whether it is for us to renew.
        case token(@Sendable () throws(ProviderError) -> String, isRenewed: Bool)
        /// One that is wrapped.
        case wrapped(VaultWrapping)
        /// By a login.
        case method(VaultMethod)
    }

    /// Seconds before a renewal that failed is tried again.
    private static let pause: Int64 = 30

    private let way: Way
    private let requests: VaultRequests
    private let clock: @Sendable () -> Int64
    private let lease = Mutex<VaultLease?>(nil)

    /// Makes one without a token.
    ///
    /// - Parameters:
    ///   - way: how to get a token.
    ///   - requests: reach the server.
    ///   - clock: seconds since 1970.
    init(_ way: Way, _ requests: VaultRequests, clock: @escaping @Sendable () -> Int64) {
        self.way = way
        self.requests = requests
        self.clock = clock
    }

    /// A token that can be used.
    ///
    /// One that cannot be renewed or replaced now is used to its end.
    ///
    /// - Throws: why there is none.
    func token(_ deadline: Int64) throws(ProviderError) -> String {
        let now = clock()
        let old = lease.withLock { $0 }
        if let old, old.due.map({ now < $0 }) ?? true { return old.token }
        let new: VaultLease
        do throws(ProviderError) {
            if let more = try renewed(old, now, deadline) { new = more } else { new = try obtain(now, deadline) }
        } catch {
            guard var old, let end = old.end, now < end else { throw error }
            old.due = min(now + Self.pause, end)
            let postponed = old
            lease.withLock { $0 = postponed }
            return old.token
        }
        lease.withLock { $0 = new }
        return new.token
    }

    /// The token with more time; nil for one that gets none.
    private func renewed(
        _ old: VaultLease?,
        _ now: Int64,
        _ deadline: Int64
    ) throws(ProviderError) -> VaultLease? {
        guard let old, old.isRenewable, old.end.map({ now < $0 }) == true else { return nil }
        let response = try requests.post("auth/token/renew-self", token: old.token, deadline)
        let status = response.status
        guard ![400, 403, 404].contains(status) else { return nil }
        guard status == 200 else { throw VaultRequests.error(response) }
        let new = try VaultLease(SecretDocument(response.takeBody()), now: now)
        // It comes to the end of what Vault gives one token.
        return new.duration < old.duration / 2 ? nil : new
    }

    private func obtain(_ now: Int64, _ deadline: Int64) throws(ProviderError) -> VaultLease {
        switch way {
        case .method(let method): return try method.lease(requests, now: now, deadline)
        case .wrapped(let wrapping):
            guard wrapping.hasAnother else {
                throw ProviderError(
                    .denied,
                    "the token that was wrapped has ended",
                    hint: "a new wrapping token is needed, in a file or by a new start"
                )
            }
            let document = try wrapping.content(requests, deadline) { path in
                path.hasPrefix("auth/") && (path.hasPrefix("auth/token/create") || path.contains("/login"))
            }
            return try VaultLease(document, now: now)
        case .token(let read, let isRenewed):
            let lease = try VaultLease(try read(), now: now)
            guard isRenewed else { return lease }
            let response = try requests.get("auth/token/lookup-self", token: lease.token, deadline)
            guard response.status == 200, let document = SecretDocument(response.takeBody()),
                let data = document.member("data", of: document.root)
            else { return lease }
            return try VaultLease(
                lease.token,
                lasting: "ttl",
                isRenewable: "renewable",
                of: data,
                in: document,
                now: now
            )
        }
    }

    /// Forgets a token with which something was refused, if there may be a better one.
    ///
    /// - Returns: whether there may be.
    func forget(_ deadline: Int64) -> Bool {
        guard let old = lease.withLock({ $0 }) else { return false }
        switch way {
        case .token: break
        case .wrapped(let wrapping): guard wrapping.hasAnother else { return false }
        case .method:
            // One that lives is not what was refused: another would be refused, too.
            let answer = try? requests.get("auth/token/lookup-self", token: old.token, deadline).status
            guard answer != 200 else { return false }
        }
        lease.withLock { $0 = nil }
        return true
    }
}
