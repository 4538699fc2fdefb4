// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import Sealing
internal import SecureMemory
package import SystemCalls
internal import SystemPackage

/// The files of a log in their directory, each checked on the descriptor that is used.
package final class AuditDirectory {
    static let logName = "audit.log"
    static let keyName = "audit.key"
    static let rootName = "audit.root"
    private static let lockName = "audit.lock"

    /// The path of the directory, for messages.
    let path: String
    private let descriptor: OwnedDescriptor
    private let user: UInt32
    private let isStrict: Bool

    /// Takes over an open directory.
    ///
    /// - Parameters:
    ///   - descriptor: the state directory.
    ///   - path: its path, for messages.
    ///   - user: who must own the files, or root.
    ///   - isStrict: whether modes, owners and link counts count (`CREDFS_PERMISSIONS_STRICT`).
    package init(_ descriptor: consuming OwnedDescriptor, path: String, user: UInt32, isStrict: Bool) {
        self.descriptor = descriptor
        self.path = path
        self.user = user
        self.isStrict = isStrict
    }

    func path(_ name: String) -> String { "\(path)/\(name)" }

    /// Opens a file.
    ///
    /// - Returns: the file with its size, or nil if there is none.
    /// - Throws: `AuditError`, also for a file that is not ours alone.
    func open(_ name: String, _ flags: Int32) throws(AuditError) -> AuditFile? {
        let file: OwnedDescriptor
        do throws(Errno) {
            file = try descriptor.open(name, flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, mode: 0o600)
        } catch {
            if error == .noSuchFileOrDirectory { return nil }
            if error == .tooManySymbolicLinkLevels { throw .insecure("\(path(name)) is a symbolic link") }
            throw .system(action: "open", path: path(name), error)
        }
        let status: FileStatus
        do throws(Errno) { status = try file.status() } catch {
            throw .system(action: "examine", path: path(name), error)
        }
        guard status.kind == .regular else { throw .insecure("\(path(name)) is not a regular file") }
        if isStrict {
            guard status.owner == user || status.owner == 0 else {
                throw .insecure("\(path(name)) is owned by uid \(status.owner)")
            }
            guard status.linkCount <= 1 else { throw .insecure("\(path(name)) has \(status.linkCount) hard links") }
        }
        return AuditFile(file, name: name, size: status.size, permissions: status.permissions, path: path(name))
    }

    /// Opens the file that only its owner may ever have read.
    func openKey(_ flags: Int32) throws(AuditError) -> AuditFile? {
        guard let file = try open(Self.keyName, flags) else { return nil }
        guard !isStrict || file.permissions & 0o077 == 0 else {
            throw .insecure("\(path(Self.keyName)) could be read by others")
        }
        return file
    }

    /// Opens the current file of the log for appending, makes it if need be, and puts its mode right.
    func openLog() throws(AuditError) -> AuditFile {
        guard let file = try open(Self.logName, O_RDWR | O_APPEND | O_CREAT) else {
            throw .system(action: "open", path: path(Self.logName), .noSuchFileOrDirectory)
        }
        if file.permissions != 0o600 {
            // Where modes do not count they may not be settable either.
            do throws(AuditError) { try file.setPermissions(0o600) } catch { if isStrict { throw error } }
        }
        return file
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
        do throws(AuditError) {
            guard let file = try open(Self.lockName, O_RDWR | O_CREAT) else { throw .noLog }
            // The umask may have taken bits away that the next command needs to open it.
            if file.permissions != 0o600 { try? file.setPermissions(0o600) }
            lock = file
        } catch {
            // Nobody can write here, so nobody needs to be kept out.
            guard isReadOnly, error.isReadOnly else { throw error }
            return try body()
        }
        guard try lock.lock(withinMilliseconds: milliseconds) else { throw .busy }
        defer { lock.unlock() }
        return try body()
    }

    /// Writes a small file that a crash leaves as it was or as it will be.
    func replace(_ name: String, with bytes: Span<UInt8>) throws(AuditError) {
        let temporary = Self.temporaryName(of: name)
        do throws(Errno) {
            // One name is enough under the lock, and nothing is left for ever.
            try? descriptor.unlink(temporary)
            let file = try descriptor.open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
            do throws(Errno) {
                try file.setPermissions(0o600)
                try file.writeAll(bytes)
                try file.synchronize()
                try descriptor.rename(temporary, to: name)
            } catch {
                try? descriptor.unlink(temporary)
                throw error
            }
            try descriptor.synchronize()
        } catch { throw .system(action: "write", path: path(name), error) }
    }

    /// Removes what killed processes left of files that were being replaced; only under the lock.
    func removeLeftovers() {
        for name in [Self.rootName, Self.keyName] { try? descriptor.unlink(Self.temporaryName(of: name)) }
    }

    private static func temporaryName(of name: String) -> String { ".\(name).credfs-0000000000000000.tmp" }

    func rename(_ old: String, to new: String) throws(AuditError) {
        try AuditError.wrapping("rename", path(old)) { () throws(Errno) in try descriptor.rename(old, to: new) }
    }

    func synchronize() throws(AuditError) {
        try AuditError.wrapping("synchronize", path) { () throws(Errno) in try descriptor.synchronize() }
    }

    func exists(_ name: String) throws(AuditError) -> Bool { try open(name, O_RDONLY) != nil }

    /// The name of a file of the log that is not the current one: its first entry is in it.
    static func oldLogName(_ first: UInt64) -> String { "\(logName).\(first)" }

    /// The numbers of the files that are not the current one, in order.
    package func oldLogs() throws(AuditError) -> [UInt64] {
        let names = try AuditError.wrapping("list", path) { () throws(Errno) in try descriptor.entryNames() }
        return names.compactMap { name in
            guard name.hasPrefix("\(Self.logName)."), let number = UInt64(name.dropFirst(Self.logName.count + 1)),
                Self.oldLogName(number) == name
            else { return nil }
            return number
        }.sorted()
    }

    /// Removes the files whose first entry is older.
    func removeLogs(before first: UInt64) {
        guard let numbers = try? oldLogs() else { return }
        for number in numbers where number < first { try? descriptor.unlink(Self.oldLogName(number)) }
    }
}

