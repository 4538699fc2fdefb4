// SPDX-License-Identifier: Apache-2.0

internal import CLibCrypto

/// SHA-512 (FIPS 180-4) over bytes that come in pieces; for formats of others.
@safe
package struct SHA512Digest: ~Copyable {
    /// The size of a digest in bytes.
    package static let byteCount = 64

    private let context: OpaquePointer

    /// Starts a digest.
    package init() throws(SealingError) {
        unsafe context = try DigestContext.make(LibCrypto.sha512)
    }

    deinit {
        unsafe EVP_MD_CTX_free(context)
    }

    /// Adds bytes.
    package mutating func update(_ bytes: Span<UInt8>) throws(SealingError) {
        unsafe try DigestContext.update(context, bytes)
    }

    /// Ends the digest and returns its 64 bytes.
    package consuming func finalize() throws(SealingError) -> [UInt8] {
        unsafe try DigestContext.finalize(context, byteCount: Self.byteCount)
    }
}
