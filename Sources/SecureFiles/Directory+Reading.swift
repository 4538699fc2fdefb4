// SPDX-License-Identifier: Apache-2.0

internal import Glibc
package import SecureMemory
package import SystemCalls
internal import SystemPackage

/// The content of a file that was checked on the descriptor it was read from.
package struct FileContents: Sendable {
    package let bytes: [UInt8]
    package let status: FileStatus
}

extension Directory {
    /// Opens a file in this directory for reading.
    ///
    /// - Returns: the file, or nil if there is none.
    /// - Throws: class `insecure` for links, `system` for the rest.
    package func file(_ name: String) throws(Failure) -> OwnedDescriptor? {
        // Without O_NONBLOCK a FIFO would wait for a writer before anyone can see that it is one.
        try Failure.openingIfPresent(path(of: name)) { () throws(Errno) in try descriptor.openFile(name) }
    }

    /// Opens a file that is there for reading and writing.
    package func writableFile(_ name: String) throws(Failure) -> OwnedDescriptor {
        try Failure.opening(path(of: name)) { () throws(Errno) in
            try descriptor.open(name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)
        }
    }

    /// Opens and checks a file.
    ///
    /// - Parameters:
    ///   - name: its name.
    ///   - requirement: what it must be.
    ///   - checker: the judge.
    ///   - flags: flags of open(2); a file that is made is 0600.
    /// - Returns: the file, or nil if there is none.
    /// - Throws: class `insecure`, `denied` or `system`.
    package func file(
        _ name: String,
        _ requirement: FileRequirement,
        _ checker: PermissionChecker,
        flags: Int32 = O_RDONLY
    ) throws(Failure) -> File<Failure>? {
        let opened = try Failure.openingIfPresent(path(of: name)) { () throws(Errno) in
            try descriptor.open(name, flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, mode: 0o600)
        }
        guard let file = opened else { return nil }
        let status = try Self.check(file, path(of: name), requirement, checker)
        return File(file, path: path(of: name), status: status)
    }

    /// Opens, checks and reads a file.
    ///
    /// - Parameters:
    ///   - name: its name.
    ///   - limit: the largest size in bytes.
    ///   - requirement: what it must be.
    ///   - checker: the judge.
    /// - Returns: its content and status, or nil if there is no such file.
    /// - Throws: class `insecure`, `denied`, `tooLarge` or `system`.
    package func contents(
        of name: String,
        limit: Int,
        _ requirement: FileRequirement,
        _ checker: PermissionChecker
    ) throws(Failure) -> FileContents? {
        guard let file = try file(name, requirement, checker) else { return nil }
        return FileContents(bytes: try file.contents(limit: limit), status: file.status)
    }

    /// Opens, checks and reads a key or password file into secure memory.
    ///
    /// - Returns: its content, or nil if there is no such file.
    package func secret(
        _ name: String,
        limit: Int,
        _ checker: PermissionChecker
    ) throws(Failure) -> SecureBuffer? {
        try file(name, .privateFile, checker)?.secret(limit: limit)
    }

    /// Reads a secret from a descriptor to its end.
    ///
    /// - Throws: class `tooLong` if there is more than the limit: no key or password is that long.
    package static func readSecret(
        _ file: borrowing OwnedDescriptor,
        _ path: String,
        limit: Int
    ) throws(Failure) -> SecureBuffer {
        let content = try SecureBuffer.collecting(
            limit: limit,
            orThrow: { Failure(FileError(.memory($0), "no locked memory for \(path)")) },
            { (bytes, start) throws(Failure) in
                do throws(Errno) { return try file.read(into: &bytes, from: start) } catch {
                    throw Failure(.system("read", path, error))
                }
            }
        )
        guard content.count <= limit else {
            throw Failure(FileError(.tooLong, "\(path) is too long for a key or password"))
        }
        return content
    }
}
