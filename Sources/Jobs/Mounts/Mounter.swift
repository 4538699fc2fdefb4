// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import SystemCalls
internal import SystemPackage

/// Mounts and unmounts where other processes see it: by itself with CAP_SYS_ADMIN, else through fusermount3.
enum Mounter {
    /// Mounts.
    ///
    /// - Parameters:
    ///   - path: an existing directory.
    ///   - options: mount options.
    /// - Returns: the device.
    /// - Throws: class `mount`.
    static func mount(at path: String, _ options: FuseMount.Options) throws(MountError) -> OwnedDescriptor {
        guard ProcessAttributes.hasCapability(.sysAdmin) else { return try Fusermount.mount(at: path, options) }
        let device = try MountError.wrapping(.mount, "open /dev/fuse") { () throws(Errno) in
            try FuseMount.openDevice()
        }
        try MountError.wrapping(.mount, "mount at \(path)") { () throws(Errno) in
            try FuseMount.mount(device, at: path, options)
        }
        return device
    }

    /// Unmounts at once, whatever is open in it (MNT_DETACH).
    ///
    /// - Throws: class `mount`.
    static func detach(_ path: String) throws(MountError) {
        guard ProcessAttributes.hasCapability(.sysAdmin) else { return try Fusermount.detach(path) }
        try MountError.wrapping(.mount, "unmount \(path)") { () throws(Errno) in try FuseMount.detach(path) }
    }
}
