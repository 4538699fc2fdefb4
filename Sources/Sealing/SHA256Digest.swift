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
        unsafe context = try DigestContext.make(LibCrypto.sha256)
    }

    deinit {
        unsafe EVP_MD_CTX_free(context)
    }

    /// Adds bytes.
    package mutating func update(_ bytes: Span<UInt8>) throws(SealingError) {
        unsafe try DigestContext.update(context, bytes)
    }

    /// Ends the digest of a secret, which is a key.
    consuming func key() throws(SealingError) -> Key256 {
        try Key256.filled { (bytes) throws(SealingError) in
            unsafe try DigestContext.finalize(context, into: &bytes)
        }
    }

    /// Ends the digest and returns its 32 bytes.
    package consuming func finalize() throws(SealingError) -> [UInt8] {
        unsafe try DigestContext.finalize(context, byteCount: Self.byteCount)
    }
}
