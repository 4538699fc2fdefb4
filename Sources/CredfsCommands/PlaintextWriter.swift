// SPDX-License-Identifier: Apache-2.0

internal import SecretStore
internal import SecureFiles
internal import SecureMemory
internal import SystemCalls
internal import SystemPackage

/// Writes plaintext to a descriptor, through a small buffer of secure memory and no other.
final class PlaintextWriter {
    private static let capacity = 16_384

    private let number: Int32
    private let place: String
    private var buffer: SecureBuffer
    private var filled = 0

    /// Makes a writer.
    ///
    /// - Parameters:
    ///   - number: an open descriptor.
    ///   - place: what it is, for messages.
    /// - Throws: class `failed` where no memory can be locked.
    init(_ number: Int32, _ place: String) throws(StoreError) {
        self.number = number
        self.place = place
        buffer = try StoreError.locking { () throws(SecureMemoryError) in try SecureBuffer(count: Self.capacity) }
    }

    /// Writes bytes.
    func write(_ bytes: Span<UInt8>) throws(StoreError) {
        var offset = 0
        while offset < bytes.count {
            if filled == Self.capacity { try flush() }
            let count = min(Self.capacity - filled, bytes.count - offset)
            let start = filled
            buffer.withMutableBytes { target in
                for index in 0..<count { target[start + index] = bytes[offset + index] }
            }
            filled += count
            offset += count
        }
    }

    /// Writes text that is not secret.
    func write(_ text: String) throws(StoreError) {
        try write(text.utf8.span)
    }

    /// Writes bytes, but for those that a function gives another spelling.
    ///
    /// - Parameters:
    ///   - bytes: the bytes.
    ///   - spelling: for the bytes from an index on: how the first of them are written and how many they are, or nil.
    /// - Throws: class `failed` if they cannot be written.
    func write(
        _ bytes: Span<UInt8>,
        spelling: (Span<UInt8>, Int) -> (text: String, byteCount: Int)?
    ) throws(StoreError) {
        var start = 0
        var index = 0
        while index < bytes.count {
            guard let spelled = spelling(bytes, index) else {
                index += 1
                continue
            }
            try write(bytes.extracting(start..<index))
            try write(spelled.text)
            index += spelled.byteCount
            start = index
        }
        try write(bytes.extracting(start..<bytes.count))
    }

    /// Hands over what is still here.
    func flush() throws(StoreError) {
        let count = filled
        filled = 0
        try StoreError.wrapping("write to", place) { () throws(Errno) in
            try buffer.withBytes { (bytes) throws(Errno) in try writeAll(number, bytes.extracting(0..<count)) }
        }
        buffer.wipe()
    }
}
