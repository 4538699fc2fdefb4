// SPDX-License-Identifier: Apache-2.0

package import SecureMemory

/// Provider of secrets that is asked over time: a server on the network, or a program.
///
/// Who calls has seen to cache, retries and fallback; a provider makes one attempt. It is called by one thread at a time.
package protocol SecretProvider: AnyObject, Sendable {
    /// Most names that one `fetch` may have; what is more is asked in several.
    var batchLimit: Int { get }

    /// Lists the names that there are.
    ///
    /// - Parameter deadline: time by which to end, in milliseconds of `BootClock.uptime`.
    /// - Returns: the names, or nil where a provider answers only for names that it is asked for.
    /// - Throws: why it cannot, `notFound` only where there is no such place.
    func list(until deadline: Int64) throws(ProviderError) -> [String]?

    /// Fetches values. What is wrong with one name concerns that name alone.
    ///
    /// - Parameters:
    ///   - names: at most `batchLimit` names.
    ///   - deadline: time by which to end, in milliseconds of `BootClock.uptime`.
    ///   - answer: is given the value of each name, or why there is none; once for each name.
    func fetch(
        _ names: [String],
        until deadline: Int64,
        answer: (String, consuming Result<SecureBuffer, ProviderError>) -> Void
    )

    /// Forgets what it keeps for requests that do not come: nobody has asked for a while.
    func rest()
}

extension SecretProvider {
    package func rest() {}
}

/// Error of a provider, without a value.
package struct ProviderError: Error, Sendable, Equatable {
    /// Kind of an error, which says whether another attempt can help.
    package enum Kind: UInt8, Sendable, CaseIterable {
        /// There is no secret of that name.
        case notFound = 1
        /// Credentials are missing, ended or not enough.
        case denied
        /// Network, server or program fail for now; a value of before may be served.
        case unavailable
        /// More requests than the provider takes.
        case throttled
        /// An answer that cannot be meant, or a value that is too large.
        case invalid
        /// The source is set up wrongly: it never answers before somebody mends that.
        case unusable
    }

    /// Kind of the error.
    package let kind: Kind
    /// Message for people, in one line.
    package let message: String
    /// Hint how to mend it, or an empty text.
    package let hint: String
    /// Seconds to wait as the provider says (Retry-After), if it does.
    package let retryAfter: Int?

    /// Makes an error.
    package init(_ kind: Kind, _ message: String, hint: String = "", retryAfter: Int? = nil) {
        self.kind = kind
        self.message = message
        self.hint = hint
        self.retryAfter = retryAfter
    }

    /// The error of a buffer that cannot be had.
    package static func memory(_ error: SecureMemoryError) -> ProviderError {
        ProviderError(.unavailable, "cannot get \(error.byteCount) bytes of locked memory")
    }
}
