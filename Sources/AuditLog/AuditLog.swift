// SPDX-License-Identifier: Apache-2.0

internal import Glibc
package import Sealing
internal import SecureFiles
internal import SecureMemory

/// Audit log of a store on one machine: each entry is authenticated with its own key, which is gone once it is written.
///
/// An intruder can write new entries, but cannot change, remove or insert one without being found out by
/// `verify`, which needs a key of the store. Appending needs none.
package final class AuditLog {
    /// Sizes and times.
    package struct Limits: Sendable {
        /// The size in bytes from which on a new file is begun.
        package var fileByteCount = 8 << 20
        /// Number of files that are kept, the current one included.
        package var fileCount = AuditState.maximumFileCount
        /// Longest wait for the lock.
        package var lockMilliseconds = 250

        package init() {}
    }

    /// Result of an append.
    package struct Appended: Sendable, Equatable {
        package let sequence: UInt64
        /// Truncation: the log is shorter than it was when the last entry was written.
        package let isLogShorter: Bool
    }

    /// A tail longer than this was not written by commands that were killed.
    private static let maximumTailByteCount = 1 << 20

    package let directory: AuditDirectory
    let limits: Limits

    /// The log in a directory, whether there is one yet or not.
    package init(_ directory: AuditDirectory, limits: Limits = Limits()) {
        self.directory = directory
        self.limits = limits
    }

    /// Existence of a log.
    package func exists() throws(AuditError) -> Bool {
        try directory.exists(AuditDirectory.keyName)
    }

    /// Begins a log unless there is one.
    ///
    /// - Parameters:
    ///   - key: the key of the store that seals the first key of the log.
    ///   - store: the identity of the store.
    /// - Returns: whether it was begun now.
    /// - Throws: `AuditError.damaged` where a log has lost its key: a new one would hide that.
    @discardableResult
    package func begin(sealedWith key: borrowing Key256, store: String) throws(AuditError) -> Bool {
        if try exists() { return false }
        // What the closure lends out cannot be lent a noncopyable parameter.
        let lender = KeyLender(try AuditError.sealing { () throws(SealingError) in try key.copy() })
        return try directory.whileLocked(withinMilliseconds: limits.lockMilliseconds) { () throws(AuditError) in
            if try exists() { return false }
            guard try !hasEntries() else { throw missingKey() }
            let root = try AuditError.sealing { () throws(SealingError) in try Key256.random() }
            let sealed = try AuditError.sealing { () throws(SealingError) in
                try AuditRoot.seal(root, with: lender.key, store: store)
            }
            try directory.replace(AuditDirectory.rootName, with: sealed.span)
            let record = try AuditError.sealing { () throws(SealingError) in try AuditState(root: root).record() }
            try record.withBytes { (record) throws(AuditError) in
                try directory.replace(AuditDirectory.keyName, with: record)
            }
            return true
        }
    }

    /// Writes an entry behind the last one.
    ///
    /// - Parameters:
    ///   - entry: what it says.
    ///   - synchronizing: whether it must be on the disk before this returns.
    ///   - repairing: as for several entries.
    /// - Returns: where it stands.
    /// - Throws: `AuditError`; a log on a full disk remembers how many entries it had no room for.
    @discardableResult
    package func append(
        _ entry: AuditEntry,
        synchronizing: Bool,
        repairing: Bool = true
    ) throws(AuditError) -> Appended {
        try append([entry], synchronizing: synchronizing, repairing: repairing)
    }

    /// Writes entries behind the last one with one write(2) under one lock: all or none.
    ///
    /// - Parameters:
    ///   - entries: what they say, one at least.
    ///   - lost: how many events before them were not recorded by the caller.
    ///   - synchronizing: whether they must be on the disk before this returns.
    ///   - repairing: whether the end of a log that a killed process left is repaired, which an entry before these says;
    ///     if not, such a log is left as it is and `unrepaired` thrown.
    /// - Returns: where the last one stands.
    /// - Throws: `AuditError`; a log on a full disk remembers how many entries it had no room for.
    @discardableResult
    package func append(
        _ entries: [AuditEntry],
        lost: UInt64 = 0,
        synchronizing: Bool,
        repairing: Bool = true
    ) throws(AuditError) -> Appended {
        guard let keyFile = try directory.openKey(O_RDWR) else {
            throw try hasEntries() ? missingKey() : .noLog
        }
        let placed = try directory.whileLocked(withinMilliseconds: limits.lockMilliseconds) { () throws(AuditError) in
            // Commands that only read are not kept waiting for it.
            if synchronizing && repairing { directory.removeLeftovers() }
            let state = try readState(keyFile)
            if !repairing, try needsRepair(state) { throw .unrepaired }
            state.lost += lost
            let placed = try placeOrCount(entries, state, keyFile)
            try write(state, keyFile)
            return placed
        }
        // Nobody else has to wait for the disk.
        if synchronizing { try placed.log.synchronizeData() }
        return Appended(sequence: placed.sequence, isLogShorter: placed.isShorter)
    }

    /// Brings what was written to the current file onto the disk; wraps fdatasync(2).
    package func synchronize() throws(AuditError) {
        try directory.open(AuditDirectory.logName, O_RDONLY)?.synchronizeData()
    }

    /// Writes entries, or else keeps that there were some: that takes no room, so it works on a full disk.
    private func placeOrCount(_ entries: [AuditEntry], _ state: AuditState, _ keyFile: AuditFile) throws(AuditError)
        -> Placed
    {
        do throws(AuditError) { return try place(entries, state, keyFile) } catch {
            // The keys at hand may be ahead of what was written.
            if let stored = try? readState(keyFile) {
                stored.lost = state.lost + UInt64(entries.count)
                try? write(stored, keyFile)
            }
            throw error
        }
    }

    private struct Placed {
        let log: AuditFile
        package let sequence: UInt64
        let isShorter: Bool
    }

    /// Writes entries to the file they belong to; the state is not written yet.
    private func place(
        _ entries: [AuditEntry],
        _ state: AuditState,
        _ keyFile: AuditFile
    ) throws(AuditError) -> Placed {
        var log = try directory.openLog()
        let repair = try recover(state, log)
        // What is repaired stays in the file that the entry about it is in.
        if !repair.isNeeded, state.logSize >= UInt64(limits.fileByteCount) {
            try log.synchronizeData()
            try directory.rename(AuditDirectory.logName, to: AuditDirectory.oldLogName(state.firsts.last ?? 1))
            state.logSize = 0
            log = try directory.openLog()
        }
        var entries = entries
        entries[0].lost = state.lost == 0 ? nil : state.lost
        let repairs = repair.isNeeded ? [entries[0].repairing(repair)] : []
        if state.logSize == 0 {
            try beginFile(for: entries[0], repairs, state, log, keyFile)
        } else {
            entries = repairs + entries
        }
        try write(entries, state, log, endingLine: repair.endsInLine)
        state.lost = 0
        return Placed(log: log, sequence: state.sequence - 1, isShorter: repair.missingByteCount > 0)
    }

    /// Detects an end of the log that is not the one that the state knows, other than by an interrupted rotation.
    private func needsRepair(_ state: AuditState) throws(AuditError) -> Bool {
        try settledSize(state).map { $0 != state.logSize } ?? false
    }

    /// The size of the log, to be compared with its state; nil where a rotation was interrupted, which leaves none.
    func settledSize(_ state: AuditState) throws(AuditError) -> UInt64? {
        let size = UInt64(try directory.open(AuditDirectory.logName, O_RDONLY)?.size ?? 0)
        if size == 0, try isRotated(state) { return nil }
        return size
    }

    /// Detects a rotation that was interrupted behind the renaming of the file.
    private func isRotated(_ state: AuditState) throws(AuditError) -> Bool {
        try directory.exists(AuditDirectory.oldLogName(state.firsts.last ?? 1))
    }

    /// Makes the state fit the file again: entries that verify are adopted.
    ///
    /// The file stays as it is until the entry about the repair is written over what was not finished: a process that is
    /// killed before leaves the same to be repaired.
    private func recover(_ state: AuditState, _ log: AuditFile) throws(AuditError) -> AuditRepair {
        let size = UInt64(log.size)
        if size > state.logSize { return try adoptTail(state, log) }
        var repair = AuditRepair()
        guard size < state.logSize else { return repair }
        let isRotated = size > 0 ? false : try isRotated(state)
        if !isRotated { repair.missingByteCount = state.logSize - size }
        state.logSize = size
        if size > 0 { repair.endsInLine = try log.read(from: log.size - 1, count: 1) != [UInt8(ascii: "\n")] }
        return repair
    }

    private func adoptTail(_ state: AuditState, _ log: AuditFile) throws(AuditError) -> AuditRepair {
        var repair = AuditRepair()
        let start = Int(state.logSize)
        let tail = try log.read(from: start, count: min(log.size - start, Self.maximumTailByteCount))
        var lineStart = 0
        var isOurs = tail.count == log.size - start
        while let end = tail[lineStart...].firstIndex(of: UInt8(ascii: "\n")) {
            let line = Array(tail[lineStart..<end])
            lineStart = end + 1
            // What does not verify stays where it is, for `verify` to find.
            if isOurs, try adopt(line, state) {
                repair.adoptedCount += 1
            } else {
                isOurs = false
                repair.foreignByteCount += line.count + 1
            }
        }
        if tail.count == log.size - start {
            repair.cutByteCount = tail.count - lineStart
            state.logSize = UInt64(start + lineStart)
        } else {
            repair.foreignByteCount = log.size - start
            state.logSize = UInt64(log.size)
        }
        return repair
    }

    /// Takes a line for written if it is the next entry.
    private func adopt(_ line: [UInt8], _ state: AuditState) throws(AuditError) -> Bool {
        guard let parsed = AuditLine(line), parsed.sequence == state.sequence, parsed.previous == state.previous else {
            return false
        }
        return try AuditError.sealing { () throws(SealingError) in
            let body = line.span.extracting(0..<AuditLine.bodyCount(line))
            guard try state.ratchet.isCode(parsed.code, of: body) else { return false }
            try state.advance(past: parsed.code)
            return true
        }
    }

    private func beginFile(
        for entry: AuditEntry,
        _ repairs: [AuditEntry],
        _ state: AuditState,
        _ log: AuditFile,
        _ keyFile: AuditFile
    ) throws(AuditError) {
        let isNew = state.sequence == 1
        state.beginFile(keeping: limits.fileCount)
        // Before the entry that says it, so that a crash between them leaves the same files to begin with.
        try write(state, keyFile)
        let oldest = state.firsts.first ?? state.sequence
        try write([entry.beginning(first: oldest, isNew: isNew)] + repairs, state, log)
        try write(state, keyFile)
        if !isNew { directory.removeLogs(before: oldest) }
        try directory.synchronize()
    }

    private func write(
        _ entries: [AuditEntry],
        _ state: AuditState,
        _ log: AuditFile,
        endingLine: Bool = false
    ) throws(AuditError) {
        var lines = endingLine ? [UInt8(ascii: "\n")] : []
        for entry in entries {
            guard state.sequence < KeyRatchet.maximumSequence else { throw .damaged("the audit log cannot grow") }
            let body = AuditLine.body(entry, sequence: state.sequence, previous: state.previous)
            let code = try AuditError.sealing { () throws(SealingError) in try state.ratchet.code(of: body.span) }
            lines += body + AuditLine.tail(code)
            try AuditError.sealing { () throws(SealingError) in try state.advance(past: code) }
        }
        if log.size > Int(state.logSize) {
            do throws(AuditError) {
                try directory.openLogEnd().replaceEnd(from: Int(state.logSize), with: lines)
            } catch {
                // What was not finished may be gone, and nothing says so.
                state.lost += 1
                throw error
            }
        } else {
            try log.append(lines, at: Int(state.logSize))
        }
        state.logSize += UInt64(lines.count)
    }

    func readState(_ keyFile: AuditFile) throws(AuditError) -> AuditState {
        let damaged = AuditError.damaged("\(keyFile.path) does not hold the key of an audit log")
        guard keyFile.size == AuditState.byteCount else { throw damaged }
        let record = try keyFile.secret(limit: AuditState.byteCount)
        let state = try AuditError.sealing { () throws(SealingError) in
            try record.withBytes { (record) throws(SealingError) in try AuditState(record) }
        }
        guard let state else { throw damaged }
        return state
    }

    private func write(_ state: AuditState, _ keyFile: AuditFile) throws(AuditError) {
        let record = try AuditError.sealing { () throws(SealingError) in try state.record() }
        try record.withBytes { (record) throws(AuditError) in try keyFile.overwrite(record) }
    }

    func hasEntries() throws(AuditError) -> Bool {
        if let log = try directory.open(AuditDirectory.logName, O_RDONLY), log.size > 0 { return true }
        return try !directory.oldLogs().isEmpty
    }

    func missingKey() -> AuditError {
        .damaged("\(directory.path(AuditDirectory.keyName)) is missing beside an audit log")
    }
}

/// A key that closures can be lent.
private final class KeyLender {
    let key: Key256

    init(_ key: consuming Key256) {
        self.key = key
    }
}
