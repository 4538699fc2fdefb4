// SPDX-License-Identifier: Apache-2.0

package import Sealing
internal import SecureFiles
package import SecureMemory
internal import SystemCalls
package import SystemPackage

/// Failure of a store operation: a class that decides the exit status, a message and perhaps a hint.
///
/// Messages hold names, paths, modes and positions; never a byte of a value, a key or a password.
package struct StoreError: Error, Sendable, Equatable {
    /// The classes of failure, each with an exit status of its own in `credfs(1)`.
    package enum Code: Sendable, Equatable, CaseIterable {
        /// An operating system error with no better class.
        case failed
        /// No secret has the name.
        case noSuchSecret
        /// No password slot opens with the password.
        case incorrectPassword
        /// Too many passwords were wrong; the next has to wait.
        case lockedOut
        /// A mode, an owner, a link count or a kind of file that could have leaked a secret.
        case permissions
        /// A key, a signature or a value that does not authenticate.
        case authentication
        /// The manifest or something required in it has expired.
        case expired
        /// YAML, schema or format of content, and required entries without a value.
        case invalid
        /// There is no store.
        case noStore
        /// Plaintext where only sealed values may be.
        case unsealed
        /// Arguments that cannot be meant.
        case usage
        /// A source of secrets that does not answer, or not with what can be used.
        case unavailable
    }

    package let code: Code
    /// Message: lower case, no full stop.
    package let message: String
    /// Next step, in the same style.
    package let hint: String?

    package init(_ code: Code, _ message: String, hint: String? = nil) {
        self.code = code
        self.message = message
        self.hint = hint
    }

    /// The error of a system call on a path.
    package static func system(_ action: String, _ path: String, _ errno: Errno) -> StoreError {
        StoreError(FileError.system(action, path, errno))
    }

    /// The error of a cryptographic operation that was not a question of authenticity.
    package static func sealing(_ error: SealingError) -> StoreError {
        switch error {
        case .authenticationFailure: StoreError(.authentication, "authentication failure")
        case .randomUnavailable: StoreError(.failed, "the random number generator has nothing to give")
        case .libraryFailure: StoreError(.failed, "libcrypto failed")
        case .memory(let error): memory(error)
        }
    }

    /// The error of having no secure memory.
    package static func memory(_ error: SecureMemoryError) -> StoreError {
        StoreError(
            .failed,
            "cannot get \(error.byteCount) bytes of locked memory: \(error.errno.message)",
            hint: "raise the limit of locked memory (ulimit -l)"
        )
    }

    /// Converts errors of libcrypto.
    package static func wrapping<R: ~Copyable>(_ body: () throws(SealingError) -> R) throws(StoreError) -> R {
        do throws(SealingError) { return try body() } catch { throw sealing(error) }
    }

    /// Converts errors of secure memory.
    package static func locking<R: ~Copyable>(_ body: () throws(SecureMemoryError) -> R) throws(StoreError) -> R {
        do throws(SecureMemoryError) { return try body() } catch { throw memory(error) }
    }
}
