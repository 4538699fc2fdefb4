// SPDX-License-Identifier: Apache-2.0

internal import CLinux
internal import Glibc
package import SystemPackage

/// Mount namespaces of our own; only in a process with one thread.
package enum Namespaces {
    /// Unshares the mount namespace of this process; wraps unshare(2).
    ///
    /// - Parameter users: whether it is in a user namespace of its own, too, in which user and group are what they are
    ///   outside (user_namespaces(7)).
    /// - Throws: EPERM without CAP_SYS_ADMIN; or the error of writing a map, which a process that is not dumpable may not.
    package static func unshare(users: Bool) throws(Errno) {
        guard users else { return try checkErrno { CLinux.unshare(CREDFS_NEW_MOUNTS) } }
        let (user, group) = (geteuid(), getegid())
        try checkErrno { CLinux.unshare(CREDFS_NEW_USERS | CREDFS_NEW_MOUNTS) }
        // Without this the group map of an unprivileged process is refused.
        try write("deny", to: "/proc/self/setgroups")
        try write("\(user) \(user) 1", to: "/proc/self/uid_map")
        try write("\(group) \(group) 1", to: "/proc/self/gid_map")
    }

    /// Enters the mount namespace of another process; wraps setns(2).
    ///
    /// - Parameters:
    ///   - process: the process, whose owner this one has to be.
    ///   - users: whether it has a user namespace of its own, which is entered before.
    /// - Throws: the error of open(2) or setns(2).
    package static func enter(of process: Int32, users: Bool) throws(Errno) {
        let mounts = try OwnedDescriptor.open("/proc/\(process)/ns/mnt", O_RDONLY)
        if users {
            let owner = try OwnedDescriptor.open("/proc/\(process)/ns/user", O_RDONLY)
            try checkErrno { setns(owner.number, CREDFS_NEW_USERS) }
        }
        try checkErrno { setns(mounts.number, CREDFS_NEW_MOUNTS) }
    }

    /// Keeps mounts made here from being seen outside, while those that are made and taken away outside are still seen
    /// here; wraps mount(MS_SLAVE).
    package static func makeSlave() throws(Errno) {
        try checkErrno { unsafe mount("none", "/", nil, UInt(MS_REC) | UInt(MS_SLAVE), nil) }
    }

    /// Keeps mounts made and taken away here from being seen outside, and those outside from being seen here; wraps
    /// mount(MS_PRIVATE).
    package static func separateMounts() throws(Errno) {
        try checkErrno { unsafe mount("none", "/", nil, UInt(MS_REC) | UInt(MS_PRIVATE), nil) }
    }

    /// Makes every mount of the namespace read-only; wraps mount_setattr(2).
    ///
    /// What is mounted afterwards is as it was asked for. Devices, sockets and descriptors that are open stay as they are.
    ///
    /// - Throws: ENOSYS before Linux 5.12.
    package static func makeEveryMountReadOnly() throws(Errno) {
        try checkErrno { credfs_make_every_mount_read_only() }
    }

    private static func write(_ text: String, to path: String) throws(Errno) {
        try OwnedDescriptor.open(path, O_WRONLY).writeAll(text)
    }
}

/// Mounts of memory and of what is there already.
package enum MemoryMount {
    /// Kind of file system.
    package enum Kind: String, Sendable {
        /// Swappable unless the kernel is told otherwise, and bounded.
        case tmpfs
        /// Never swapped, and unbounded.
        case ramfs
    }

    /// Mounts an empty file system in memory, nosuid, nodev and noexec.
    ///
    /// - Parameters:
    ///   - kind: which.
    ///   - path: an existing directory.
    ///   - mode: the permission bits of its root.
    ///   - unswappable: whether a tmpfs is mounted with `noswap` (Linux 6.4, not in a user namespace).
    ///   - isCover: whether it only hides what lies below: a tmpfs without a limit tells statfs(2) of no blocks, so that df(1)
    ///     leaves it out.
    /// - Throws: the error of mount(2).
    package static func mount(
        _ kind: Kind,
        at path: String,
        mode: UInt16,
        unswappable: Bool = false,
        isCover: Bool = false
    ) throws(Errno) {
        let size = kind == .tmpfs ? ",size=\(isCover ? "0" : "64m")" : ""
        let options = "mode=\(String(mode, radix: 8))\(size)\(unswappable ? ",noswap" : "")"
        try checkErrno {
            unsafe options.withCString { options in
                unsafe Glibc.mount("credfs", path, kind.rawValue, flags, UnsafeRawPointer(options))
            }
        }
    }

    /// Shows a file or directory at another place, too; wraps mount(MS_BIND).
    package static func bind(_ source: String, onto target: String) throws(Errno) {
        try checkErrno { unsafe Glibc.mount(source, target, nil, UInt(MS_BIND), nil) }
    }

    /// Makes one mount read-only, and no other of the same file system.
    package static func makeReadOnly(_ path: String) throws(Errno) {
        try checkErrno {
            unsafe Glibc.mount(nil, path, nil, flags | UInt(MS_REMOUNT) | UInt(MS_BIND) | UInt(MS_RDONLY), nil)
        }
    }

    private static var flags: UInt { UInt(MS_NOSUID) | UInt(MS_NODEV) | UInt(MS_NOEXEC) }
}
