// SPDX-License-Identifier: Apache-2.0

internal import Glibc
package import SystemPackage

/// Mounts of the FUSE kind, made without a helper program by a process that has CAP_SYS_ADMIN in its namespace.
package enum FuseMount {
    /// Options of a FUSE mount (Documentation/filesystems/fuse.rst).
    package struct Options: Sendable, Equatable {
        /// The user whose processes may use the mount, and whom the kernel takes for its owner.
        package var user: UInt32
        /// The group of that user.
        package var group: UInt32
        /// Option allow_other: processes of other users get as far as the permission bits.
        package var allowOther = false
        /// The most bytes that the kernel asks for in one request.
        package var maximumReadByteCount: Int

        /// Makes options for one user.
        package init(user: UInt32, group: UInt32, maximumReadByteCount: Int) {
            self.user = user
            self.group = group
            self.maximumReadByteCount = maximumReadByteCount
        }

        /// The text that mount(2) takes.
        ///
        /// The kernel checks the permission bits, so that a reader who has none costs no
        /// request.
        func text(device: Int32) -> String {
            "fd=\(device),rootmode=40500,user_id=\(user),group_id=\(group),default_permissions"
                + ",max_read=\(maximumReadByteCount)" + (allowOther ? ",allow_other" : "")
        }
    }

    /// Opens `/dev/fuse`: one descriptor is one connection.
    package static func openDevice() throws(Errno) -> OwnedDescriptor {
        try OwnedDescriptor.open("/dev/fuse", O_RDWR)
    }

    /// Mounts read-only, nosuid, nodev and noexec; wraps mount(2).
    ///
    /// What is mounted answers as soon as something serves the device, and not before.
    ///
    /// - Parameters:
    ///   - device: what `openDevice` gave.
    ///   - path: an existing directory.
    ///   - options: what the kernel is told.
    /// - Throws: the error of mount(2).
    package static func mount(
        _ device: borrowing OwnedDescriptor,
        at path: String,
        _ options: Options
    ) throws(Errno) {
        let number = device.number
        let flags = UInt(MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)
        let text = options.text(device: number)
        try checkErrno {
            unsafe text.withCString { text in
                unsafe Glibc.mount("credfs", path, "fuse.credfs", flags, UnsafeRawPointer(text))
            }
        }
    }

    /// Takes a mount out of the directory tree at once; wraps umount2(2).
    ///
    /// What is open in it goes on being served.
    package static func detach(_ path: String) throws(Errno) {
        try checkErrno { unsafe umount2(path, Int32(MNT_DETACH) | umountNoFollow) }
    }

    /// Paths of the setuid program that mounts for users (fusermount3(1)): not PATH, which somebody else may have set.
    package static let helperPlaces = ["/usr/bin/fusermount3", "/bin/fusermount3", "/usr/local/bin/fusermount3"]

    /// Asks whoever serves a mount for a sign of life; wraps statvfs(3), which the kernel answers from no cache.
    ///
    /// Waits for as long as the server is stopped.
    ///
    /// - Throws: ENOTCONN where nobody serves it any more.
    package static func ask(_ path: String) throws(Errno) {
        var status = statvfs()
        try checkErrno { unsafe statvfs(path, &status) }
    }

    // The last component of the path is not followed where it is a symbolic link.
    private static let umountNoFollow: Int32 = 8
}
