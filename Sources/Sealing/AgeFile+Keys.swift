// SPDX-License-Identifier: Apache-2.0

internal import SecureMemory

/// Age files that hold one key.
extension AgeFile {
    /// Encrypts a key for a recipient.
    package static func wrap(_ key: borrowing Key256, for recipient: AgeRecipient) throws(SealingError) -> [UInt8] {
        try key.withBytes { (bytes) throws(SealingError) in try encrypt(bytes, for: [recipient]) }
    }

    /// Decrypts the key in a file.
    ///
    /// - Throws: as `decrypt`; `AgeError.payload` where the file holds anything but 32 bytes.
    package static func unwrap(_ file: Span<UInt8>, for identities: [AgeIdentity]) throws(AgeError) -> Key256 {
        var content = try AgeError.wrap { () throws(SealingError) in
            try SealingError.wrap { () throws(SecureMemoryError) in
                try SecureBuffer(count: Key256.byteCount, backing: .secret)
            }
        }
        var count = 0
        try decrypt(file, for: identities, orThrow: { $0 }) { (chunk) throws(AgeError) in
            count += chunk.count
            guard count == Key256.byteCount else { throw .payload }
            content.withMutableBytes { bytes in
                for index in chunk.indices { bytes[index] = chunk[index] }
            }
        }
        guard count == Key256.byteCount else { throw .payload }
        return try AgeError.wrap { () throws(SealingError) in
            try content.withBytes { (bytes) throws(SealingError) in try Key256(copying: bytes) }
        }
    }
}
