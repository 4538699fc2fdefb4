// SPDX-License-Identifier: Apache-2.0

internal import SecretProviders
internal import Synchronization

/// Token of requests, asked for anew before it ends.
///
/// While another one cannot be had, that of before is used to its end.
final class TokenCache: Sendable {
    /// Seconds before another one is asked for again where that failed.
    private static let pause: Int64 = 30

    private struct State {
        var token: BearerToken?
        /// Time before which another one is not asked for, while there is one.
        var retry: Int64 = .min
    }

    private let state = Mutex(State())
    private let clock: @Sendable () -> Int64
    private let get: @Sendable (Int64) throws(ProviderError) -> BearerToken

    /// Makes one without a token.
    ///
    /// - Parameters:
    ///   - clock: seconds since 1970.
    ///   - get: gets a token by a time in milliseconds of `BootClock`.
    init(
        clock: @escaping @Sendable () -> Int64,
        get: @escaping @Sendable (Int64) throws(ProviderError) -> BearerToken
    ) {
        self.clock = clock
        self.get = get
    }

    /// A token that can be used.
    ///
    /// - Parameter deadline: time by which to have it.
    /// - Returns: the token.
    /// - Throws: why there is none.
    func token(until deadline: Int64) throws(ProviderError) -> BearerToken {
        let now = clock()
        let (old, retry) = state.withLock { ($0.token, $0.retry) }
        let usable = old.flatMap { $0.isValid(at: now) ? $0 : nil }
        if let usable, !usable.isEnding(at: now) || now < retry { return usable }
        do throws(ProviderError) {
            let new = try get(deadline)
            state.withLock { $0 = State(token: new) }
            return new
        } catch {
            guard let usable else { throw error }
            state.withLock { $0.retry = now + Self.pause }
            return usable
        }
    }

    /// Forgets a token that was refused.
    func forget(_ token: BearerToken) {
        state.withLock { state in
            if state.token === token { state.token = nil }
        }
    }
}
