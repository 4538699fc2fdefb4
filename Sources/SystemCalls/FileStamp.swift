// SPDX-License-Identifier: Apache-2.0

internal import Glibc
package import SystemPackage

/// Stamp of an open file, which differs after it was replaced or written to.
package struct FileStamp: Sendable, Equatable {
    /// The device that holds the file.
    package let device: UInt64
    /// The inode number on that device.
    package let inode: UInt64
    /// The size in bytes.
    package let size: Int
    /// The time of the last write in nanoseconds.
    package let modified: Int64
    /// The time of the last change of any attribute in nanoseconds.
    package let changed: Int64

    /// Time since the last change by the clock of the system, to the tick that the kernel stamps files with.
    package var age: Duration {
        var now = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &now)
        return .nanoseconds(nanoseconds(now) &- changed)
    }
}

extension OwnedDescriptor {
    /// Wraps fstat(2); no file system needs to open the file for it.
    package func stamp() throws(Errno) -> FileStamp {
        var status = stat()
        try checkErrno { unsafe fstat(number, &status) }
        return FileStamp(
            device: UInt64(status.st_dev),
            inode: UInt64(status.st_ino),
            size: Int(status.st_size),
            modified: nanoseconds(status.st_mtim),
            changed: nanoseconds(status.st_ctim)
        )
    }
}

private func nanoseconds(_ time: timespec) -> Int64 {
    Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
}
