// SPDX-License-Identifier: Apache-2.0

internal import CLibCrypto

/// scrypt (RFC 7914) as age files use it: block size 8, no parallelism.
package enum Scrypt {
    /// The largest cost that is computed, as a power of two: 2^20 takes 1 GiB and some seconds.
    package static let maximumWorkFactor = 20

    private static let blockSize = 8

    /// Derives a key of 256 bits.
    ///
    /// - Parameters:
    ///   - password: any bytes.
    ///   - salt: random bytes.
    ///   - workFactor: the cost as a power of two, 1 to `maximumWorkFactor`; callers bound what a file asks for before
    ///     they come here.
    /// - Returns: the key.
    /// - Throws: `SealingError`, also where the memory cannot be had.
    package static func key(
        password: Span<UInt8>,
        salt: Span<UInt8>,
        workFactor: Int
    ) throws(SealingError) -> Key256 {
        precondition((1...maximumWorkFactor).contains(workFactor), "the caller bounds the work")
        try LibCrypto.prepare()
        let cost = UInt64(1) << UInt64(workFactor)
        // What RFC 7914 needs, and room for libcrypto's own blocks.
        let memory = 128 * UInt64(blockSize) * (cost + 64)
        return try Key256.filled { (bytes) throws(SealingError) in
            unsafe try LibCrypto.withPointer(password) { (password, passwordCount) throws(SealingError) in
                unsafe try LibCrypto.withPointer(salt) { (salt, saltCount) throws(SealingError) in
                    unsafe try LibCrypto.withPointer(&bytes) { (output, outputCount) throws(SealingError) in
                        let result = unsafe EVP_PBE_scrypt(
                            // A null password would mean that only the parameters are to be checked.
                            UnsafeRawPointer(password ?? UnsafePointer(output))?.assumingMemoryBound(to: CChar.self),
                            Int(passwordCount),
                            salt,
                            Int(saltCount),
                            cost,
                            UInt64(blockSize),
                            1,
                            memory,
                            output,
                            Int(outputCount)
                        )
                        try LibCrypto.check(result)
                    }
                }
            }
        }
    }
}
