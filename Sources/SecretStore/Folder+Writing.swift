// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import Sealing
package import SystemCalls
internal import SystemPackage

/// Writing: a reader, or a crash at any moment, sees the old file or the new one.
extension Folder {
    private static let temporaryMark = ".credfs-"
    private static let temporarySuffix = ".tmp"

    /// Replaces or makes a file.
    ///
    /// The bytes go to a temporary file beside it, 0600 from its first byte, which is synchronized and renamed; then the
    /// directory is synchronized.
    ///
    /// - Parameters:
    ///   - name: the file.
    ///   - bytes: its new content.
    ///   - mode: its permission bits.
    ///   - isDurable: whether it is waited for until the disk has the bytes; after a loss of power what is not durable may
    ///     be empty.
    /// - Throws: class `failed`; the old file is untouched.
    package func replace(
        _ name: String,
        with bytes: Span<UInt8>,
        mode: UInt16 = 0o600,
        isDurable: Bool = true
    ) throws(StoreError) {
        let temporary = try temporaryName(for: name)
        do throws(Errno) {
            let file = try descriptor.open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
            try file.setPermissions(0o600)
            try file.writeAll(bytes)
            if mode != 0o600 { try file.setPermissions(mode) }
            if isDurable { try file.synchronize() }
            try descriptor.rename(temporary, to: name)
            if isDurable { try descriptor.synchronize() }
        } catch {
            try? descriptor.unlink(temporary)
            throw .system("write", path(of: name), error)
        }
    }

    /// Replaces or makes a file of mode 0600 in the same way, with what a function writes.
    ///
    /// - Parameters:
    ///   - name: the file.
    ///   - body: writes its new content.
    /// - Throws: the error of the function or class `failed`; the old file is untouched, and nothing of the new one stays.
    package func replace(_ name: String, writtenBy body: (borrowing OwnedDescriptor) throws -> Void) throws {
        try removeLeftovers(of: name)
        let temporary = try temporaryName(for: name)
        do {
            let file = try StoreError.wrapping("create", path(of: name)) { () throws(Errno) in
                try descriptor.open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
            }
            try body(file)
            try StoreError.wrapping("write", path(of: name)) { () throws(Errno) in
                try file.setPermissions(0o600)
                try file.synchronize()
                try descriptor.rename(temporary, to: name)
                try descriptor.synchronize()
            }
        } catch {
            try? descriptor.unlink(temporary)
            throw error
        }
    }

    /// Makes a file that must not exist yet, in the same way.
    ///
    /// - Throws: class `failed`, also if it exists.
    package func create(_ name: String, with bytes: Span<UInt8>, mode: UInt16 = 0o600) throws(StoreError) {
        guard try file(name) == nil else { throw .system("create", path(of: name), .fileExists) }
        try replace(name, with: bytes, mode: mode)
    }

    /// Makes sure that a file of some size could be written, as `replace` would; nothing of it stays.
    func rehearse(_ name: String, byteCount: Int) throws(StoreError) {
        let temporary = try temporaryName(for: name)
        defer { try? descriptor.unlink(temporary) }
        do throws(Errno) {
            let file = try descriptor.open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
            try file.allocate(byteCount: byteCount)
        } catch { throw .system("write", path(of: name), error) }
    }

    /// Removes what killed commands left beside a file.
    ///
    /// Only under the lock.
    package func removeLeftovers(of name: String) throws(StoreError) {
        do throws(Errno) {
            for entry in try descriptor.entryNames() where Self.isTemporary(entry, of: name) {
                // What cannot be removed is none of ours, such as a directory of that name.
                try? descriptor.unlink(entry)
            }
        } catch { throw .system("clean", path, error) }
    }

    /// Opens a file that is there for reading and writing.
    package func writableFile(_ name: String) throws(StoreError) -> OwnedDescriptor {
        do throws(Errno) {
            return try descriptor.open(name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)
        } catch { throw PermissionChecker.openFailure(path(of: name), error) }
    }

