// SPDX-License-Identifier: Apache-2.0

package import SystemPackage

/// Failure to get secure memory.
package struct SecureMemoryError: Error, Sendable, Equatable {
    package enum Code: Sendable, Equatable {
        /// The address space cannot be had.
        case unavailable
        /// The pages cannot be kept out of swap, core dumps or children; mostly `ulimit -l` is too low.
        case notLocked
    }

    package let code: Code
    /// The number of bytes asked for.
    package let byteCount: Int
    /// The error of the system call.
    package let errno: Errno

    init(_ code: Code, byteCount: Int, errno: Errno) {
        self.code = code
        self.byteCount = byteCount
        self.errno = errno
    }
}
