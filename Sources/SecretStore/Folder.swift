// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import Sealing
package import SecureMemory
package import SystemCalls
internal import SystemPackage

/// An open directory.
///
/// Everything in it is reached through its descriptor, so that swapping the path changes nothing.
package final class Folder: Sendable {
    /// The path it was opened by, for messages.
    package let path: String
    package let descriptor: OwnedDescriptor

    private init(path: String, descriptor: consuming OwnedDescriptor) {
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
    /// - Throws: `StoreError`.
    package static func open(_ path: String, followingLink: Bool = false) throws(StoreError) -> Folder? {
        let flags = O_RDONLY | O_DIRECTORY | (followingLink ? 0 : O_NOFOLLOW)
        do throws(Errno) {
            return Folder(path: path, descriptor: try OwnedDescriptor.open(path, flags))
        } catch {
            if error == .noSuchFileOrDirectory { return nil }
            // O_DIRECTORY says "not a directory" of a link too; say which it is.
            let isLink = error == .notDirectory && OwnedDescriptor.isSymbolicLink(path)
            throw PermissionChecker.openFailure(path, isLink ? .tooManySymbolicLinkLevels : error)
        }
    }

    /// The path of a name in the directory, for messages.
    package func path(of name: String) -> String {
        path.hasSuffix("/") ? path + name : "\(path)/\(name)"
    }

    /// Another descriptor of this directory, for an owner of its own.
    package func reopened() throws(StoreError) -> OwnedDescriptor {
        do throws(Errno) { return try descriptor.duplicate() } catch { throw .system("open", path, error) }
    }

    /// Opens a directory in this one.
    ///
    /// - Returns: the directory, or nil if there is none.
    package func folder(_ name: String) throws(StoreError) -> Folder? {
        do throws(Errno) {
            return try existingFolder(name)
        } catch {
            if error == .noSuchFileOrDirectory { return nil }
            throw PermissionChecker.openFailure(path(of: name), error)
        }
    }

    /// Opens a directory in this one that has to be there.
    func existingFolder(_ name: String) throws(Errno) -> Folder {
        Folder(path: path(of: name), descriptor: try descriptor.open(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW))
    }

    /// The text of a symbolic link in this directory; nil for anything else.
    package func link(_ name: String) throws(StoreError) -> String? {
        do throws(Errno) {
            let entry = try descriptor.openEntry(name)
            guard try entry.status().kind == .symbolicLink else { return nil }
            return try entry.linkTarget()
        } catch { throw PermissionChecker.openFailure(path(of: name), error) }
    }

    /// What the entry of a name is, without any effect on it.
    package func kind(of name: String) throws(StoreError) -> FileStatus.Kind {
        do throws(Errno) {
            return try descriptor.openEntry(name).status().kind
        } catch { throw PermissionChecker.openFailure(path(of: name), error) }
    }

    /// Whether group or others can list it, as far as its mode says.
    package func isReadableByOthers() throws(StoreError) -> Bool {
        try PermissionChecker.status(of: descriptor, path).permissions & 0o044 != 0
    }

    /// Whether it is in a work tree of git: a directory at or above it has a `.git`.
    package func isInGitWorkTree() throws(StoreError) -> Bool {
        try StoreError.wrapping("examine", path) { () throws(Errno) in
            var directory = try descriptor.duplicate()
            while true {
                if (try? directory.openEntry(".git")) != nil { return true }
                let parent = try directory.openEntry("..")
                let (here, above) = (try directory.status(), try parent.status())
                if here.inode == above.inode && here.device == above.device { return false }
                directory = parent
            }
        }
    }

    /// Opens a file in this directory for reading.
    ///
    /// - Returns: the file, or nil if there is none.
    /// - Throws: class `permissions` for links, `failed` for the rest.
    package func file(_ name: String) throws(StoreError) -> OwnedDescriptor? {
        do throws(Errno) {
            // Without O_NONBLOCK a FIFO would wait for a writer before anyone can see that it is one.
            return try descriptor.open(name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)
        } catch {
            if error == .noSuchFileOrDirectory { return nil }
            throw PermissionChecker.openFailure(path(of: name), error)
        }
    }

    /// Opens, checks and reads a file.
    ///
    /// - Parameters:
    ///   - name: its name.
    ///   - limit: the largest size in bytes.
    ///   - expectation: what it must be.
    ///   - checker: the judge.
    /// - Returns: its content and status, or nil if there is no such file.
    /// - Throws: `StoreError`.
    package func contents(
        of name: String,
        limit: Int,
        _ expectation: PermissionChecker.Expectation,
        _ checker: PermissionChecker
    ) throws(StoreError) -> FileContents? {
        guard let file = try file(name) else { return nil }
        let status = try checker.check(file, path(of: name), expectation)
        return FileContents(bytes: try Self.read(file, path(of: name), limit: limit), status: status)
    }

    /// Opens, checks and reads a key or password file into secure memory.
    ///
    /// - Returns: its content, or nil if there is no such file.
    package func secret(
        _ name: String,
        limit: Int,
        _ checker: PermissionChecker
    ) throws(StoreError) -> SecureBuffer? {
        guard let file = try file(name) else { return nil }
        _ = try checker.check(file, path(of: name), .privateFile)
        return try Self.readSecret(file, path(of: name), limit: limit)
    }

    /// Reads a secret from a descriptor to its end.
    ///
    /// - Throws: class `authentication` if there is more than the limit: no key or password is that long.
    package static func readSecret(
        _ file: borrowing OwnedDescriptor,
        _ path: String,
        limit: Int
    ) throws(StoreError) -> SecureBuffer {
        let content = try SecureBuffer.collecting(
            limit: limit,
            orThrow: { StoreError.memory($0) },
            { (bytes, start) throws(StoreError) in
                do throws(Errno) {
                    return try file.read(into: &bytes, from: start)
                } catch { throw .system("read", path, error) }
            }
        )
        guard content.count <= limit else {
            throw StoreError(.authentication, "\(path) is too long for a key or password")
        }
        return content
    }

    private static func read(
        _ file: borrowing OwnedDescriptor,
        _ path: String,
        limit: Int
    ) throws(StoreError) -> [UInt8] {
        let size = try PermissionChecker.status(of: file, path).size
        guard size <= limit else {
            throw StoreError(.invalid, "\(path) is larger than \(limit >> 20) MiB")
        }
        // One byte more than the size shows a file that grows.
        var bytes = [UInt8](repeating: 0, count: size + 1)
        var filled = 0
        while filled < bytes.count {
            var span = bytes.mutableSpan
            do throws(Errno) {
                let count = try file.read(into: &span, from: filled)
                if count == 0 { break }
                filled += count
            } catch { throw .system("read", path, error) }
        }
        guard filled <= size else { throw StoreError(.failed, "\(path) changes while it is read") }
        bytes.removeLast(bytes.count - filled)
        return bytes
    }
}

/// The content of a file that was checked on the descriptor it was read from.
package struct FileContents: Sendable {
    package let bytes: [UInt8]
    package let status: FileStatus
}
