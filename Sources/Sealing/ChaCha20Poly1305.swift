// SPDX-License-Identifier: Apache-2.0

internal import CLibCrypto

/// ChaCha20-Poly1305 (RFC 8439) without associated data, the tag behind the ciphertext: as age files have it.
///
/// A value holds the key in a context of libcrypto, outside secure memory: let it end with the task at hand.
@safe
package struct ChaCha20Poly1305: ~Copyable {
    /// The size of a nonce in bytes.
    package static let nonceByteCount = 12
    /// The size of a tag in bytes.
    package static let tagByteCount = 16

    private let context: OpaquePointer

    package init(key: borrowing Key256) throws(SealingError) {
        unsafe context = try CipherContext.make(LibCrypto.chaCha20Poly1305, key: key)
    }

    deinit {
        unsafe EVP_CIPHER_CTX_free(context)
    }

    /// Encrypts and authenticates.
    ///
    /// - Parameters:
    ///   - plaintext: what to seal.
    ///   - nonce: 12 bytes never used before with this key.
    ///   - sealed: filled with ciphertext and tag; 16 bytes longer than the plaintext.
    /// - Throws: `SealingError`, never for the plaintext's sake.
    package mutating func seal(
        _ plaintext: Span<UInt8>,
        nonce: Span<UInt8>,
        into sealed: inout MutableSpan<UInt8>
    ) throws(SealingError) {
        precondition(sealed.count == plaintext.count + Self.tagByteCount, "the sizes are the caller's")
        try begin(encrypting: true, nonce: nonce)
        unsafe try LibCrypto.withPointer(plaintext) { (source, count) throws(SealingError) in
            unsafe try LibCrypto.withPointer(&sealed) { (target, _) throws(SealingError) in
                if count > 0 {
                    var written: Int32 = 0
                    try LibCrypto.check(unsafe EVP_CipherUpdate(context, target, &written, source, count))
                }
                unsafe try CipherContext.finish(context)
                let tag = unsafe target?.advanced(by: Int(count))
                let tagByteCount = Int32(Self.tagByteCount)
                try LibCrypto.check(unsafe EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, tagByteCount, tag))
            }
        }
    }

    /// Decrypts what is authentic.
    ///
    /// - Parameters:
    ///   - sealed: ciphertext and tag.
    ///   - nonce: the 12 bytes.
    ///   - plaintext: filled, or zeros after an error; 16 bytes shorter than what was sealed.
    /// - Throws: `SealingError.authenticationFailure`.
    package mutating func open(
        _ sealed: Span<UInt8>,
        nonce: Span<UInt8>,
        into plaintext: inout MutableSpan<UInt8>
    ) throws(SealingError) {
        precondition(sealed.count == plaintext.count + Self.tagByteCount, "the sizes are the caller's")
        do throws(SealingError) {
            try begin(encrypting: false, nonce: nonce)
            unsafe try CipherContext.update(context, sealed.extracting(0..<plaintext.count), into: &plaintext)
            unsafe try CipherContext.verify(context, sealed.extracting(plaintext.count..<sealed.count))
        } catch {
            CipherContext.cleanse(&plaintext)
            throw error
        }
    }

    private mutating func begin(encrypting: Bool, nonce: Span<UInt8>) throws(SealingError) {
        precondition(nonce.count == Self.nonceByteCount, "nonces have 96 bits")
        unsafe try CipherContext.begin(context, encrypting: encrypting, nonce: nonce)
    }
}
