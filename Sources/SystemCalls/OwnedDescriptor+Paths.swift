// SPDX-License-Identifier: Apache-2.0

internal import CLinux
internal import Glibc
package import SystemPackage

/// Walking a path one component at a time, so that no symbolic link is followed unseen.
extension OwnedDescriptor {
    // Declared only under _GNU_SOURCE; the same number on every architecture that Swift runs on.
    private static let pathOnly: Int32 = 0o1000_0000

    /// A directory to start a walk from; `path` is `/` or `.`.
    package static func openPath(directory path: String) throws(Errno) -> OwnedDescriptor {
        try open(path, pathOnly | O_DIRECTORY)
    }

    /// Opens whatever a path leads to without any effect on it, to be asked for its status.
    package static func openPath(_ path: String) throws(Errno) -> OwnedDescriptor {
        try open(path, pathOnly)
    }

    /// Makes a directory the working directory of this process; wraps chdir(2).
    package static func changeWorkingDirectory(to path: String) throws(Errno) {
        try checkErrno { unsafe chdir(path) }
    }

    /// The path of the working directory; wraps getcwd(3).
    package static func workingDirectory() throws(Errno) -> String {
        var path = [CChar](repeating: 0, count: Int(PATH_MAX))
        guard unsafe getcwd(&path, path.count) != nil else { throw Errno(rawValue: errno) }
        let bytes = path.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        guard let text = String(validating: bytes, as: UTF8.self) else { throw .illegalByteSequence }
        return text
    }

    /// The path by which the kernel knows what is open, without links; nil where it is not UTF-8.
    package func resolvedPath() throws(Errno) -> String? {
        let list = try OwnedDescriptor.open("/proc/self/fd", Self.pathOnly | O_DIRECTORY)
        return try list.openEntry("\(number)").linkTarget()
    }

    /// Closes every descriptor from 3 on that is not close-on-exec: ours all are, so somebody else opened it.
    package static func closeInherited() throws(Errno) {
        let list = try open("/proc/self/fd", O_RDONLY | O_DIRECTORY)
        for name in try list.entryNames() {
            guard let number = Int32(name), number > 2 else { continue }
            let flags = fcntl(number, F_GETFD)
            if flags >= 0 && flags & FD_CLOEXEC == 0 { close(number) }
        }
    }

    /// Closes the descriptor on exec; wraps fcntl(F_SETFD).
    package func closeOnExec() throws(Errno) {
        try checkErrno { fcntl(number, F_SETFD, FD_CLOEXEC) }
    }

    /// Opens an entry of this directory without following it and without any effect on a FIFO or device; what comes
    /// back can be asked for its status, walked through or read as a link, nothing else.
    package func openEntry(_ name: String) throws(Errno) -> OwnedDescriptor {
        try open(name, Self.pathOnly | O_NOFOLLOW)
    }

    /// Opens a file of this directory for reading.
    ///
    /// Never follows a link, never waits for a writer, never becomes the
    /// terminal of the process.
    package func openFile(_ name: String) throws(Errno) -> OwnedDescriptor {
        try open(name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)
    }

    /// The text of the symbolic link that was opened with `openEntry`, or nil where it is not UTF-8.
    package func linkTarget() throws(Errno) -> String? {
        var target = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = try valueOrErrno {
            unsafe target.withUnsafeMutableBufferPointer { buffer in
                // An array that is not empty has an address.
                guard let start = buffer.baseAddress else { return 0 }
                return unsafe start.withMemoryRebound(to: CChar.self, capacity: buffer.count) {
                    unsafe readlinkat(number, "", $0, buffer.count)
                }
            }
        }
        // A target that fills the buffer may have been cut.
        guard count < target.count else { throw .fileNameTooLong }
        return String(validating: target[..<count], as: UTF8.self)
    }

    /// The access control list of this file as the kernel writes it, or nil where it has none.
    package func accessControlList() throws(Errno) -> [UInt8]? {
        var list = [UInt8](repeating: 0, count: 4096)
        do throws(Errno) {
            let count = try valueOrErrno {
                unsafe list.withUnsafeMutableBytes { bytes in
                    unsafe fgetxattr(number, "system.posix_acl_access", bytes.baseAddress, bytes.count)
                }
            }
            list.removeLast(list.count - count)
            return list
        } catch {
            // ENODATA: no list; EOPNOTSUPP: a file system without lists.
            if error == .noData || error == .notSupportedOnSocket || error == .notSupported { return nil }
            throw error
        }
    }
}

extension OwnedDescriptor {
    /// The path without links that leads to an existing file, for programs that are told of it; wraps realpath(3).
    package static func realPath(_ path: String) -> String? {
        guard let resolved = unsafe realpath(path, nil) else { return nil }
        defer { unsafe free(resolved) }
        return unsafe String(validatingCString: resolved)
    }
}
