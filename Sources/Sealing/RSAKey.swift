// SPDX-License-Identifier: Apache-2.0

internal import CLibCrypto

/// Private key of RSA that signs with PKCS #1 v1.5 and SHA-256 (RFC 8017), which RFC 7518 calls RS256.
///
/// libcrypto holds the key, outside of locked memory, and wipes it when this value ends: keep it for one signature.
@safe
package struct RSAKey: ~Copyable {
    /// Sizes of a modulus in bits: less is weak, more is time.
    private static let bitCounts: ClosedRange<Int32> = 2048...8192

    private let pair: OpaquePointer

    /// Reads a PEM text: PKCS #8 or PKCS #1, not encrypted.
    ///
    /// - Throws: `SealingError.authenticationFailure` for what is none, or of another algorithm or size.
    package init(pem: Span<UInt8>) throws(SealingError) {
        try LibCrypto.prepare()
        let key = unsafe try LibCrypto.withPointer(pem) { (pointer, count) throws(SealingError) in
            unsafe credfs_private_key(pointer, count)
        }
        guard let key = unsafe key else {
            ERR_clear_error()
            throw .authenticationFailure
        }
        guard unsafe EVP_PKEY_is_a(key, "RSA") == 1, Self.bitCounts.contains(unsafe EVP_PKEY_get_bits(key)) else {
            unsafe EVP_PKEY_free(key)
            throw .authenticationFailure
        }
        unsafe pair = key
    }

    deinit {
        unsafe EVP_PKEY_free(pair)
    }

    /// The size of a signature in bytes.
    package var signatureByteCount: Int { Int(unsafe EVP_PKEY_get_size(pair)) }

    /// Signs a message.
    ///
    /// - Parameters:
    ///   - message: the message.
    ///   - signature: filled; must have `signatureByteCount` bytes.
    /// - Throws: `SealingError.libraryFailure`, also for numbers that are no key.
    package func sign(_ message: Span<UInt8>, into signature: inout MutableSpan<UInt8>) throws(SealingError) {
        precondition(signature.count == signatureByteCount, "the size is the caller's")
        let context = unsafe try LibCrypto.require(EVP_MD_CTX_new())
        defer { unsafe EVP_MD_CTX_free(context) }
        try LibCrypto.check(unsafe EVP_DigestSignInit_ex(context, nil, "SHA256", nil, nil, pair, nil))
        unsafe try LibCrypto.withPointer(message) { (message, messageCount) throws(SealingError) in
            unsafe try LibCrypto.withPointer(&signature) { (pointer, count) throws(SealingError) in
                var written = Int(count)
                try LibCrypto.check(unsafe EVP_DigestSign(context, pointer, &written, message, Int(messageCount)))
                guard written == Int(count) else { throw .libraryFailure }
            }
        }
    }
}
