// SPDX-License-Identifier: Apache-2.0

internal import CLibCrypto

/// X25519 (RFC 7748): Diffie-Hellman on the Montgomery curve.
package enum X25519 {
    /// The size of a public key in bytes.
    package static let publicByteCount = 32

    /// The public key of a private one.
    package static func publicKey(of key: borrowing Key256) throws(SealingError) -> [UInt8] {
        let pair = unsafe try privateKey(key)
        defer { unsafe EVP_PKEY_free(pair) }
        var bytes = [UInt8](repeating: 0, count: publicByteCount)
        var span = bytes.mutableSpan
        unsafe try LibCrypto.withPointer(&span) { (pointer, count) throws(SealingError) in
            var length = Int(count)
            try LibCrypto.check(unsafe EVP_PKEY_get_raw_public_key(pair, pointer, &length))
        }
        return bytes
    }

    /// The secret that a private key shares with the holder of a public one.
    ///
    /// - Parameters:
    ///   - key: the private key.
    ///   - publicKey: the other one's 32 bytes.
    /// - Returns: the secret; not uniform, so derive from it.
    /// - Throws: `SealingError.authenticationFailure` for a public key of another size or of low order, with which
    ///   everybody would share the same zeros.
    package static func sharedSecret(
        _ key: borrowing Key256,
        with publicKey: Span<UInt8>
    ) throws(SealingError) -> Key256 {
        guard publicKey.count == publicByteCount else { throw .authenticationFailure }
        let pair = unsafe try privateKey(key)
        defer { unsafe EVP_PKEY_free(pair) }
        let peer = unsafe try LibCrypto.withPointer(publicKey) { (pointer, count) throws(SealingError) in
            unsafe try LibCrypto.require(EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, nil, pointer, Int(count)))
        }
        defer { unsafe EVP_PKEY_free(peer) }
        let context = unsafe try LibCrypto.require(EVP_PKEY_CTX_new(pair, nil))
        defer { unsafe EVP_PKEY_CTX_free(context) }
        try LibCrypto.check(unsafe EVP_PKEY_derive_init(context))
        try LibCrypto.check(unsafe EVP_PKEY_derive_set_peer(context, peer))
        return try Key256.filled { (bytes) throws(SealingError) in
            unsafe try LibCrypto.withPointer(&bytes) { (pointer, count) throws(SealingError) in
                var length = Int(count)
                // Fails where the secret is all zeros (RFC 7748 section 6.1; crypto/ec/curve25519.c, ossl_x25519).
                try LibCrypto.check(unsafe EVP_PKEY_derive(context, pointer, &length), orThrow: .authenticationFailure)
            }
        }
    }

    /// Wiped by libcrypto when it is freed.
    private static func privateKey(_ key: borrowing Key256) throws(SealingError) -> OpaquePointer {
        try LibCrypto.prepare()
        return unsafe try key.withBytes { (key) throws(SealingError) in
            unsafe try LibCrypto.withPointer(key) { (pointer, count) throws(SealingError) in
                unsafe try LibCrypto.require(EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, nil, pointer, Int(count)))
            }
        }
    }
}
