// SPDX-License-Identifier: Apache-2.0

import SecureMemory

extension SecureBuffer {
    /// Where the bytes begin; only for looking at the mapping around them.
    var address: UInt {
        withBytes { bytes in unsafe bytes.withUnsafeBytes { UInt(bitPattern: $0.baseAddress) } }
    }

    /// A copy of the bytes.
    var array: [UInt8] {
        withBytes { bytes in bytes.indices.map { bytes[$0] } }
    }

    /// Writes the same byte everywhere.
    mutating func fill(_ byte: UInt8) {
        withMutableBytes { bytes in for index in bytes.indices { bytes[index] = byte } }
    }
}

/// Memory by its address, whoever owns it.
enum Memory {
    static func byte(at address: UInt) -> UInt8 {
        unsafe pointer(address).load(as: UInt8.self)
    }

    static func setByte(at address: UInt, to byte: UInt8) {
        unsafe pointer(address).storeBytes(of: byte, as: UInt8.self)
    }

    private static func pointer(_ address: UInt) -> UnsafeMutableRawPointer {
        guard let pointer = unsafe UnsafeMutableRawPointer(bitPattern: address) else {
            preconditionFailure("nothing is mapped at 0")
        }
        return unsafe pointer
    }
}

/// The byte that marks what must not remain.
let canary: UInt8 = 0xc5
