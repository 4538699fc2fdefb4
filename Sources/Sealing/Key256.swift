// SPDX-License-Identifier: Apache-2.0

internal import SecureMemory

/// Key of 256 bits in secret memory, wiped at its end.
package struct Key256: ~Copyable, Sendable {
    package static let byteCount = 32

    private let bytes: SecureBuffer

    package static func random() throws(SealingError) -> Key256 {
        try filled { (bytes) throws(SealingError) in try RandomBytes.fillPrivate(&bytes) }
    }

    /// Makes a key and lets a function fill its 32 bytes.
    package static func filled<E: Error>(
        orThrow convert: (SealingError) -> E,
        _ fill: (inout MutableSpan<UInt8>) throws(E) -> Void
    ) throws(E) -> Key256 {
        Key256(
            bytes: try SecureBuffer.filled(
                capacity: byteCount,
                backing: .secret,
                orThrow: { convert(.memory($0)) },
                { (bytes) throws(E) in
                    try fill(&bytes)
                    return byteCount
                }
            )
        )
    }

    /// Makes a key; for functions that fail with `SealingError`.
    package static func filled(
        _ fill: (inout MutableSpan<UInt8>) throws(SealingError) -> Void
    ) throws(SealingError) -> Key256 {
        try filled(orThrow: { $0 }, fill)
    }

    /// Copies 32 bytes.
    ///
    /// - Throws: `SealingError.authenticationFailure` where there are more or fewer.
    package init(copying source: Span<UInt8>) throws(SealingError) {
        guard source.count == Self.byteCount else { throw .authenticationFailure }
        var bytes = try SealingError.wrap { () throws(SecureMemoryError) in
            try SecureBuffer(count: Self.byteCount, backing: .secret)
        }
        bytes.withMutableBytes { target in
            for index in 0..<Self.byteCount { target[index] = source[index] }
        }
        self.init(bytes: bytes)
    }

    private init(bytes: consuming SecureBuffer) {
        self.bytes = bytes
    }

    package func withBytes<R: ~Copyable, E: Error>(_ body: (Span<UInt8>) throws(E) -> R) throws(E) -> R {
        try bytes.withBytes(body)
    }

    /// Copies the key, for another owner.
    package func copy() throws(SealingError) -> Key256 {
        try withBytes { (bytes) throws(SealingError) in try Key256(copying: bytes) }
    }
}
