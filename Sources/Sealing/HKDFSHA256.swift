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
        try LibCrypto.prepare()
        let context = unsafe try LibCrypto.require(EVP_PKEY_CTX_new_id(EVP_PKEY_HKDF, nil))
        // Wipes its copy of the key (providers/implementations/kdfs/hkdf.c, kdf_hkdf_reset).
        defer { unsafe EVP_PKEY_CTX_free(context) }
        try LibCrypto.check(unsafe EVP_PKEY_derive_init(context))
        try LibCrypto.check(unsafe EVP_PKEY_CTX_set_hkdf_md(context, EVP_sha256()))
        unsafe try LibCrypto.withPointer(salt) { (pointer, count) throws(SealingError) in
            try LibCrypto.check(unsafe EVP_PKEY_CTX_set1_hkdf_salt(context, pointer, count))
        }
        unsafe try LibCrypto.withPointer(key) { (pointer, count) throws(SealingError) in
            try LibCrypto.check(unsafe EVP_PKEY_CTX_set1_hkdf_key(context, pointer, count))
        }
        unsafe try LibCrypto.withPointer(info) { (pointer, count) throws(SealingError) in
            try LibCrypto.check(unsafe EVP_PKEY_CTX_add1_hkdf_info(context, pointer, count))
        }
        unsafe try LibCrypto.withPointer(&output) { (pointer, count) throws(SealingError) in
            var length = Int(count)
            try LibCrypto.check(unsafe EVP_PKEY_derive(context, pointer, &length))
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
