// SPDX-License-Identifier: Apache-2.0

internal import CLinux
internal import Glibc
package import SystemPackage

/// Walking a path one component at a time, so that no symbolic link is followed unseen.
extension OwnedDescriptor {
    // Declared only under _GNU_SOURCE; the same number on every architecture that Swift runs on.
    private static let pathOnly: Int32 = 0o1000_0000

    /// A directory to start a walk from; `path` is `/` or `.`.
    package static func startOfWalk(_ path: String) throws(Errno) -> OwnedDescriptor {
        try open(path, pathOnly | O_DIRECTORY)
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
