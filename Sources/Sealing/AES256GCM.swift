// SPDX-License-Identifier: Apache-2.0

internal import CLibCrypto
package import SecureMemory

/// AES-256-GCM (NIST SP 800-38D) with 128-bit tags, under one key; nonces have 96 bits unless a format of others wants more.
///
/// A value holds the expanded key in a context of libcrypto, outside secure memory: make one for a task, let it end
/// with the task (its end wipes the context).
@safe
package struct AES256GCM: ~Copyable {
    /// The size of a nonce in bytes.
    package static let nonceByteCount = 12
    /// The size of a tag in bytes.
    package static let tagByteCount = 16

    private let context: OpaquePointer
    private let nonceByteCount: Int

    /// Prepares a key.
    ///
    /// - Parameters:
    ///   - key: the key.
    ///   - nonceByteCount: the size of nonces, where a format of others has another one than is usual.
    /// - Throws: `SealingError`.
    package init(key: borrowing Key256, nonceByteCount: Int = Self.nonceByteCount) throws(SealingError) {
        unsafe context = try Self.makeContext(key, nonceByteCount)
        self.nonceByteCount = nonceByteCount
    }

    private static func makeContext(_ key: borrowing Key256, _ count: Int) throws(SealingError) -> OpaquePointer {
        let context = unsafe try CipherContext.make(LibCrypto.aes256GCM, key: key)
        guard count != nonceByteCount else { return unsafe context }
        do throws(SealingError) {
            try LibCrypto.check(unsafe EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_IVLEN, Int32(count), nil))
        } catch {
            unsafe EVP_CIPHER_CTX_free(context)
            throw error
        }
        return unsafe context
    }

    deinit {
        unsafe EVP_CIPHER_CTX_free(context)
    }

    /// Encrypts and authenticates.
    ///
    /// - Parameters:
    ///   - plaintext: what to seal.
    ///   - nonce: bytes, 12 if nothing else was said, never used before with this key.
    ///   - associatedData: authenticated with it, not encrypted.
    ///   - ciphertext: as many bytes as the plaintext; filled.
    ///   - tag: 16 bytes; filled.
    /// - Throws: `SealingError`, never for the plaintext's sake.
    package mutating func seal(
        _ plaintext: Span<UInt8>,
        nonce: Span<UInt8>,
        associatedData: Span<UInt8>,
        into ciphertext: inout MutableSpan<UInt8>,
        tag: inout MutableSpan<UInt8>
    ) throws(SealingError) {
        precondition(ciphertext.count == plaintext.count, "the sizes are the caller's")
        precondition(tag.count == Self.tagByteCount, "tags have 128 bits")
        try begin(encrypting: true, nonce: nonce, associatedData: associatedData)
        unsafe try CipherContext.update(context, plaintext, into: &ciphertext)
        unsafe try CipherContext.finish(context)
        unsafe try LibCrypto.withPointer(&tag) { (pointer, count) throws(SealingError) in
            try LibCrypto.check(unsafe EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, count, pointer))
        }
    }

    /// Decrypts what is authentic.
    ///
    /// - Parameters:
    ///   - ciphertext: what was sealed.
    ///   - nonce: its bytes, 12 if nothing else was said.
    ///   - tag: its 16 bytes.
    ///   - associatedData: the same as at sealing.
    ///   - plaintext: as many bytes as the ciphertext; filled, or zeros after an error.
    /// - Throws: `SealingError.authenticationFailure` if any of them is not what it was.
    package mutating func open(
        _ ciphertext: Span<UInt8>,
        nonce: Span<UInt8>,
        tag: Span<UInt8>,
        associatedData: Span<UInt8>,
        into plaintext: inout MutableSpan<UInt8>
    ) throws(SealingError) {
        precondition(plaintext.count == ciphertext.count, "the sizes are the caller's")
        do throws(SealingError) {
            try begin(encrypting: false, nonce: nonce, associatedData: associatedData)
            unsafe try CipherContext.update(context, ciphertext, into: &plaintext)
            try verify(tag)
        } catch {
            CipherContext.cleanse(&plaintext)
            throw error
        }
    }

    /// Checks that a ciphertext is authentic and keeps nothing of its plaintext.
    ///
    /// - Parameters:
    ///   - ciphertext: what was sealed.
    ///   - nonce: its bytes, 12 if nothing else was said.
    ///   - tag: its 16 bytes.
    ///   - associatedData: the same as at sealing.
    ///   - scratch: at least one byte of secure memory that the plaintext passes through; zeros afterwards. The larger,
    ///     the fewer calls; 16 KiB is plenty.
    /// - Throws: `SealingError.authenticationFailure`.
    package mutating func authenticate(
        _ ciphertext: Span<UInt8>,
        nonce: Span<UInt8>,
        tag: Span<UInt8>,
        associatedData: Span<UInt8>,
        scratch: inout SecureBuffer
    ) throws(SealingError) {
        precondition(scratch.capacity > 0, "something must take the plaintext")
        defer { scratch.wipe() }
        try begin(encrypting: false, nonce: nonce, associatedData: associatedData)
        var offset = 0
        while offset < ciphertext.count {
            let end = min(offset + scratch.capacity, ciphertext.count)
            let chunk = ciphertext.extracting(offset..<end)
            scratch.setCount(chunk.count)
            try scratch.withMutableBytes { (bytes) throws(SealingError) in
                unsafe try CipherContext.update(context, chunk, into: &bytes)
            }
            offset = end
        }
        try verify(tag)
    }

    private mutating func begin(
        encrypting: Bool,
        nonce: Span<UInt8>,
        associatedData: Span<UInt8>
    ) throws(SealingError) {
        precondition(nonce.count == nonceByteCount, "the size is the caller's")
        unsafe try CipherContext.begin(context, encrypting: encrypting, nonce: nonce)
        guard !associatedData.isEmpty else { return }
        unsafe try LibCrypto.withPointer(associatedData) { (pointer, count) throws(SealingError) in
            var written: Int32 = 0
            try LibCrypto.check(unsafe EVP_CipherUpdate(context, nil, &written, pointer, count))
        }
    }

    private mutating func verify(_ tag: Span<UInt8>) throws(SealingError) {
        guard tag.count == Self.tagByteCount else { throw .authenticationFailure }
        unsafe try CipherContext.verify(context, tag)
    }
}