/// An open file of a log.
final class AuditFile {
    let name: String
    /// When it was opened.
    let size: Int
    let permissions: UInt16
    private let path: String
    private let descriptor: OwnedDescriptor

    init(_ descriptor: consuming OwnedDescriptor, name: String, size: Int, permissions: UInt16, path: String) {
        self.descriptor = descriptor
        self.name = name
        self.size = size
        self.permissions = permissions
        self.path = path
    }

    /// Reads a part, or as much of it as there is.
    func read(from offset: Int, count: Int) throws(AuditError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var filled = 0
        try AuditError.wrapping("read", path) { () throws(Errno) in
            try descriptor.seek(to: offset)
            while filled < count {
                var span = bytes.mutableSpan
                let more = try descriptor.read(into: &span, from: filled)
                if more == 0 { break }
                filled += more
            }
        }
        bytes.removeLast(count - filled)
        return bytes
    }

    /// Reads the beginning into secure memory.
    func readSecret(count: Int) throws(AuditError) -> SecureBuffer {
        var buffer: SecureBuffer
        do throws(SecureMemoryError) { buffer = try SecureBuffer(count: count) } catch {
            throw .sealing(.memory(error))
        }
        let filled = try buffer.withMutableBytes { (bytes) throws(AuditError) in
            do throws(Errno) {
                try descriptor.seek(to: 0)
                var filled = 0
                while filled < count {
                    let more = try descriptor.read(into: &bytes, from: filled)
                    if more == 0 { break }
                    filled += more
                }
                return filled
            } catch { throw AuditError.system(action: "read", path: path, error) }
        }
        buffer.setCount(filled)
        return buffer
    }

    /// Writes over the beginning.
    func overwrite(_ bytes: Span<UInt8>) throws(AuditError) {
        do throws(Errno) {
            try descriptor.seek(to: 0)
            try descriptor.writeAll(bytes)
        } catch { throw .system(action: "write", path: path, error) }
    }

    /// Writes behind the end, all or nothing.
    func append(_ bytes: [UInt8], at size: Int) throws(AuditError) {
        do throws(Errno) { try descriptor.writeAll(bytes.span) } catch {
            try? descriptor.truncate(to: size)
            throw .system(action: "write", path: path, error)
        }
    }

    func truncate(to size: Int) throws(AuditError) {
        try AuditError.wrapping("cut", path) { () throws(Errno) in try descriptor.truncate(to: size) }
    }

    func synchronizeData() throws(AuditError) {
        try AuditError.wrapping("synchronize", path) { () throws(Errno) in try descriptor.synchronizeData() }
    }

    func setPermissions(_ mode: UInt16) throws(AuditError) {
        try AuditError.wrapping("change the mode of", path) { () throws(Errno) in try descriptor.setPermissions(mode) }
    }

    func lock(withinMilliseconds milliseconds: Int) throws(AuditError) -> Bool {
        try AuditError.wrapping("lock", path) { () throws(Errno) in
            try descriptor.lock(withinMilliseconds: milliseconds)
        }
    }

    func unlock() { descriptor.unlock() }

    func presentSize() throws(AuditError) -> Int {
        try AuditError.wrapping("examine", path) { () throws(Errno) in try descriptor.status() }.size
    }

    /// What tells this file from one that took its name.
    func identity() throws(AuditError) -> AuditFileIdentity {
        let status = try AuditError.wrapping("examine", path) { () throws(Errno) in try descriptor.status() }
        return AuditFileIdentity(device: status.device, inode: status.inode)
    }
}

/// A file, whatever its name.
struct AuditFileIdentity: Equatable {
    let device: UInt64
    let inode: UInt64
}
