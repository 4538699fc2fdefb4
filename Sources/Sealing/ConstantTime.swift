// SPDX-License-Identifier: Apache-2.0

internal import CLibCrypto

/// Constant-time comparison: its time depends on the lengths alone.
package enum ConstantTime {
    /// Compares two byte sequences.
    ///
    /// Wraps `CRYPTO_memcmp`; lengths are not secret.
    package static func equal(_ left: Span<UInt8>, _ right: Span<UInt8>) -> Bool {
        guard left.count == right.count else { return false }
        return unsafe left.withUnsafeBufferPointer { left in
            unsafe right.withUnsafeBufferPointer { right in
                unsafe CRYPTO_memcmp(left.baseAddress, right.baseAddress, left.count) == 0
            }
        }
    }
}
