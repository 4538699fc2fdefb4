// SPDX-License-Identifier: Apache-2.0

internal import CLinux
internal import Glibc
package import SystemPackage

/// Files and directories: everything below a directory is reached through its descriptor.
extension OwnedDescriptor {
    /// Opens an absolute path or one relative to the working directory.
    package static func open(
        _ path: String,
        _ flags: Int32,
        mode: UInt16 = 0
    ) throws(Errno) -> OwnedDescriptor {
        OwnedDescriptor(owning: try valueOrErrno { unsafe openat(AT_FDCWD, path, flags | O_CLOEXEC, mode_t(mode)) })
    }

    /// Opens a name below this directory.
    package func open(
        _ name: String,
        _ flags: Int32,
        mode: UInt16 = 0
    ) throws(Errno) -> OwnedDescriptor {
        OwnedDescriptor(owning: try valueOrErrno { unsafe openat(number, name, flags | O_CLOEXEC, mode_t(mode)) })
    }

    /// Reads which file a name in this directory leads to, without waiting for whoever serves its file system; wraps statx(2)
    /// with AT_STATX_DONT_SYNC.
    package func identity(of name: String) throws(Errno) -> FileIdentity {
        try FileIdentity(of: name, in: number)
    }

    /// Wraps fstat(2).
    package func status() throws(Errno) -> FileStatus { try FileStatus.ofDescriptor(number) }

    /// Wraps fchmod(2).
    package func setPermissions(_ mode: UInt16) throws(Errno) {
        try checkErrno { fchmod(number, mode_t(mode)) }
    }

    /// Wraps fsync(2).
    package func synchronize() throws(Errno) {
        try checkErrno { fsync(number) }
    }

    /// Wraps fdatasync(2).
    package func synchronizeData() throws(Errno) {
        try checkErrno { fdatasync(number) }
    }

    /// Wraps lseek(2) to an absolute offset.
    package func seek(to offset: Int) throws(Errno) {
        try checkErrno { lseek(number, off_t(offset), SEEK_SET) }
    }

    /// Makes a directory with exactly these permission bits; wraps mkdirat(2) and fchmodat(2).
    package func makeDirectory(_ name: String, mode: UInt16) throws(Errno) {
        try checkErrno { unsafe mkdirat(number, name, mode_t(mode)) }
        // The umask may have taken bits away that are needed to open it.
        try checkErrno { unsafe fchmodat(number, name, mode_t(mode), 0) }
    }

    /// Detects a symbolic link, for messages only: a path can change.
    package static func isSymbolicLink(_ path: String) -> Bool {
        var status = stat()
        return unsafe lstat(path, &status) == 0 && FileStatus(status).kind == .symbolicLink
    }

    /// Wraps renameat(2) within this directory.
    package func rename(_ old: String, to new: String) throws(Errno) {
        try checkErrno { unsafe renameat(number, old, number, new) }
    }

    /// Wraps unlinkat(2).
    package func unlink(_ name: String) throws(Errno) {
        try checkErrno { unsafe unlinkat(number, name, 0) }
    }

    /// Wraps unlinkat(AT_REMOVEDIR).
    package func removeDirectory(_ name: String) throws(Errno) {
        try checkErrno { unsafe unlinkat(number, name, AT_REMOVEDIR) }
    }

    /// Makes a file in this directory writable for its owner; wraps fchmodat(2).
    package func forceWritable(_ name: String) throws(Errno) {
        try checkErrno { unsafe fchmodat(number, name, 0o600, 0) }
    }

    /// Wraps fchown(2).
    package func setOwner(user: UInt32, group: UInt32) throws(Errno) {
        try checkErrno { fchown(number, user, group) }
    }

    /// Cuts or extends a file; wraps ftruncate(2).
    package func truncate(to byteCount: Int) throws(Errno) {
        try checkErrno { ftruncate(number, off_t(byteCount)) }
    }

    /// Detects a file in memory: on a tmpfs or ramfs (linux/magic.h).
    package var isInMemory: Bool { [0x0102_1994, 0x8584_58f6].contains(credfs_file_system_kind(number)) }

    /// Takes the exclusive flock(2), waiting for another holder if `wait` is set.
    ///
    /// - Returns: false if the lock is held elsewhere and `wait` is not set.
    package func lock(wait: Bool) throws(Errno) -> Bool {
        do throws(Errno) {
            try checkErrno { flock(number, wait ? LOCK_EX : LOCK_EX | LOCK_NB) }
            return true
        } catch {
            if error == .wouldBlock { return false }
            throw error
        }
    }

    /// Takes a shared flock(2) without waiting.
    ///
    /// - Returns: false if somebody holds it exclusively.
    package func lockShared() throws(Errno) -> Bool {
        do throws(Errno) {
            try checkErrno { flock(number, LOCK_SH | LOCK_NB) }
            return true
        } catch {
            if error == .wouldBlock { return false }
            throw error
        }
    }

    /// Releases the lock of flock(2); it also ends with the descriptor.
    package func unlock() {
        flock(number, LOCK_UN)
    }

    /// The names in this directory, without `.` and `..`.
    package func entryNames() throws(Errno) -> [String] {
        let copy = try open(".", O_RDONLY | O_DIRECTORY)
        guard let stream = unsafe fdopendir(copy.number) else { throw Errno(rawValue: errno) }
        _ = copy.release()
        defer { unsafe closedir(stream) }
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = unsafe readdir(stream) else {
                if errno != 0 { throw Errno(rawValue: errno) }
                return names
            }
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                unsafe pointer.withMemoryRebound(to: CChar.self, capacity: Int(NAME_MAX) + 1) { characters in
                    unsafe String(cString: characters)
                }
            }
            if name != "." && name != ".." { names.append(name) }
        }
    }
}

extension OwnedDescriptor {
    /// Right of this process to make names in this directory; wraps faccessat(2) with the effective ids.
    package var isWritableDirectory: Bool {
        unsafe faccessat(number, ".", W_OK | X_OK, AT_EACCESS) == 0
    }

    /// Detects a program that this process may run; wraps faccessat(2) with the effective ids.
    package static func isExecutable(_ path: String) -> Bool {
        unsafe faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0
    }
}
