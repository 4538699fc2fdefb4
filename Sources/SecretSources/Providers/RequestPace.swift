// SPDX-License-Identifier: Apache-2.0

/// Limit of requests to one source: a token bucket.
struct TokenBucket: Sendable {
    private let capacity: Double
    /// Tokens that come in a millisecond; infinite where there is no limit.
    private let rate: Double
    private var tokens: Double
    private var time: Int64

    /// Makes a full bucket.
    ///
    /// - Parameters:
    ///   - perSecond: requests in a second, in the long run; nil for no limit.
    ///   - burst: requests at once.
    ///   - now: the time in milliseconds.
    init(perSecond: Double?, burst: Int, now: Int64) {
        capacity = Double(burst)
        rate = perSecond.map { $0 / 1000 } ?? .infinity
        tokens = capacity
        time = now
    }

    /// Takes a token.
    ///
    /// - Returns: 0, or the milliseconds until there is one; then none was taken.
    mutating func take(now: Int64) -> Int64 {
        guard rate.isFinite else { return 0 }
        tokens = min(capacity, tokens + Double(max(0, now - time)) * rate)
        time = max(time, now)
        guard tokens < 1 else {
            tokens -= 1
            return 0
        }
        return Int64(((1 - tokens) / rate).rounded(.up))
    }
}

/// Exponential backoff with full jitter: any time up to a limit that doubles with each failure.
enum Backoff {
    /// Milliseconds to wait.
    ///
    /// - Parameters:
    ///   - failures: failures so far, 0 for the first.
    ///   - base: the limit after the first one.
    ///   - cap: the largest limit.
    ///   - random: a number from 0 to 1.
    /// - Returns: the milliseconds.
    static func milliseconds(after failures: Int, base: Int64, cap: Int64, random: Double) -> Int64 {
        let limit = min(cap, base << Int64(min(failures, 20)))
        return Int64(Double(limit) * random)
    }
}
