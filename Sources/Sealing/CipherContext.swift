// SPDX-License-Identifier: Apache-2.0

internal import CLibCrypto
internal import SecureMemory

/// EVP cipher of libcrypto: the steps that every use shares.
enum CipherContext {
    /// A context with cipher and key; the caller frees it.
    static func make(_ cipher: OpaquePointer?, key: borrowing Key256) throws(SealingError) -> OpaquePointer {
        let cipher = unsafe try LibCrypto.require(cipher)
        let context = unsafe try LibCrypto.require(EVP_CIPHER_CTX_new())
        do throws(SealingError) {
            try key.withBytes { (key) throws(SealingError) in
                unsafe try LibCrypto.withPointer(key) { (pointer, _) throws(SealingError) in
                    try LibCrypto.check(unsafe EVP_CipherInit_ex(context, cipher, nil, pointer, nil, 1))
                }
            }
        } catch {
            unsafe EVP_CIPHER_CTX_free(context)
            throw error
        }
        return unsafe context
    }

    /// Begins a message with a nonce, or the first counter, of the size that the mode has.
    static func begin(_ context: OpaquePointer, encrypting: Bool, nonce: Span<UInt8>) throws(SealingError) {
        unsafe try LibCrypto.withPointer(nonce) { (pointer, _) throws(SealingError) in
            try LibCrypto.check(unsafe EVP_CipherInit_ex(context, nil, nil, nil, pointer, encrypting ? 1 : 0))
        }
    }

    /// Ends a message that was decrypted, and compares its tag.
    static func verify(_ context: OpaquePointer, _ tag: Span<UInt8>) throws(SealingError) {
        unsafe try LibCrypto.withPointer(tag) { (pointer, count) throws(SealingError) in
            // The function takes a writable pointer for its other uses; setting a tag only reads.
            let pointer = unsafe UnsafeMutablePointer(mutating: pointer)
            try LibCrypto.check(unsafe EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, count, pointer))
        }
        unsafe try finish(context, orThrow: .authenticationFailure)
    }

    /// Passes bytes through a stream mode, which gives as many back.
    static func update(
        _ context: OpaquePointer,
        _ input: Span<UInt8>,
        into output: inout MutableSpan<UInt8>
    ) throws(SealingError) {
        precondition(output.count == input.count, "stream modes keep the length")
        guard !input.isEmpty else { return }
        unsafe try LibCrypto.withPointer(input) { (source, count) throws(SealingError) in
            unsafe try LibCrypto.withPointer(&output) { (target, _) throws(SealingError) in
                var written: Int32 = 0
                try LibCrypto.check(unsafe EVP_CipherUpdate(context, target, &written, source, count))
            }
        }
    }

    /// Ends a message; with GCM this is where a tag is compared.
    static func finish(
        _ context: OpaquePointer,
        orThrow error: SealingError = .libraryFailure
    ) throws(SealingError) {
        var nothing: UInt8 = 0
        var written: Int32 = 0
        try LibCrypto.check(unsafe EVP_CipherFinal_ex(context, &nothing, &written), orThrow: error)
    }

    /// Wipes bytes; wraps `OPENSSL_cleanse`.
    ///
    /// Wraps `OPENSSL_cleanse`.
    static func cleanse(_ bytes: inout MutableSpan<UInt8>) {
        unsafe bytes.withUnsafeMutableBufferPointer { buffer in
            unsafe OPENSSL_cleanse(buffer.baseAddress, buffer.count)
        }
    }
}
