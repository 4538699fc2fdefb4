// SPDX-License-Identifier: Apache-2.0

/// Checksum CRC-32C (RFC 3720 appendix B.4, Castagnoli): finds damage, and authenticates nothing.
package enum CRC32C {
    /// The checksum of bytes.
    package static func of(_ bytes: Span<UInt8>) -> UInt32 {
        var sum = UInt32.max
        for index in bytes.indices {
            sum ^= UInt32(bytes[index])
            // Bit by bit, without a table that a value would choose places of.
            for _ in 0..<8 { sum = sum >> 1 ^ (0x82f6_3b78 & (0 &- (sum & 1))) }
        }
        return ~sum
    }
}
