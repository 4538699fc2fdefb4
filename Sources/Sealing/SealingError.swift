// SPDX-License-Identifier: Apache-2.0

package import SecureMemory

/// Failure of a cryptographic operation; never how far it got.
package enum SealingError: Error, Sendable, Equatable {
    /// A key, nonce, tag or byte that does not fit the others. One case with no detail, so that nothing can be learned
    /// from it.
    case authenticationFailure
    /// The random number generator has nothing to give.
    case randomUnavailable
    /// libcrypto refused something that it never should: out of memory or a broken installation.
    case libraryFailure
    /// No secure memory for the result.
    case memory(SecureMemoryError)

    /// Converts errors of secure memory.
    static func wrap<R: ~Copyable>(_ body: () throws(SecureMemoryError) -> R) throws(SealingError) -> R {
        do throws(SecureMemoryError) { return try body() } catch { throw .memory(error) }
    }
}
