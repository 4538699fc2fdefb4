// SPDX-License-Identifier: Apache-2.0

internal import CLibCrypto

/// HKDF-SHA256 (RFC 5869): derives independent keys from one.
package enum HKDFSHA256 {
    /// The largest number of bytes that can be derived at once (RFC 5869 section 2.3).
    package static let maximumByteCount = 255 * 32

    /// Derives bytes.
    ///
    /// - Parameters:
    ///   - key: the input keying material.
    ///   - salt: may be empty, which means as many zeros as the hash has bytes.
    ///   - info: what the result is for; different texts give unrelated results.
    ///   - output: filled; at most `maximumByteCount`.
    /// - Throws: `SealingError`.
    package static func derive(
        from key: Span<UInt8>,
        salt: Span<UInt8>,
        info: Span<UInt8>,
        into output: inout MutableSpan<UInt8>
    ) throws(SealingError) {
        precondition(output.count <= maximumByteCount, "RFC 5869 bounds the output")
        let algorithm = unsafe try LibCrypto.require(LibCrypto.hkdf)
        let context = unsafe try LibCrypto.require(EVP_KDF_CTX_new(algorithm))
        // Wipes its copy of the key (providers/implementations/kdfs/hkdf.c, kdf_hkdf_reset).
        defer { unsafe EVP_KDF_CTX_free(context) }
        unsafe try LibCrypto.withPointer(key) { (key, keyCount) throws(SealingError) in
            unsafe try LibCrypto.withPointer(salt) { (salt, saltCount) throws(SealingError) in
                unsafe try LibCrypto.withPointer(info) { (info, infoCount) throws(SealingError) in
                    unsafe try LibCrypto.withPointer(&output) { (output, count) throws(SealingError) in
                        let input = unsafe credfs_hkdf_input(
                            key: key,
                            key_count: Int(keyCount),
                            salt: salt,
                            salt_count: Int(saltCount),
                            info: info,
                            info_count: Int(infoCount)
                        )
                        try LibCrypto.check(unsafe credfs_hkdf_sha256(context, input, output, Int(count)))
                    }
                }
            }
        }
    }

    /// Derives a key of 256 bits.
    package static func key(
        from key: borrowing Key256,
        salt: Span<UInt8>,
        info: Span<UInt8>
    ) throws(SealingError) -> Key256 {
        try key.withBytes { (key) throws(SealingError) in
            try Key256.filled { (bytes) throws(SealingError) in
                try derive(from: key, salt: salt, info: info, into: &bytes)
            }
        }
    }
}
