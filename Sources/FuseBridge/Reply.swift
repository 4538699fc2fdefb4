// SPDX-License-Identifier: Apache-2.0

internal import CFuse3
internal import Glibc
package import SecureMemory
package import SystemPackage

/// The answer that a request waits for, given exactly once.
///
/// Every method that answers consumes the value; one that ends without an answer answers EIO. `Answer` says what can be
/// answered beside an error.
@safe
package struct Reply<Answer>: ~Copyable, @unchecked Sendable {
    // SAFETY: uniquely owned (noncopyable), and libfuse allows an answer from any thread; the connection that the
    // request belongs to is retained until it is answered. libfuse copies or sends what it is given before it returns.

    private let request: OpaquePointer
    private let connection: Unmanaged<Connection>

    init(_ request: OpaquePointer, on connection: Connection) {
        unsafe self.request = unsafe request
        unsafe self.connection = Unmanaged.passRetained(connection)
    }

    deinit {
        unsafe connection.takeUnretainedValue().abandon(request)
        unsafe connection.release()
    }

    /// Answers with an error; wraps `fuse_reply_err`.
    package consuming func fail(_ error: Errno) {
        end(unsafe fuse_reply_err(request, error.rawValue))
    }

    /// Sets the reply aside, so that the worker can go on, until somebody takes it up again.
    ///
    /// Meanwhile an interrupted reader gets EINTR at once.
    package consuming func park() -> ParkedReply<Answer> {
        let parked = unsafe ParkedReply<Answer>(request, on: connection.takeUnretainedValue())
        unsafe connection.release()
        discard self
        return parked
    }

    private consuming func end(_ result: Int32) {
        unsafe connection.takeUnretainedValue().note(result)
        unsafe connection.release()
        discard self
    }
}

/// Seconds for which the kernel may keep names and attributes: it is told of every change.
private let cacheTimeout: Double = 3600

/// An answer to a lookup.
package enum Entry {}

extension Reply where Answer == Entry {
    /// Names the file; wraps `fuse_reply_entry`.
    ///
    /// - Parameters:
    ///   - attributes: the file.
    ///   - isCached: false where the kernel has to ask again for each caller, since it shares what it caches.
    package consuming func entry(_ attributes: FileAttributes, isCached: Bool = true) {
        var entry = attributes.entry
        if !isCached { (entry.entry_timeout, entry.attr_timeout) = (0, 0) }
        end(unsafe fuse_reply_entry(request, &entry))
    }
}

/// An answer with attributes.
package enum Attributes {}

extension Reply where Answer == Attributes {
    /// Answers with attributes; wraps `fuse_reply_attr`.
    package consuming func attributes(_ attributes: FileAttributes) {
        var status = attributes.status
        end(unsafe fuse_reply_attr(request, &status, cacheTimeout))
    }
}

/// An answer to an open.
package enum Opening {}

extension Reply where Answer == Opening {
    /// Hands out an open file whose reads all come here and whose close asks nothing; wraps `fuse_reply_open`.
    package consuming func opened(_ file: any OpenFile) {
        let connection = unsafe connection.takeUnretainedValue()
        var info = fuse_file_info()
        info.fh = connection.handles.insert(.file(file)) { file.makeLastingHandle() }
        // The page cache would outlive the server.
        info.direct_io = 1
        info.noflush = 1
        let result = unsafe fuse_reply_open(request, &info)
        // Nobody will release what the kernel did not take.
        if result != 0 { connection.handles.remove(info.fh) }
        end(result)
    }
}

/// An answer to an open of a directory.
package enum DirectoryOpening {}

extension Reply where Answer == DirectoryOpening {
    /// Hands out an open directory; wraps `fuse_reply_open`.
    package consuming func opened(_ directory: any OpenDirectory) {
        let connection = unsafe connection.takeUnretainedValue()
        var info = fuse_file_info()
        info.fh = connection.handles.insert(.directory(directory)) { directory.makeLastingHandle() }
        let result = unsafe fuse_reply_open(request, &info)
        if result != 0 { connection.handles.remove(info.fh) }
        end(result)
    }
}

/// An answer to a read.
package enum Bytes {}

extension Reply where Answer == Bytes {
    /// Answers with the bytes of a buffer; wraps `fuse_reply_buf`.
    ///
    /// The buffer must not be secret memory: the kernel refuses it.
    package consuming func bytes(of buffer: borrowing SecureBuffer) {
        let request = unsafe request
        let result = buffer.withBytes { bytes in
            unsafe bytes.withUnsafeBytes { bytes in
                unsafe fuse_reply_buf(request, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count)
            }
        }
        end(result)
    }

