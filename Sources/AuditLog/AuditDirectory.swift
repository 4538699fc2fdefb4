// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import SecureFiles
package import SystemCalls
internal import SystemPackage

/// Directory of a log; each file is checked on the descriptor that is used.
package final class AuditDirectory {
    static let logName = "audit.log"
    static let keyName = "audit.key"
    static let rootName = "audit.root"
    private static let lockName = "audit.lock"

    private let directory: Directory<AuditError>
    private let checker: PermissionChecker

    /// Takes over an open directory.
    ///
    /// - Parameters:
    ///   - descriptor: the state directory.
    ///   - path: its path, for messages.
    ///   - user: who must own the files, or root.
    ///   - isStrict: whether modes, owners and link counts count (`CREDFS_PERMISSIONS_STRICT`).
    package init(_ descriptor: consuming OwnedDescriptor, path: String, user: UInt32, isStrict: Bool) {
        directory = Directory(path: path, descriptor: descriptor)
        checker = PermissionChecker(isStrict: isStrict, user: user)
    }

    func path(_ name: String) -> String { directory.path(of: name) }

    /// Opens a file.
    ///
    /// - Returns: the file, or nil if there is none.
    /// - Throws: `AuditError`, also for a file that is not ours alone.
    func open(_ name: String, _ flags: Int32) throws(AuditError) -> AuditFile? {
        try directory.file(name, .ownFile, checker, flags: flags)
    }

    /// Opens the file that only its owner may ever have read.
    func openKey(_ flags: Int32) throws(AuditError) -> AuditFile? {
        try directory.file(Self.keyName, .privateFile, checker, flags: flags)
    }

    /// Opens the current file of the log for appending, or makes it; the mode of one that is there is left as it is.
    func openLog() throws(AuditError) -> AuditFile {
        if let log = try open(Self.logName, O_RDWR | O_APPEND) { return log }
        guard let log = try open(Self.logName, O_RDWR | O_APPEND | O_CREAT | O_EXCL) else {
            throw .file(.system("open", path(Self.logName), .noSuchFileOrDirectory))
        }
        // Where modes do not count they may not be settable either.
        do throws(AuditError) { try log.setPermissions(0o600) } catch { if checker.isStrict { throw error } }
        return log
    }

    /// Opens the current file of the log to write over its end.
    func openLogEnd() throws(AuditError) -> AuditFile {
        guard let log = try open(Self.logName, O_RDWR) else {
            throw .file(.system("open", path(Self.logName), .noSuchFileOrDirectory))
        }
        return log
    }

    /// Runs a function while no other process works on the log.
    ///
    /// - Throws: `AuditError.busy` if another one does all the time.
    func whileLocked<R>(
        withinMilliseconds milliseconds: Int,
        isReadOnly: Bool = false,
        _ body: () throws(AuditError) -> R
    ) throws(AuditError) -> R {
        let lock: AuditFile
        do throws(AuditError) { lock = try directory.lockFile(Self.lockName) } catch {
            // Whoever only reads what it cannot lock reads all the same.
            guard isReadOnly, error.isUnwritable else { throw error }
            return try body()
        }
        guard try lock.lock(withinMilliseconds: milliseconds) else { throw .busy }
        // The lock ends with its descriptor, which this use keeps to the end.
        defer { _ = lock }
        return try body()
    }

    /// Checks that the lock can be taken, or made.
    func checkLock() throws(AuditError) {
        guard try open(Self.lockName, O_RDWR) == nil, !directory.isWritable else { return }
        throw .file(.open(path(Self.lockName), .permissionDenied))
    }

    /// Writes a small file that a crash leaves as it was or as it will be; only under the lock.
    func replace(_ name: String, with bytes: Span<UInt8>) throws(AuditError) {
        try directory.removeLeftovers(of: name)
        try directory.replace(name, with: bytes)
    }

    /// Removes what killed processes left of files that were being replaced; only under the lock.
    func removeLeftovers() {
        for name in [Self.rootName, Self.keyName] { try? directory.removeLeftovers(of: name) }
    }

    func rename(_ old: String, to new: String) throws(AuditError) { try directory.rename(old, to: new) }

    func synchronize() throws(AuditError) { try directory.synchronize() }

    func exists(_ name: String) throws(AuditError) -> Bool { try open(name, O_RDONLY) != nil }

    /// The name of a file of the log that is not the current one: its first entry is in it.
    static func oldLogName(_ first: UInt64) -> String { "\(logName).\(first)" }

    /// The numbers of the files that are not the current one, in order.
    package func oldLogs() throws(AuditError) -> [UInt64] {
        try directory.names().compactMap { name in
            guard name.hasPrefix("\(Self.logName)."), let number = UInt64(name.dropFirst(Self.logName.count + 1)),
                Self.oldLogName(number) == name
            else { return nil }
            return number
        }.sorted()
    }

    /// Moves every file of the log but its lock to a new directory beside it.
    ///
    /// - Returns: the path of that directory.
    func setAside() throws(AuditError) -> String {
        let names = try directory.names()
        var number = 1
        while names.contains("ended-audit-\(number)") { number += 1 }
        let aside = try directory.makeFolder("ended-audit-\(number)")
        for name in names where name.hasPrefix("audit.") && name != Self.lockName {
            try directory.rename(name, to: "ended-audit-\(number)/\(name)")
        }
        try aside.synchronize()
        try directory.synchronize()
        return aside.path
    }

    /// Removes the files whose first entry is older.
    func removeLogs(before first: UInt64) {
        guard let numbers = try? oldLogs() else { return }
        for number in numbers where number < first { try? directory.remove(Self.oldLogName(number)) }
    }
}

/// An open file of a log.
typealias AuditFile = File<AuditError>
