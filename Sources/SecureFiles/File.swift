// SPDX-License-Identifier: Apache-2.0

package import SecureMemory
package import SystemCalls
internal import SystemPackage

/// Open file that was checked; it throws the errors of the module that uses it.
package final class File<Failure: FileFailure>: Sendable {
    /// The path it was opened by, for messages.
    package let path: String
    /// The status when it was opened.
    package let status: FileStatus
    /// Its descriptor, which lives as long as the file.
    package let descriptor: OwnedDescriptor

    /// The name by which it was opened.
    package var name: String { PathParts.split(path).name }
    /// The size in bytes when it was opened.
    package var size: Int { status.size }

    /// Takes over a descriptor.
    init(_ descriptor: consuming OwnedDescriptor, path: String, status: FileStatus) {
        self.descriptor = descriptor
        self.path = path
        self.status = status
    }

    /// Reads the status again.
    package func presentStatus() throws(Failure) -> FileStatus {
        try calling("examine") { () throws(Errno) in try descriptor.status() }
    }

    /// Reads a part, or as much of it as there is.
    package func read(from offset: Int, count: Int) throws(Failure) -> [UInt8] {
        try calling("read") { () throws(Errno) in
            try descriptor.seek(to: offset)
            return try descriptor.readFully(upTo: count)
        }
    }

    /// Reads all of it.
    ///
    /// - Parameter limit: the largest size in bytes.
    /// - Returns: its bytes.
    /// - Throws: class `tooLarge`, or `system` for a file that grows meanwhile.
    package func contents(limit: Int) throws(Failure) -> [UInt8] {
        guard status.size <= limit else {
            let size = limit >> 20 > 0 ? "\(limit >> 20) MiB" : "\(limit >> 10) KiB"
            throw Failure(FileError(.tooLarge, "\(path) is larger than \(size)"))
        }
        // One byte more than the size shows a file that grows.
        let bytes = try calling("read") { () throws(Errno) in try descriptor.readFully(upTo: status.size + 1) }
        guard bytes.count <= status.size else {
            throw Failure(FileError(.system(.resourceTemporarilyUnavailable), "\(path) changes while it is read"))
        }
        return bytes
    }

    /// Reads all of it into secure memory.
    ///
    /// - Parameter limit: the largest size in bytes.
    /// - Returns: its bytes.
    /// - Throws: class `tooLong`, `memory` or `system`.
    package func secret(limit: Int) throws(Failure) -> SecureBuffer {
        try calling("read") { () throws(Errno) in try descriptor.seek(to: 0) }
        return try Directory<Failure>.readSecret(descriptor, path, limit: limit)
    }

    /// Writes over the beginning.
    package func overwrite(_ bytes: Span<UInt8>) throws(Failure) {
        do throws(Errno) {
            try descriptor.seek(to: 0)
            try descriptor.writeAll(bytes)
        } catch { throw Failure(.system("write", path, error)) }
    }

    /// Writes behind the end, all or nothing.
    package func append(_ bytes: [UInt8], at size: Int) throws(Failure) {
        do throws(Errno) { try descriptor.writeAll(bytes.span) } catch {
            try? descriptor.truncate(to: size)
            throw Failure(.system("write", path, error))
        }
    }

    /// Writes over everything from an offset on, and cuts what stays of it; after a failure nothing is behind the offset.
    package func replaceEnd(from offset: Int, with bytes: [UInt8]) throws(Failure) {
        do throws(Errno) {
            try descriptor.seek(to: offset)
            try descriptor.writeAll(bytes.span)
            try descriptor.truncate(to: offset + bytes.count)
        } catch {
            try? descriptor.truncate(to: offset)
            throw Failure(.system("write", path, error))
        }
    }

    /// Synchronizes its bytes with the disk; wraps fdatasync(2).
    package func synchronizeData() throws(Failure) {
        try calling("synchronize") { () throws(Errno) in try descriptor.synchronizeData() }
    }

    package func setPermissions(_ mode: UInt16) throws(Failure) {
        try calling("change the mode of") { () throws(Errno) in try descriptor.setPermissions(mode) }
    }

    /// Takes its lock by polling flock(2) for a bounded time.
    ///
    /// - Returns: whether the lock is held; it ends with the file.
    package func lock(withinMilliseconds milliseconds: Int) throws(Failure) -> Bool {
        try calling("lock") { () throws(Errno) in try descriptor.lock(withinMilliseconds: milliseconds) }
    }

    private func calling<R: ~Copyable>(_ action: String, _ body: () throws(Errno) -> R) throws(Failure) -> R {
        try Failure.wrapping(action, path, body)
    }
}
