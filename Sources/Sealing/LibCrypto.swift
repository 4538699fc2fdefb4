// SPDX-License-Identifier: Apache-2.0

internal import CLibCrypto

/// Initialization of libcrypto and its return values.
enum LibCrypto {
    /// Initializes libcrypto on first use, without its configuration file.
    static func prepare() throws(SealingError) {
        try check(initialized)
    }

    // Evaluated once per process by the language, immutable afterwards.
    private static let initialized = credfs_crypto_init()

    // What libcrypto has by name is looked up once: that costs more than the first kilobytes.
    // SAFETY: immutable afterwards, counted by libcrypto with atomics, and never freed; so are the next.
    nonisolated(unsafe) static let aes256GCM = unsafe fetch("AES-256-GCM")
    // SAFETY: as above.
    nonisolated(unsafe) static let aes256CTR = unsafe fetch("AES-256-CTR")
    // SAFETY: as above.
    nonisolated(unsafe) static let chaCha20Poly1305 = unsafe fetch("ChaCha20-Poly1305")
    // SAFETY: as above.
    nonisolated(unsafe) static let hmac = unsafe initialized == 1 ? EVP_MAC_fetch(nil, "HMAC", nil) : nil
    // SAFETY: as above.
    nonisolated(unsafe) static let hkdf = unsafe initialized == 1 ? EVP_KDF_fetch(nil, "HKDF", nil) : nil

    // SAFETY: as above.
    nonisolated(unsafe) static let sha256 = unsafe initialized == 1 ? EVP_MD_fetch(nil, "SHA256", nil) : nil
    // SAFETY: as above.
    nonisolated(unsafe) static let sha512 = unsafe initialized == 1 ? EVP_MD_fetch(nil, "SHA512", nil) : nil

    private static func fetch(_ name: String) -> OpaquePointer? {
        guard initialized == 1 else { return nil }
        return unsafe EVP_CIPHER_fetch(nil, name, nil)
    }

    /// Turns anything but 1, libcrypto's only word for success, into an error and drops what it queued.
    ///
    /// - Throws: `SealingError.libraryFailure`, or the error given.
    static func check(_ result: Int32, orThrow error: SealingError = .libraryFailure) throws(SealingError) {
        guard result == 1 else {
            ERR_clear_error()
            throw error
        }
    }

    /// Turns a missing object into an error.
    static func require(_ object: OpaquePointer?) throws(SealingError) -> OpaquePointer {
        guard let object = unsafe object else {
            ERR_clear_error()
            throw .libraryFailure
        }
        return unsafe object
    }

    /// Lends the start of a span to C.
    static func withPointer<R>(
        _ bytes: Span<UInt8>,
        _ body: (UnsafePointer<UInt8>?, Int32) throws(SealingError) -> R
    ) throws(SealingError) -> R {
        unsafe try bytes.withUnsafeBufferPointer { (buffer) throws(SealingError) in
            unsafe try body(buffer.baseAddress, length(buffer.count))
        }
    }

    /// Lends the start of a writable span to C.
    static func withPointer<R>(
        _ bytes: inout MutableSpan<UInt8>,
        _ body: (UnsafeMutablePointer<UInt8>?, Int32) throws(SealingError) -> R
    ) throws(SealingError) -> R {
        unsafe try bytes.withUnsafeMutableBufferPointer { (buffer) throws(SealingError) in
            unsafe try body(buffer.baseAddress, length(buffer.count))
        }
    }

    private static func length(_ count: Int) -> Int32 {
        precondition(count <= Int(Int32.max), "libcrypto counts in 32 bits; callers keep far below")
        return Int32(count)
    }
}
