// SPDX-License-Identifier: Apache-2.0

internal import Glibc
package import SystemCalls
internal import SystemPackage

/// Open directory.
///
/// Everything in it is reached through its descriptor, so that swapping the path changes nothing. It throws the errors of
/// the module that uses it.
package final class Directory<Failure: FileFailure>: Sendable {
    /// The path it was opened by, for messages.
    package let path: String
    /// Its descriptor, which lives as long as the directory.
    package let descriptor: OwnedDescriptor

    /// Takes over a descriptor.
    package init(path: String, descriptor: consuming OwnedDescriptor) {
        self.path = path
        self.descriptor = descriptor
    }

    /// Opens a directory that is not a symbolic link.
    ///
    /// - Parameters:
    ///   - path: its path.
    ///   - followingLink: whether the last part of the path may be a link: only for a directory that holds nothing
    ///     secret.
    /// - Returns: the directory, or nil if there is none.
    /// - Throws: class `insecure` for a link and for what is no directory.
    package static func open(_ path: String, followingLink: Bool = false) throws(Failure) -> Directory? {
        let flags = O_RDONLY | O_DIRECTORY | (followingLink ? 0 : O_NOFOLLOW)
        return try Failure.openingIfPresent(path) { () throws(Errno) in
            do throws(Errno) { return Directory(path: path, descriptor: try OwnedDescriptor.open(path, flags)) } catch {
                // O_DIRECTORY says "not a directory" of a link too; say which it is.
                let isLink = error == .notDirectory && OwnedDescriptor.isSymbolicLink(path)
                throw isLink ? .tooManySymbolicLinkLevels : error
            }
        }
    }

    /// Opens a directory, making it and those above it, 0700, where they are missing.
    package static func make(_ path: String) throws(Failure) -> Directory {
        if let directory = try open(path) { return directory }
        let (above, name) = PathParts.split(path.hasSuffix("/") ? String(path.dropLast()) : path)
        // A link above the directory itself is the user's own arrangement of their home.
        if let parent = try open(above, followingLink: true) { return try parent.makeFolder(name) }
        return try make(above).makeFolder(name)
    }

    /// The path of a name in the directory, for messages.
    package func path(of name: String) -> String {
        path.hasSuffix("/") ? path + name : "\(path)/\(name)"
    }

    /// Duplicates the descriptor, for an owner of its own.
    package func reopened() throws(Failure) -> OwnedDescriptor {
        try Failure.wrapping("open", path) { () throws(Errno) in try descriptor.duplicate() }
    }

    /// Opens a directory in this one.
    ///
    /// - Returns: the directory, or nil if there is none.
    package func folder(_ name: String) throws(Failure) -> Directory? {
        try Failure.openingIfPresent(path(of: name)) { () throws(Errno) in try existingFolder(name) }
    }

    /// Makes a directory in this one unless it is there, with exactly these permission bits whatever the umask.
    package func makeFolder(_ name: String, mode: UInt16 = 0o700) throws(Failure) -> Directory {
        try Failure.wrapping("create", path(of: name)) { () throws(Errno) in
            do throws(Errno) { try descriptor.makeDirectory(name, mode: mode) } catch {
                guard error == .fileExists else { throw error }
            }
        }
        return try Failure.opening(path(of: name)) { () throws(Errno) in try existingFolder(name) }
    }

    private func existingFolder(_ name: String) throws(Errno) -> Directory {
        Directory(path: path(of: name), descriptor: try descriptor.open(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW))
    }

    /// Reads a symbolic link in this directory; nil for anything else.
    package func link(_ name: String) throws(Failure) -> String? {
        try Failure.opening(path(of: name)) { () throws(Errno) in
            let entry = try descriptor.openEntry(name)
            guard try entry.status().kind == .symbolicLink else { return nil }
            return try entry.linkTarget()
        }
    }

    /// The kind of the entry of a name, which is not opened for it.
    package func kind(of name: String) throws(Failure) -> FileStatus.Kind {
        try Failure.opening(path(of: name)) { () throws(Errno) in try descriptor.openEntry(name).status().kind }
    }

    package func status() throws(Failure) -> FileStatus {
        try Failure.wrapping("examine", path) { () throws(Errno) in try descriptor.status() }
    }

    /// Checks the directory itself.
    ///
    /// - Returns: its status.
    @discardableResult
    package func check(
        _ requirement: FileRequirement,
        _ checker: PermissionChecker
    ) throws(Failure) -> FileStatus {
        try Self.check(descriptor, path, requirement, checker)
    }

    /// Checks a file without opening it for reading.
    ///
    /// - Returns: its status, or nil if there is none.
    @discardableResult
    package func check(
        _ name: String,
        _ requirement: FileRequirement,
        _ checker: PermissionChecker
    ) throws(Failure) -> FileStatus? {
        let found = try Failure.openingIfPresent(path(of: name)) { () throws(Errno) in try descriptor.openEntry(name) }
        guard let entry = found else { return nil }
        return try Self.check(entry, path(of: name), requirement, checker)
    }

    /// Checks an open file.
    ///
    /// - Returns: its status.
    @discardableResult
    package static func check(
        _ file: borrowing OwnedDescriptor,
        _ path: String,
        _ requirement: FileRequirement,
        _ checker: PermissionChecker
    ) throws(Failure) -> FileStatus {
        do throws(FileError) { return try checker.check(file, path, requirement) } catch { throw Failure(error) }
    }

    /// Mode that lets group or others list it.
    package func isReadableByOthers() throws(Failure) -> Bool { try status().permissions & 0o044 != 0 }

    /// Right to make names in it.
    package var isWritable: Bool { descriptor.isWritableDirectory }

    package func names() throws(Failure) -> [String] {
        try Failure.wrapping("list", path) { () throws(Errno) in try descriptor.entryNames() }
    }
}

/// The two parts of a path.
package enum PathParts {
    package static func split(_ path: String) -> (directory: String, name: String) {
        guard let slash = path.lastIndex(of: "/") else { return (".", path) }
        let directory = slash == path.startIndex ? "/" : String(path[..<slash])
        return (directory, String(path[path.index(after: slash)...]))
    }
}
