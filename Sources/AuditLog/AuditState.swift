// SPDX-License-Identifier: Apache-2.0

internal import Sealing
internal import SecureMemory

/// State of the log in `audit.key`: always one record that is written over the one before it.
///
/// It lets its reader write the next entries and none of those before.
final class AuditState {
    static let byteCount = 256
    private static let mark = Array("CREDFS-AUDIT-1\n\0".utf8)
    /// The largest number of files of a log.
    static let maximumFileCount = 8

    /// The keys, at the entry that will be written next.
    let ratchet: KeyRatchet
    /// The size of `audit.log` after the last entry.
    var logSize: UInt64
    /// Number of events that could not be recorded since the last entry.
    var lost: UInt64
    /// The first entry of each file that is kept, the current one last.
    var firsts: [UInt64]
    /// The code of the last entry.
    var previous: [UInt8]

    var sequence: UInt64 { ratchet.sequence }

    private enum Offset {
        static let sequence = 16
        static let logSize = 24
        static let lost = 32
        static let fileCount = 40
        static let firsts = 48
        static let keys = 112
        static let previous = 176
    }

    /// The state of a log that has no entry yet.
    init(root: borrowing Key256) throws(SealingError) {
        ratchet = try KeyRatchet(root: root)
        logSize = 0
        lost = 0
        firsts = [1]
        previous = [UInt8](repeating: 0, count: AuditLine.codeByteCount)
    }

    /// Reads a record.
    ///
    /// - Returns: nil for anything that credfs does not write.
    /// - Throws: `SealingError` where there is no secure memory.
    convenience init?(_ record: Span<UInt8>) throws(SealingError) {
        guard record.count == Self.byteCount, Self.mark.indices.allSatisfy({ record[$0] == Self.mark[$0] }) else {
            return nil
        }
        func number(_ offset: Int) -> UInt64 {
            (0..<8).reduce(0) { $0 << 8 | UInt64(record[offset + $1]) }
        }
        let sequence = number(Offset.sequence)
        let logSize = number(Offset.logSize)
        let fileCount = number(Offset.fileCount)
        guard (1...KeyRatchet.maximumSequence).contains(sequence), logSize <= UInt64(Int64.max),
            (1...UInt64(Self.maximumFileCount)).contains(fileCount)
        else { return nil }
        let firsts = (0..<Int(fileCount)).map { number(Offset.firsts + 8 * $0) }
        guard firsts[0] >= 1, zip(firsts, firsts.dropFirst()).allSatisfy({ $0 < $1 }),
            firsts.allSatisfy({ $0 <= sequence })
        else { return nil }
        let codeRange = Offset.previous..<Offset.previous + AuditLine.codeByteCount
        self.init(
            ratchet: try KeyRatchet(
                sequence: sequence,
                keys: record.extracting(Offset.keys..<Offset.keys + KeyRatchet.byteCount)
            ),
            logSize: logSize,
            lost: number(Offset.lost),
            firsts: firsts,
            previous: codeRange.map { record[$0] }
        )
    }

    private init(ratchet: KeyRatchet, logSize: UInt64, lost: UInt64, firsts: [UInt64], previous: [UInt8]) {
        self.ratchet = ratchet
        self.logSize = logSize
        self.lost = lost
        self.firsts = firsts
        self.previous = previous
    }

    func record() throws(SealingError) -> SecureBuffer {
        try SecureBuffer.filled(capacity: Self.byteCount, orThrow: { SealingError.memory($0) }) {
            (record) throws(SealingError) in
            func put(_ number: UInt64, at offset: Int) {
                for index in 0..<8 {
                    record[offset + index] = UInt8(truncatingIfNeeded: number >> UInt64(56 - 8 * index))
                }
            }
            for (index, byte) in Self.mark.enumerated() { record[index] = byte }
            put(sequence, at: Offset.sequence)
            put(logSize, at: Offset.logSize)
            put(lost, at: Offset.lost)
            put(UInt64(firsts.count), at: Offset.fileCount)
            for (index, first) in firsts.enumerated() { put(first, at: Offset.firsts + 8 * index) }
            ratchet.withKeys { keys in
                for index in keys.indices { record[Offset.keys + index] = keys[index] }
            }
            for (index, byte) in previous.enumerated() { record[Offset.previous + index] = byte }
            return Self.byteCount
        }
    }

    /// Takes an entry for written.
    func advance(past code: [UInt8]) throws(SealingError) {
        previous = code
        try ratchet.advance()
    }

    /// Notes that a new file begins with the next entry; the oldest ones are dropped.
    func beginFile(keeping count: Int) {
        if firsts.last != sequence { firsts.append(sequence) }
        firsts.removeFirst(max(0, firsts.count - min(count, Self.maximumFileCount)))
    }
}
