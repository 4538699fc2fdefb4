// SPDX-License-Identifier: Apache-2.0

internal import CLibCrypto
internal import SecureMemory

/// Random bytes from libcrypto's generators.
package enum RandomBytes {
    /// Fills bytes that may be published: nonces, salts, identifiers.
    ///
    /// Wraps `RAND_bytes`.
    package static func fill(_ bytes: inout MutableSpan<UInt8>) throws(SealingError) {
        try LibCrypto.prepare()
        unsafe try LibCrypto.withPointer(&bytes) { (pointer, count) throws(SealingError) in
            try LibCrypto.check(unsafe RAND_bytes(pointer, count), orThrow: .randomUnavailable)
        }
    }

    /// Fills bytes that stay secret, from the generator whose output is never published.
    ///
    /// Wraps `RAND_priv_bytes`.
    package static func fillPrivate(_ bytes: inout MutableSpan<UInt8>) throws(SealingError) {
        try LibCrypto.prepare()
        unsafe try LibCrypto.withPointer(&bytes) { (pointer, count) throws(SealingError) in
            try LibCrypto.check(unsafe RAND_priv_bytes(pointer, count), orThrow: .randomUnavailable)
        }
    }

    /// As many public random bytes as asked for.
    package static func array(count: Int) throws(SealingError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var span = bytes.mutableSpan
        try fill(&span)
        return bytes
    }
}
