// SPDX-License-Identifier: Apache-2.0

internal import CLibCrypto

/// PBKDF2-HMAC-SHA256 (RFC 8018): stretches a password to a key.
package enum PBKDF2SHA256 {
    /// Derives a key of 256 bits.
    ///
    /// - Parameters:
    ///   - password: any bytes.
    ///   - salt: at least 16 random bytes in anything new; older test vectors have fewer.
    ///   - iterations: at least 1; callers bound it before they come here, since it is the cost.
    /// - Returns: the key.
    /// - Throws: `SealingError`.
    package static func key(
        password: Span<UInt8>,
        salt: Span<UInt8>,
        iterations: Int
    ) throws(SealingError) -> Key256 {
        try Key256.filled { (bytes) throws(SealingError) in
            try derive(password: password, salt: salt, iterations: iterations, into: &bytes)
        }
    }

    package static func derive(
        password: Span<UInt8>,
        salt: Span<UInt8>,
        iterations: Int,
        into output: inout MutableSpan<UInt8>
    ) throws(SealingError) {
        precondition((1...Int(Int32.max)).contains(iterations), "the caller bounds the iterations")
        try LibCrypto.prepare()
        unsafe try LibCrypto.withPointer(password) { (password, passwordCount) throws(SealingError) in
            unsafe try LibCrypto.withPointer(salt) { (salt, saltCount) throws(SealingError) in
                unsafe try LibCrypto.withPointer(&output) { (output, outputCount) throws(SealingError) in
                    let result = unsafe PKCS5_PBKDF2_HMAC(
                        UnsafeRawPointer(password)?.assumingMemoryBound(to: CChar.self),
                        passwordCount,
                        salt,
                        saltCount,
                        Int32(iterations),
                        EVP_sha256(),
                        outputCount,
                        output
                    )
                    try LibCrypto.check(result)
                }
            }
        }
    }
}
