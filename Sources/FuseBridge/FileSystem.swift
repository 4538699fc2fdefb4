// SPDX-License-Identifier: Apache-2.0

/// A read-only file system, as the workers of a session ask it.
///
/// A method answers through its reply, at once or after `park()`. It must not wait: every other request of the mount may
/// be waiting behind it. An inode number may be one that was given out at any time.
package protocol FileSystem: AnyObject, Sendable {
    /// Finds a name in a directory. The name lives as long as the call.
    func lookup(
        _ name: Span<UInt8>,
        in directory: InodeNumber,
        _ context: RequestContext,
        reply: consuming Reply<Entry>
    )

    /// Answers GETATTR.
    func getattr(_ inode: InodeNumber, reply: consuming Reply<Attributes>)

    /// Opens a file. The thread that asks cannot end before the answer.
    func open(_ inode: InodeNumber, _ flags: OpenFlags, _ context: RequestContext, reply: consuming Reply<Opening>)

    /// Opens a directory.
    func opendir(_ inode: InodeNumber, reply: consuming Reply<DirectoryOpening>)

    /// Answers STATFS.
    func statfs(reply: consuming Reply<Statistics>)

    /// Opens again what a server before this one had opened.
    ///
    /// - Parameters:
    ///   - handle: a number that a file or directory of that server gave.
    ///   - worker: the calling thread.
    /// - Returns: it; nil where it is not what it was, which a reader gets ESTALE for.
    func reopen(_ handle: LastingHandle, worker: WorkerNumber) -> Reopened?
}

/// File or directory that was opened again.
package enum Reopened {
    case file(any OpenFile)
    case directory(any OpenDirectory)
}

/// Number of an open file or directory from which the next server can open it again.
package struct LastingHandle: Sendable, Equatable {
    /// The number; one of its two highest bits is set, as in no address.
    package let value: UInt64

    /// Wraps a number.
    package init(value: UInt64) {
        self.value = value
    }

    /// Detects such a number.
    static func isOne(_ value: UInt64) -> Bool { value >> 62 != 0 }
}

/// A file that was opened; it lives from the answer until the kernel knows no descriptor of it, or the session ends.
package protocol OpenFile: AnyObject, Sendable {
    /// Reads a part. An answer with fewer bytes than asked for is the end of the file.
    func read(_ range: Range<Int>, worker: WorkerNumber, reply: consuming Reply<Bytes>)

    /// Makes a number for it, another one each time; nil where no server comes after this one.
    func makeLastingHandle() -> LastingHandle?
}

/// A directory that was opened.
package protocol OpenDirectory: AnyObject, Sendable {
    /// Adds entries to a page from an offset on, until one does not fit or there are no more.
    func readdir(from offset: DirectoryOffset, into page: consuming DirectoryPage)

    /// Makes a number for it, another one each time; nil where no server comes after this one.
    func makeLastingHandle() -> LastingHandle?
}

extension FileSystem {
    package func reopen(_ handle: LastingHandle, worker: WorkerNumber) -> Reopened? { nil }
}

extension OpenFile {
    package func makeLastingHandle() -> LastingHandle? { nil }
}

extension OpenDirectory {
    package func makeLastingHandle() -> LastingHandle? { nil }
}
