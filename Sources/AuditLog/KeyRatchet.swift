// SPDX-License-Identifier: Apache-2.0

package import Sealing
internal import SecureMemory

/// Ratchet of the keys of entries: each is derived from the one before, none from a later one.
///
/// Every block of entries begins with a key of its own, so that the key of an entry far away is reached in few steps
/// (docs/file-format.md, "Audit log").
package final class KeyRatchet {
    /// The number of entries in a block.
    static let blockCount: UInt64 = 4096
    static let maximumSequence: UInt64 = 1 << 48
    /// The largest sequence whose key can be computed within a minute: a thousand entries a second for two years.
    static let maximumReachable: UInt64 = 1 << 36
    /// The size of the keys that go into `audit.key`.
    static let byteCount = 64

    private static let blockPurpose = "credfs/1/audit/block"
    private static let entryPurpose = "credfs/1/audit/entry"

    /// The entry whose code can be computed.
    package private(set) var sequence: UInt64
    /// The key of the next block and the key of this entry.
    private var keys: SecureBuffer
    /// The key of the next entry and the code key of this one, once derived.
    private var derived: SecureBuffer
    private var isDerived = false

    /// The keys from the first entry on.
    package convenience init(root: borrowing Key256) throws(SealingError) {
        try self.init(sequence: 1, buffers: Self.buffers())
        try root.withBytes { (root) throws(SealingError) in
            try keys.withMutableBytes { (keys) throws(SealingError) in
                try Self.step(from: root, Self.blockPurpose, into: &keys)
            }
        }
    }

    /// The keys from an entry on, as they were kept.
    convenience init(sequence: UInt64, keys: Span<UInt8>) throws(SealingError) {
        try self.init(sequence: sequence, buffers: Self.buffers())
        self.keys.withMutableBytes { target in
            for index in 0..<Self.byteCount { target[index] = keys[index] }
        }
    }

    private struct Buffers: ~Copyable {
        var keys: SecureBuffer
        var derived: SecureBuffer
    }

    private static func buffers() throws(SealingError) -> Buffers {
        do throws(SecureMemoryError) {
            return Buffers(keys: try SecureBuffer(count: byteCount), derived: try SecureBuffer(count: byteCount))
        } catch { throw .memory(error) }
    }

    private init(sequence: UInt64, buffers: consuming Buffers) {
        self.sequence = sequence
        keys = buffers.keys
        derived = buffers.derived
    }

    /// The same keys with an owner of their own.
    package func copy() throws(SealingError) -> KeyRatchet {
        try keys.withBytes { (keys) throws(SealingError) in try KeyRatchet(sequence: sequence, keys: keys) }
    }

    /// Lends the keys that go into `audit.key`.
    package func withKeys<R, E: Error>(_ body: (Span<UInt8>) throws(E) -> R) throws(E) -> R {
        try keys.withBytes(body)
    }

    /// Compares entry and keys.
    package func isEqual(to other: KeyRatchet) -> Bool {
        withKeys { keys in
            other.withKeys { sequence == other.sequence && ConstantTime.equal(keys, $0) }
        }
    }

    /// The code of this entry.
    ///
    /// - Parameter body: everything in the line before the member `mac`.
    /// - Returns: 32 bytes.
    /// - Throws: `SealingError`.
    package func code(of body: Span<UInt8>) throws(SealingError) -> [UInt8] {
        try derive()
        var code = try derived.withBytes { (derived) throws(SealingError) in
            try HMACSHA256(key: derived.extracting(32..<64))
        }
        try code.update(body)
        return try code.finalize()
    }

    /// Compares a code with the one of this entry, in constant time.
    package func isCode(_ code: [UInt8], of body: Span<UInt8>) throws(SealingError) -> Bool {
        let expected = try self.code(of: body)
        return ConstantTime.equal(expected.span, code.span)
    }

    /// Goes on to the next entry; the key of this one is gone.
    package func advance() throws(SealingError) {
        if sequence % Self.blockCount == 0 {
            keys.withBytes { keys in
                derived.withMutableBytes { derived in
                    for index in 0..<32 { derived[index] = keys[index] }
                }
            }
            try derived.withBytes { (derived) throws(SealingError) in
                try keys.withMutableBytes { (keys) throws(SealingError) in
                    try Self.step(from: derived.extracting(0..<32), Self.blockPurpose, into: &keys)
                }
            }
        } else {
            try derive()
            derived.withBytes { derived in
                keys.withMutableBytes { keys in
                    for index in 0..<32 { keys[32 + index] = derived[index] }
                }
            }
        }
        derived.wipe()
        isDerived = false
        sequence += 1
    }

    /// Goes on to a later entry, block by block where it can.
    package func advance(to target: UInt64) throws(SealingError) {
        while sequence < target {
            let nextBlock = ((sequence - 1) / Self.blockCount + 1) * Self.blockCount + 1
            if nextBlock <= target { sequence = nextBlock - 1 }
            try advance()
        }
    }

    private func derive() throws(SealingError) {
        guard !isDerived else { return }
        try keys.withBytes { (keys) throws(SealingError) in
            try derived.withMutableBytes { (derived) throws(SealingError) in
                try Self.step(from: keys.extracting(32..<64), Self.entryPurpose, into: &derived)
            }
        }
        isDerived = true
    }

    private static func step(
        from key: Span<UInt8>,
        _ purpose: String,
        into output: inout MutableSpan<UInt8>
    ) throws(SealingError) {
        let noSalt: [UInt8] = []
        try HKDFSHA256.derive(from: key, salt: noSalt.span, info: purpose.utf8.span, into: &output)
    }
}
