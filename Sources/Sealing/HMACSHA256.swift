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

    /// Adds bytes.
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
        try LibCrypto.prepare()
        let algorithm = unsafe try LibCrypto.require(EVP_MAC_fetch(nil, "HMAC", nil))
        defer { unsafe EVP_MAC_free(algorithm) }
        let context = unsafe try LibCrypto.require(EVP_MAC_CTX_new(algorithm))
        do throws(SealingError) {
            unsafe try LibCrypto.withPointer(key) { (pointer, count) throws(SealingError) in
                try LibCrypto.check(unsafe initialize(context, key: pointer, count: Int(count)))
            }
        } catch {
            unsafe EVP_MAC_CTX_free(context)
            throw error
        }
        return unsafe context
    }

    private static func initialize(_ context: OpaquePointer, key: UnsafePointer<UInt8>?, count: Int) -> Int32 {
        var digest: [CChar] = [0x53, 0x48, 0x41, 0x32, 0x35, 0x36, 0]  // SHA256
        // The parameter keeps the pointer to its name: a string passed in the call would be gone after it.
        return unsafe OSSL_MAC_PARAM_DIGEST.withCString { name in
            unsafe digest.withUnsafeMutableBufferPointer { digest in
                var parameters = unsafe (
                    OSSL_PARAM_construct_utf8_string(name, digest.baseAddress, 0),
                    OSSL_PARAM_construct_end()
                )
                return unsafe withUnsafeBytes(of: &parameters) { list in
                    let first = unsafe list.baseAddress?.assumingMemoryBound(to: OSSL_PARAM.self)
                    // A null key would mean "the key of before": an empty key needs an address.
                    var nothing: UInt8 = 0
                    return unsafe withUnsafePointer(to: &nothing) { empty in
                        unsafe EVP_MAC_init(context, key ?? empty, count, first)
                    }
                }
            }
        }
    }
}
