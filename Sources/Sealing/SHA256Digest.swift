// SPDX-License-Identifier: Apache-2.0

internal import CLibCrypto

/// SHA-256 (FIPS 180-4) over bytes that come in pieces.
@safe
package struct SHA256Digest: ~Copyable {
    /// The size of a digest in bytes.
    package static let byteCount = 32

    private let context: OpaquePointer

    /// Starts a digest.
    package init() throws(SealingError) {
        unsafe context = try Self.makeContext()
    }

    deinit {
        unsafe EVP_MD_CTX_free(context)
    }

    /// Adds bytes.
    package mutating func update(_ bytes: Span<UInt8>) throws(SealingError) {
        unsafe try LibCrypto.withPointer(bytes) { (pointer, count) throws(SealingError) in
            try LibCrypto.check(unsafe EVP_DigestUpdate(context, pointer, Int(count)))
        }
    }

    /// Ends the digest and returns its 32 bytes.
    package consuming func finalize() throws(SealingError) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: Self.byteCount)
        var span = digest.mutableSpan
        unsafe try LibCrypto.withPointer(&span) { (pointer, _) throws(SealingError) in
            var written: UInt32 = 0
            try LibCrypto.check(unsafe EVP_DigestFinal_ex(context, pointer, &written))
        }
        return digest
    }

    private static func makeContext() throws(SealingError) -> OpaquePointer {
        try LibCrypto.prepare()
        let algorithm = unsafe try LibCrypto.require(EVP_MD_fetch(nil, "SHA256", nil))
        defer { unsafe EVP_MD_free(algorithm) }
        let context = unsafe try LibCrypto.require(EVP_MD_CTX_new())
        do throws(SealingError) {
            try LibCrypto.check(unsafe EVP_DigestInit_ex(context, algorithm, nil))
        } catch {
            unsafe EVP_MD_CTX_free(context)
            throw error
        }
        return unsafe context
    }
}
