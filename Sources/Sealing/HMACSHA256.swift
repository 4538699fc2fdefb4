// SPDX-License-Identifier: Apache-2.0

internal import CLibCrypto

/// HMAC-SHA256 (RFC 2104, FIPS 198-1) over bytes that come in pieces.
@safe
package struct HMACSHA256: ~Copyable {
    /// The size of a code in bytes.
    package static let byteCount = 32

    private let context: OpaquePointer

    /// Starts a code under a key of any length.
    package init(key: Span<UInt8>) throws(SealingError) {
        unsafe context = try Self.makeContext(key: key)
    }

    deinit {
        unsafe EVP_MAC_CTX_free(context)
    }

    package mutating func update(_ bytes: Span<UInt8>) throws(SealingError) {
        unsafe try LibCrypto.withPointer(bytes) { (pointer, count) throws(SealingError) in
            try LibCrypto.check(unsafe EVP_MAC_update(context, pointer, Int(count)))
        }
    }

    /// Ends the code and writes its 32 bytes.
    package consuming func finalize(into code: inout MutableSpan<UInt8>) throws(SealingError) {
        precondition(code.count == Self.byteCount, "the code has 32 bytes")
        unsafe try LibCrypto.withPointer(&code) { (pointer, count) throws(SealingError) in
            var written = 0
            try LibCrypto.check(unsafe EVP_MAC_final(context, pointer, &written, Int(count)))
        }
    }

    /// Ends the code and returns it; for codes that are published.
    package consuming func finalize() throws(SealingError) -> [UInt8] {
        var code = [UInt8](repeating: 0, count: Self.byteCount)
        var span = code.mutableSpan
        try finalize(into: &span)
        return code
    }

    private static func makeContext(key: Span<UInt8>) throws(SealingError) -> OpaquePointer {
        let algorithm = unsafe try LibCrypto.require(LibCrypto.hmac)
        let context = unsafe try LibCrypto.require(EVP_MAC_CTX_new(algorithm))
        do throws(SealingError) {
            unsafe try LibCrypto.withPointer(key) { (pointer, count) throws(SealingError) in
                try LibCrypto.check(unsafe credfs_hmac_sha256_init(context, pointer, Int(count)))
            }
        } catch {
            unsafe EVP_MAC_CTX_free(context)
            throw error
        }
        return unsafe context
    }
}
