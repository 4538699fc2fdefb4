// SPDX-License-Identifier: Apache-2.0

internal import CLibCrypto
internal import SecureMemory

/// Parts of a ciphertext that was authenticated as a whole before.
extension AES256GCM {
    /// Decrypts a part of a ciphertext without looking at its tag.
    ///
    /// GCM encrypts with GCTR (SP 800-38D section 6.5) from the counter block `nonce || 2`, so the block that holds byte
    /// `offset` has the counter `2 + offset / 16`. Only for a ciphertext that `authenticate` accepted and that nobody
    /// could change since.
    ///
    /// - Parameters:
    ///   - part: the ciphertext from `offset` on.
    ///   - offset: where the part begins in the whole, in bytes.
    ///   - nonce: the 12 bytes of the whole.
    ///   - key: the key of the whole.
    ///   - plaintext: as many bytes as the part; filled.
    /// - Throws: `SealingError`, never for the ciphertext's sake.
    package static func decrypt(
        _ part: Span<UInt8>,
        at offset: Int,
        nonce: Span<UInt8>,
        key: borrowing Key256,
        into plaintext: inout MutableSpan<UInt8>
    ) throws(SealingError) {
        precondition(nonce.count == nonceByteCount, "nonces have 96 bits")
        let block = 2 + offset / 16
        // SP 800-38D allows 2^32 - 2 blocks; beyond them GCM's counter wraps in 32 bits and CTR's would not.
        precondition(offset >= 0 && (offset + part.count + 15) / 16 <= Int(UInt32.max) - 1, "within one GCM message")
        let context = unsafe try CipherContext.make(LibCrypto.aes256CTR, key: key)
        defer { unsafe EVP_CIPHER_CTX_free(context) }
        // Not an array: a mount calls this at every read, and allocates nothing there.
        var counter: InlineArray<16, UInt8> = InlineArray(repeating: 0)
        for index in 0..<nonceByteCount { counter[index] = nonce[index] }
        for index in 0..<4 { counter[nonceByteCount + index] = UInt8(truncatingIfNeeded: block >> (24 - 8 * index)) }
        unsafe try CipherContext.begin(context, encrypting: false, nonce: counter.span)
        unsafe try skip(offset % 16, in: context)
        unsafe try CipherContext.update(context, part, into: &plaintext)
    }

    /// Uses up the key stream before a part that does not begin with a block.
    private static func skip(_ count: Int, in context: OpaquePointer) throws(SealingError) {
        guard count > 0 else { return }
        var keyStream: InlineArray<16, UInt8> = InlineArray(repeating: 0)
        let zeros: InlineArray<16, UInt8> = InlineArray(repeating: 0)
        var output = keyStream.mutableSpan
        defer { CipherContext.cleanse(&output) }
        unsafe try LibCrypto.withPointer(zeros.span) { (source, _) throws(SealingError) in
            unsafe try LibCrypto.withPointer(&output) { (target, _) throws(SealingError) in
                var written: Int32 = 0
                try LibCrypto.check(unsafe EVP_CipherUpdate(context, target, &written, source, Int32(count)))
            }
        }
    }
}
