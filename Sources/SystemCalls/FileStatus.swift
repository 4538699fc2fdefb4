// SPDX-License-Identifier: Apache-2.0

internal import CLinux
internal import Glibc
package import SystemPackage

/// Status of an open file; wraps fstat(2), the only kind of check credfs makes, since a path can change under it.
package struct FileStatus: Sendable, Equatable {
    /// The kinds of file that credfs tells apart.
    package enum Kind: Sendable, Equatable {
        case regular
        case directory
        case symbolicLink
        case fifo
        case socket
        case characterDevice
        case blockDevice
        case other
    }

    /// The kind of file.
    package let kind: Kind
    /// The permission bits with set-uid, set-gid and sticky (0o7777).
    package let permissions: UInt16
    /// The owner's user id.
    package let owner: UInt32
    /// The group id.
    package let group: UInt32
    /// The number of hard links.
    package let linkCount: UInt64
    /// The size in bytes.
    package let size: Int
    /// The device that holds the file.
    package let device: UInt64
    /// The inode number on that device.
    package let inode: UInt64

    /// Device and inode, which tell the file from one that took its name.
    package var identity: FileIdentity { FileIdentity(device: device, inode: inode) }

    /// Reads the status of a path; wraps stat(2): for reports only, since a path can change.
    ///
    /// - Parameters:
    ///   - path: the path.
    ///   - followingLink: whether a link at its end stands for what it leads to.
    /// - Returns: the status.
    /// - Throws: the error of stat(2) or lstat(2).
    package static func ofPath(_ path: String, followingLink: Bool) throws(Errno) -> FileStatus {
        var status = stat()
        try checkErrno { unsafe followingLink ? stat(path, &status) : lstat(path, &status) }
        return FileStatus(status)
    }

    /// Reads the status of an open file that somebody else owns; wraps fstat(2).
    package static func ofDescriptor(_ number: Int32) throws(Errno) -> FileStatus {
        var status = stat()
        try checkErrno { unsafe fstat(number, &status) }
        return FileStatus(status)
    }

    /// Checks that a file could be made in a directory; wraps access(2) and statvfs(3): for reports only, since both
    /// can change.
    ///
    /// - Throws: the error of access(2), of which EROFS and EACCES are the usual ones, or ENOSPC.
    package static func checkRoom(in directory: String) throws(Errno) {
        try checkErrno { unsafe access(directory, W_OK | X_OK) }
        var status = statvfs()
        try checkErrno { unsafe statvfs(directory, &status) }
        let isFull = status.f_blocks > 0 && status.f_bavail == 0
        guard !isFull, status.f_files == 0 || status.f_ffree > 0 else { throw .noSpace }
    }

    init(_ status: stat) {
        kind =
            switch status.st_mode & S_IFMT {
            case S_IFREG: .regular
            case S_IFDIR: .directory
            case S_IFLNK: .symbolicLink
            case S_IFIFO: .fifo
            case S_IFSOCK: .socket
            case S_IFCHR: .characterDevice
            case S_IFBLK: .blockDevice
            default: .other
            }
        permissions = UInt16(truncatingIfNeeded: status.st_mode & 0o7777)
        owner = status.st_uid
        group = status.st_gid
        linkCount = UInt64(status.st_nlink)
        size = Int(status.st_size)
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
    }
}

/// A file, whatever its name.
package struct FileIdentity: Sendable, Equatable {
    /// The device that holds the file.
    package let device: UInt64
    /// The inode number on that device.
    package let inode: UInt64

    /// Reads which file a path leads to, without waiting for whoever serves its file system; wraps statx(2) with
    /// AT_STATX_DONT_SYNC.
    package static func ofPath(_ path: String) throws(Errno) -> FileIdentity {
        try FileIdentity(of: path, in: AT_FDCWD)
    }

    init(of name: String, in directory: Int32) throws(Errno) {
        var (device, inode): (UInt64, UInt64) = (0, 0)
        try checkErrno { unsafe credfs_file_identity(directory, name, &device, &inode) }
        (self.device, self.inode) = (device, inode)
    }

    init(device: UInt64, inode: UInt64) {
        (self.device, self.inode) = (device, inode)
    }
}

extension UInt16 {
    /// Permission bits as chmod(1) takes them: four octal digits.
    package var octal: String {
        let digits = String(self, radix: 8)
        return String(repeating: "0", count: 4 - Swift.min(4, digits.utf8.count)) + digits
    }
}
