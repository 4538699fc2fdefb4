// SPDX-License-Identifier: Apache-2.0

internal import CLibCrypto

/// EVP digest of libcrypto: the steps that every algorithm shares.
enum DigestContext {
    /// A context that has begun; the caller frees it.
    static func make(_ algorithm: OpaquePointer?) throws(SealingError) -> OpaquePointer {
        let algorithm = unsafe try LibCrypto.require(algorithm)
        let context = unsafe try LibCrypto.require(EVP_MD_CTX_new())
        do throws(SealingError) {
            try LibCrypto.check(unsafe EVP_DigestInit_ex(context, algorithm, nil))
        } catch {
            unsafe EVP_MD_CTX_free(context)
            throw error
        }
        return unsafe context
    }

    /// Adds bytes.
    static func update(_ context: OpaquePointer, _ bytes: Span<UInt8>) throws(SealingError) {
        unsafe try LibCrypto.withPointer(bytes) { (pointer, count) throws(SealingError) in
            try LibCrypto.check(unsafe EVP_DigestUpdate(context, pointer, Int(count)))
        }
    }

    /// Ends the digest.
    static func finalize(_ context: OpaquePointer, byteCount: Int) throws(SealingError) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: byteCount)
        var span = digest.mutableSpan
        unsafe try finalize(context, into: &span)
        return digest
    }

    /// Ends the digest into as many bytes as it has.
    static func finalize(_ context: OpaquePointer, into digest: inout MutableSpan<UInt8>) throws(SealingError) {
        unsafe try LibCrypto.withPointer(&digest) { (pointer, _) throws(SealingError) in
            var written: UInt32 = 0
            try LibCrypto.check(unsafe EVP_DigestFinal_ex(context, pointer, &written))
        }
    }
}
