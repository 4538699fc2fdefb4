// SPDX-License-Identifier: Apache-2.0

package import SecretProviders
internal import Synchronization

/// Keys of requests, asked for anew before they end.
///
/// While others cannot be had, those of before are used to their end.
package final class AWSIdentity: Sendable {
    /// Seconds before others are asked for again where that failed.
    private static let pause: Int64 = 30

    private struct State {
        var keys: AWSKeys?
        /// Time before which others are not asked for, while there are keys.
        var retry: Int64 = .min
    }

    private let state = Mutex(State())
    private let resolve: @Sendable (Int64) throws(ProviderError) -> AWSKeys
    private let clock: @Sendable () -> Int64

    /// Makes one without keys.
    ///
    /// - Parameters:
    ///   - clock: seconds since 1970.
    ///   - resolve: finds keys by a time in milliseconds of `BootClock`.
    package init(
        clock: @escaping @Sendable () -> Int64,
        resolve: @escaping @Sendable (Int64) throws(ProviderError) -> AWSKeys
    ) {
        self.clock = clock
        self.resolve = resolve
    }

    /// Keys that can be used.
    ///
    /// - Parameter deadline: time by which to have them.
    /// - Returns: the keys.
    /// - Throws: why there are none.
    package func keys(until deadline: Int64) throws(ProviderError) -> AWSKeys {
        let now = clock()
        let (old, retry) = state.withLock { ($0.keys, $0.retry) }
        let usable = old.flatMap { $0.areValid(at: now) ? $0 : nil }
        if let usable, !usable.areEnding(at: now) || now < retry { return usable }
        do throws(ProviderError) {
            let new = try resolve(deadline)
            guard new.areValid(at: now) else {
                throw ProviderError(.denied, "the AWS keys have ended", hint: AWSFailure.newKeys)
            }
            state.withLock { $0 = State(keys: new) }
            return new
        } catch {
            guard let usable else { throw error }
            state.withLock { $0.retry = now + Self.pause }
            return usable
        }
    }

    /// Forgets keys that were refused.
    package func forget(_ keys: AWSKeys) {
        state.withLock { state in
            if state.keys === keys { state.keys = nil }
        }
    }
}
