// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import SystemCalls
internal import SystemPackage

/// Locks: a file or the directory itself, held by flock(2).
extension Directory {
    /// Opens a lock file, making it if need be.
    ///
    /// - Throws: class `insecure` for anything but a regular file with one name.
    package func lockFile(_ name: String) throws(Failure) -> File<Failure> {
        let path = path(of: name)
        let file = try Failure.opening(path) { () throws(Errno) in try openOrMakeLock(name) }
        let status = try Failure.wrapping("examine", path) { () throws(Errno) in try file.status() }
        guard status.kind == .regular else { throw Failure(.open(path, .noSuchAddressOrDevice)) }
        guard status.linkCount == 1 else { throw Failure(.hardLinks(path, status)) }
        return File(file, path: path, status: status)
    }

    /// Opens a lock file whose mode is left as it is, or makes one.
    private func openOrMakeLock(_ name: String) throws(Errno) -> OwnedDescriptor {
        let flags = O_RDWR | O_NOFOLLOW | O_NONBLOCK
        while true {
            do throws(Errno) { return try descriptor.open(name, flags) } catch {
                guard error == .noSuchFileOrDirectory else { throw error }
            }
            do throws(Errno) {
                let file = try descriptor.open(name, flags | O_CREAT | O_EXCL, mode: 0o600)
                // The umask may have taken bits away that the next command needs to open it; not every file system has modes.
                try? file.setPermissions(0o600)
                return file
            } catch {
                // Another command has made it meanwhile.
                guard error == .fileExists else { throw error }
            }
        }
    }

    /// Takes the lock of a lock file; it ends with the file.
    ///
    /// - Parameters:
    ///   - name: the file.
    ///   - waiting: called once if somebody else holds the lock.
    /// - Returns: the file.
    /// - Throws: class `insecure` or `system`.
    package func lock(_ name: String, waiting: () -> Void) throws(Failure) -> File<Failure> {
        let file = try lockFile(name)
        try Self.lock(file.descriptor, file.path, waiting: waiting)
        return file
    }

    /// Runs a function while nobody else holds the lock of this directory itself.
    package func whileLocked<R>(waiting: () -> Void, _ body: () throws -> R) throws -> R {
        try Self.lock(descriptor, path, waiting: waiting)
        defer { descriptor.unlock() }
        return try body()
    }

    private static func lock(
        _ file: borrowing OwnedDescriptor,
        _ path: String,
        waiting: () -> Void
    ) throws(Failure) {
        try Failure.wrapping("lock", path) { () throws(Errno) in
            if try !file.lock(wait: false) {
                waiting()
                _ = try file.lock(wait: true)
            }
        }
    }
}
