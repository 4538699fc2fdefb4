// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import SecureFiles
internal import SystemCalls
internal import SystemPackage

/// Condition of a log: whether it can go on, which needs no key of the store.
extension AuditLog {
    /// Checks that entries can be written, or that none were.
    ///
    /// - Throws: why the log has ended.
    package func checkUsable() throws(AuditError) {
        guard let keyFile = try directory.openKey(O_RDWR) else {
            guard try !hasEntries() else { throw missingKey() }
            return
        }
        _ = try readState(keyFile)
        _ = try directory.open(AuditDirectory.logName, O_RDWR | O_APPEND)
        try directory.checkLock()
    }

    /// Checks that the file system has room for an entry.
    ///
    /// - Throws: class `system` where it has not.
    package func checkRoom() throws(AuditError) {
        do throws(Errno) { try FileStatus.checkRoom(in: directory.path("")) } catch {
            throw .file(.system("write", directory.path(AuditDirectory.logName), error))
        }
    }

    /// Detects a log that is shorter than it was behind its last entry; which entries are missing takes the key of the store.
    package func isShorter() throws(AuditError) -> Bool {
        guard let keyFile = try directory.openKey(O_RDONLY) else { return false }
        let state = try readState(keyFile)
        return try settledSize(state).map { $0 < state.logSize } ?? false
    }

    /// Detects a mode of `audit.key` that lets others read or change it.
    package func isKeyOpen() throws(AuditError) -> Bool {
        guard let mode = try directory.open(AuditDirectory.keyName, O_RDONLY)?.status.permissions else { return false }
        return mode & 0o077 != 0
    }

    /// Moves the files of a log that cannot go on to a directory of their own, so that the next command that has the key
    /// begins another.
    ///
    /// - Returns: the path of that directory, or nil where the log can go on.
    /// - Throws: `AuditError`; then nothing was lost.
    package func setAsideIfUnusable() throws(AuditError) -> String? {
        do throws(AuditError) {
            try checkUsable()
            return nil
        } catch {
            // A mode can be mended, and the chain goes on.
            guard error.isLasting, (try? isKeyOpen()) != true else { throw error }
        }
        return try directory.whileLocked(withinMilliseconds: Self.patienceMilliseconds) { () throws(AuditError) in
            try directory.setAside()
        }
    }
}

extension AuditError {
    /// Damage that nothing but another log repairs.
    package var isLasting: Bool {
        switch self {
        case .damaged: true
        case .file(let error): error.kind == .insecure
        default: false
        }
    }
}