    /// The names in this directory.
    package func names() throws(StoreError) -> [String] {
        do throws(Errno) { return try descriptor.entryNames() } catch { throw .system("list", path, error) }
    }

    /// Removes a file if it is there.
    package func remove(_ name: String) throws(StoreError) {
        do throws(Errno) {
            try descriptor.unlink(name)
        } catch {
            guard error == .noSuchFileOrDirectory else { throw .system("remove", path(of: name), error) }
        }
    }

    /// Makes a directory in this one unless it is there, 0700 whatever the umask.
    package func makeFolder(_ name: String) throws(StoreError) -> Folder {
        do throws(Errno) {
            try descriptor.makeDirectory(name, mode: 0o700)
        } catch {
            guard error == .fileExists else { throw .system("create", path(of: name), error) }
        }
        do throws(Errno) { return try existingFolder(name) } catch {
            throw PermissionChecker.openFailure(path(of: name), error)
        }
    }

    /// Opens a lock file, making it if need be, and takes its lock; the lock ends with the descriptor.
    ///
    /// - Parameters:
    ///   - name: the file.
    ///   - waiting: called once if somebody else holds the lock.
    /// - Returns: the descriptor.
    /// - Throws: `StoreError`.
    package func lock(_ name: String, waiting: () -> Void) throws(StoreError) -> OwnedDescriptor {
        do throws(Errno) {
            let file = try descriptor.open(name, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, mode: 0o600)
            let status = try file.status()
            guard status.kind == .regular && status.linkCount == 1 else { throw Errno.tooManySymbolicLinkLevels }
            // The umask may have taken bits away that the next command needs to open it.
            if status.permissions != 0o600 { try file.setPermissions(0o600) }
            if try !file.lock(wait: false) {
                waiting()
                _ = try file.lock(wait: true)
            }
            return file
        } catch { throw PermissionChecker.openFailure(path(of: name), error) }
    }

    /// Runs a function while nobody else holds the lock of this directory itself.
    func whileLocked<R>(waiting: () -> Void, _ body: () throws -> R) throws -> R {
        try StoreError.wrapping("lock", path) { () throws(Errno) in
            if try !descriptor.lock(wait: false) {
                waiting()
                _ = try descriptor.lock(wait: true)
            }
        }
        defer { descriptor.unlock() }
        return try body()
    }

    /// Sets the mode of this directory if it is another.
    ///
    /// - Returns: whether it was.
    package func ensureMode(_ mode: UInt16) throws(StoreError) -> Bool {
        try Self.ensureMode(mode, of: descriptor, path)
    }

    /// Sets the mode of a file in this directory if it is another.
    ///
    /// - Returns: whether it was; nil if there is no such file.
    package func ensureMode(_ mode: UInt16, of name: String) throws(StoreError) -> Bool? {
        guard let file = try file(name) else { return nil }
        return try Self.ensureMode(mode, of: file, path(of: name))
    }

    private static func ensureMode(
        _ mode: UInt16,
        of file: borrowing OwnedDescriptor,
        _ path: String
    ) throws(StoreError) -> Bool {
        guard try PermissionChecker.status(of: file, path).permissions != mode else { return false }
        do throws(Errno) { try file.setPermissions(mode) } catch { throw .system("change the mode of", path, error) }
        return true
    }

    private func temporaryName(for name: String) throws(StoreError) -> String {
        do throws(SealingError) {
            let random = Hexadecimal.text(try RandomBytes.array(count: 8))
            return ".\(name)\(Self.temporaryMark)\(random)\(Self.temporarySuffix)"
        } catch { throw .sealing(error) }
    }

    private static func isTemporary(_ entry: String, of name: String) -> Bool {
        let prefix = ".\(name)\(temporaryMark)"
        return entry.hasPrefix(prefix) && entry.hasSuffix(temporarySuffix)
            && entry.utf8.count == prefix.utf8.count + 16 + temporarySuffix.utf8.count
    }
}
