// SPDX-License-Identifier: Apache-2.0

/// The number of a file in a mount.
package struct InodeNumber: Sendable, Hashable, Comparable {
    /// The number as the kernel has it.
    package let value: UInt64

    /// Wraps a number.
    package init(_ value: UInt64) {
        self.value = value
    }

    /// The directory that is mounted.
    package static let root = InodeNumber(1)

    /// Orders by number.
    package static func < (left: InodeNumber, right: InodeNumber) -> Bool { left.value < right.value }
}

/// Offset in the listing of a directory: 0 at its beginning, then what was given with the entry before.
package struct DirectoryOffset: Sendable, Hashable {
    /// The number as the kernel has it.
    package let value: Int

    /// Wraps a number.
    package init(_ value: Int) {
        self.value = value
    }

    /// The beginning.
    package static let start = DirectoryOffset(0)
}

/// Number of the thread of a session that handles a request, counted from 0.
///
/// What is kept per worker is used by one thread at a time.
package struct WorkerNumber: Sendable, Hashable {
    /// The number.
    package let value: Int

    /// Wraps a number.
    package init(_ value: Int) {
        self.value = value
    }
}

/// Caller of a request, as the kernel saw it in the name space of the mount.
package struct Caller: Sendable, Equatable {
    /// The user id for access to files.
    package let user: UInt32
    /// The group id for access to files.
    package let group: UInt32
    /// The id of the thread, 0 where it cannot be seen from here.
    package let thread: Int32

    /// Makes a caller.
    package init(user: UInt32, group: UInt32, thread: Int32) {
        self.user = user
        self.group = group
        self.thread = thread
    }
}

/// Context of a request beside its arguments.
package struct RequestContext: Sendable, Equatable {
    /// Process that made it.
    package let caller: Caller
    /// Thread that handles it.
    package let worker: WorkerNumber

    /// Makes a context.
    package init(caller: Caller, worker: WorkerNumber) {
        self.caller = caller
        self.worker = worker
    }
}

/// Flags of an open.
package struct OpenFlags: Sendable, Equatable {
    /// Anything but reading is wanted.
    package let changesFile: Bool

    /// Makes an flags.
    package init(changesFile: Bool) {
        self.changesFile = changesFile
    }
}

/// Attributes of a file or directory.
package struct FileAttributes: Sendable, Equatable {
    /// The kinds that a mount of ours has.
    package enum Kind: Sendable, Equatable {
        case regular
        case directory
    }

    /// The number.
    package var inode: InodeNumber
    /// The kind.
    package var kind: Kind
    /// The permission bits.
    package var permissions: UInt16
    /// The number of hard links.
    package var linkCount: Int
    /// The size in bytes.
    package var size: Int
    /// The owner's user id.
    package var user: UInt32
    /// The group id.
    package var group: UInt32
    /// Time when the content last changed, in seconds since 1970.
    package var modified: Int64

    /// Makes attributes.
    package init(
        inode: InodeNumber,
        kind: Kind,
        permissions: UInt16,
        linkCount: Int,
        size: Int,
        user: UInt32,
        group: UInt32,
        modified: Int64
    ) {
        self.inode = inode
        self.kind = kind
        self.permissions = permissions
        self.linkCount = linkCount
        self.size = size
        self.user = user
        self.group = group
        self.modified = modified
    }
}