    /// Answers that the file ends before the range.
    package consuming func endOfFile() {
        end(unsafe fuse_reply_buf(request, nil, 0))
    }
}

/// An answer with the entries of a directory.
package enum Listing {}

extension Reply where Answer == Listing {
    fileprivate consuming func entries(_ bytes: borrowing [CChar], count: Int) {
        end(unsafe fuse_reply_buf(request, bytes, count))
    }

    /// Writes an entry behind those before it.
    ///
    /// - Returns: the number of bytes that the entry takes; it was written if they fit.
    fileprivate borrowing func add(
        _ name: String,
        _ attributes: FileAttributes,
        next: DirectoryOffset,
        withAttributes: Bool,
        to bytes: inout [CChar],
        at start: Int
    ) -> Int {
        let request = unsafe request
        return unsafe bytes.withUnsafeMutableBufferPointer { buffer in
            let place = unsafe buffer.baseAddress?.advanced(by: start)
            let room = buffer.count - start
            guard withAttributes else {
                var status = attributes.status
                return unsafe fuse_add_direntry(request, place, room, name, &status, off_t(next.value))
            }
            var entry = attributes.entry
            // The kernel counts a reference for every entry but these two.
            if name == "." || name == ".." { entry.ino = 0 }
            return unsafe fuse_add_direntry_plus(request, place, room, name, &entry, off_t(next.value))
        }
    }
}

/// A part of the listing of a directory, as large as the reader asked for.
package struct DirectoryPage: ~Copyable {
    private let reply: Reply<Listing>
    private let withAttributes: Bool
    private var bytes: [CChar]
    private var count = 0

    init(_ reply: consuming Reply<Listing>, byteCount: Int, withAttributes: Bool) {
        self.reply = reply
        self.withAttributes = withAttributes
        bytes = [CChar](repeating: 0, count: byteCount)
    }

    /// Adds an entry; wraps `fuse_add_direntry` and `fuse_add_direntry_plus`.
    ///
    /// - Parameters:
    ///   - name: its name.
    ///   - attributes: what it is.
    ///   - next: where the listing goes on behind it.
    /// - Returns: false where it does not fit, and nothing was added.
    package mutating func add(_ name: String, _ attributes: FileAttributes, next: DirectoryOffset) -> Bool {
        let size = reply.add(
            name,
            attributes,
            next: next,
            withAttributes: withAttributes,
            to: &bytes,
            at: count
        )
        guard size <= bytes.count - count else { return false }
        count += size
        return true
    }

    /// Answers with what was added; nothing is the end of the directory.
    package consuming func send() {
        reply.entries(bytes, count: count)
    }

    /// Answers with an error.
    package consuming func fail(_ error: Errno) {
        reply.fail(error)
    }
}

/// An answer with the statistics of the mount.
package enum Statistics {}

extension Reply where Answer == Statistics {
    /// Answers with statistics, all zero but the longest name, as procfs does; wraps `fuse_reply_statfs`.
    ///
    /// A file system without a free block is a full one to what watches disks; one without blocks is none to watch, and
    /// df(1) leaves it out.
    package consuming func statistics(maximumNameByteCount: Int) {
        var status = statvfs()
        status.f_bsize = 4096
        status.f_frsize = 4096
        status.f_namemax = UInt(maximumNameByteCount)
        end(unsafe fuse_reply_statfs(request, &status))
    }
}

extension FileAttributes {
    fileprivate var status: stat {
        var status = stat()
        status.st_ino = ino_t(inode.value)
        status.st_mode = mode_t(permissions) | (kind == .directory ? S_IFDIR : S_IFREG)
        status.st_nlink = nlink_t(linkCount)
        status.st_size = off_t(size)
        status.st_blocks = blkcnt_t((size + 511) / 512)
        status.st_blksize = 4096
        status.st_uid = user
        status.st_gid = group
        status.st_mtim.tv_sec = time_t(modified)
        status.st_ctim = status.st_mtim
        status.st_atim = status.st_mtim
        return status
    }

    fileprivate var entry: fuse_entry_param {
        var entry = fuse_entry_param()
        entry.ino = inode.value
        entry.attr = status
        entry.attr_timeout = cacheTimeout
        entry.entry_timeout = cacheTimeout
        return entry
    }
}
