// SPDX-License-Identifier: Apache-2.0

internal import SystemCalls
internal import SystemPackage

/// Finds a file one component at a time, so that the kernel never follows a symbolic link on its own.
///
/// Directories are held open on the way: what is renamed meanwhile cannot move the walk elsewhere. `..` goes back along
/// the directories that were walked through. Links on the way to the expected directory are followed where root or the
/// effective user made them (`/var/run` is one); inside it the policy decides.
struct PathWalk {
    /// An open directory and who it is.
    final class Directory: Sendable {
        let descriptor: OwnedDescriptor
        let device: UInt64
        let inode: UInt64

        init(_ descriptor: consuming OwnedDescriptor) throws(Errno) {
            let status = try descriptor.status()
            device = status.device
            inode = status.inode
            self.descriptor = descriptor
        }

        func isSame(as other: Directory) -> Bool {
            device == other.device && inode == other.inode
        }
    }

    /// Place where the walk ended: a name in a directory.
    struct Place {
        let directory: Directory
        let name: String
        let stamp: FileStamp
    }

    /// As many links as the kernel follows in one path (MAXSYMLINKS).
    private static let maximumLinkCount = 40

    private let path: String
    private let links: FilePolicy.SymbolicLinks
    private var stack: [Directory] = []
    private var pending: [Substring] = []
    private var expected: Directory?
    private var linkCount = 0

    private init(path: String, links: FilePolicy.SymbolicLinks) {
        self.path = path
        self.links = links
    }

    /// Finds a regular file.
    ///
    /// - Parameters:
    ///   - path: absolute, or relative to `directory`, or without one to the working directory.
    ///   - directory: where the file must lie; without one, the directory part of `path`.
    ///   - links: which symbolic links are followed inside that directory.
    /// - Returns: where the file is.
    /// - Throws: `fileNotFound`, `pathNotAllowed`, `inputOutput`.
    static func find(
        _ path: String,
        within directory: String?,
        links: FilePolicy.SymbolicLinks
    ) throws(CredentialsError) -> Place {
        // A path with a NUL would be cut there by the kernel.
        guard !path.isEmpty, !path.utf8.contains(0), directory?.utf8.contains(0) != true else {
            throw CredentialsError(.pathNotAllowed, path: path, reason: "empty or with a NUL byte")
        }
        guard path.utf8.last != UInt8(ascii: "/") else {
            throw CredentialsError(.pathNotAllowed, path: path, reason: "not a regular file")
        }
        var walk = PathWalk(path: path, links: links)
        var rest = Substring(path)
        if let directory {
            try walk.enter(directory.isEmpty ? "." : Substring(directory))
            walk.expected = walk.stack.last
            if path.utf8.first == UInt8(ascii: "/") { walk.stack = [] }
        } else if let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) {
            try walk.enter(path[...slash])
            walk.expected = walk.stack.last
            rest = path[path.utf8.index(after: slash)...]
        } else {
            try walk.enter(".")
            walk.expected = walk.stack.last
        }
        guard let place = try walk.follow(rest) else {
            throw walk.failure(.pathNotAllowed, "not a regular file")
        }
        guard walk.isInside else { throw walk.failure(.pathNotAllowed, "outside its directory") }
        return place
    }

    private func failure(_ code: CredentialsError.Code, _ reason: String) -> CredentialsError {
        CredentialsError(code, path: path, reason: reason)
    }

    private func system<R: ~Copyable>(_ body: () throws(Errno) -> R) throws(CredentialsError) -> R {
        do throws(Errno) {
            return try body()
        } catch {
            let code = error == .noSuchFileOrDirectory ? CredentialsError.Code.fileNotFound : .inputOutput
            throw CredentialsError(code, path: path, errno: error)
        }
    }

    private func opened(_ entry: consuming OwnedDescriptor) throws(CredentialsError) -> Directory {
        do throws(Errno) {
            return try Directory(entry)
        } catch {
            throw CredentialsError(.inputOutput, path: path, errno: error)
        }
    }

    private var isInside: Bool {
        guard let expected else { return false }
        return stack.contains { $0.isSame(as: expected) }
    }

    /// Walks into a directory, which becomes the top of the stack.
    private mutating func enter(_ directory: Substring) throws(CredentialsError) {
        // With "." behind it, a path that ends at a file is an error.
        guard try follow(directory + "/.") == nil else { throw failure(.pathNotAllowed, "not a directory") }
    }

    /// Walks on along a path.
    ///
    /// - Returns: where it ended, or nil where that is the directory on top of the stack.
    private mutating func follow(_ path: Substring) throws(CredentialsError) -> Place? {
        try start(path)
        while let component = pending.popLast() {
            switch component {
            case "", ".": continue
            case "..": try leave()
            default: if let place = try step(String(component)) { return place }
            }
        }
        return nil
    }

    private mutating func start(_ path: Substring) throws(CredentialsError) {
        let isAbsolute = path.utf8.first == UInt8(ascii: "/")
        if isAbsolute || stack.isEmpty {
            stack = [
                try system { () throws(Errno) in try Directory(.openPath(directory: isAbsolute ? "/" : ".")) }
            ]
        }
        // By bytes: as a character, a slash with a combining mark behind it is not a slash; to the kernel it is.
        pending += path.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
            .reversed().map { Substring($0) }
    }

    private mutating func leave() throws(CredentialsError) {
        guard let last = stack.popLast() else { return }
        if stack.isEmpty {
            // Above the directory where a relative walk began; `/..` is `/`.
            stack = [try system { () throws(Errno) in try Directory(last.descriptor.openEntry("..")) }]
        }
    }

    /// Takes one component.
    private mutating func step(_ name: String) throws(CredentialsError) -> Place? {
        guard let top = stack.last else { throw failure(.pathNotAllowed, "no directory to start from") }
        let entry = try system { () throws(Errno) in try top.descriptor.openEntry(name) }
        let status = try system { () throws(Errno) in try entry.status() }
        switch status.kind {
        case .directory:
            stack.append(try opened(entry))
            return nil
        case .symbolicLink:
            guard let target = try system({ () throws(Errno) in try entry.linkTarget() }) else {
                throw failure(.pathNotAllowed, "a symbolic link with a name that is not UTF-8")
            }
            try checkLink(name, to: target, owner: status.owner, in: top)
            try start(Substring(target))
            return nil
        default:
            guard pending.isEmpty else { throw failure(.pathNotAllowed, "not a directory") }
            guard status.kind == .regular else { throw failure(.pathNotAllowed, "not a regular file") }
            return Place(directory: top, name: name, stamp: try system { () throws(Errno) in try entry.stamp() })
        }
    }

    private mutating func checkLink(
        _ name: String,
        to target: String,
        owner: UInt32,
        in directory: Directory
    ) throws(CredentialsError) {
        linkCount += 1
        guard linkCount <= Self.maximumLinkCount else { throw failure(.pathNotAllowed, "too many symbolic links") }
        guard owner == 0 || owner == ProcessAttributes.effectiveUser else {
            throw failure(.pathNotAllowed, "a symbolic link of another user")
        }
        guard let expected, isInside else { return }
        guard links == .kubernetes, directory.isSame(as: expected), Self.isKubernetesLink(name, to: target) else {
            throw failure(.pathNotAllowed, "a symbolic link")
        }
    }

    private static func isKubernetesLink(_ name: String, to target: String) -> Bool {
        guard name == "..data" else { return target == "..data/\(name)" }
        return target.hasPrefix("..") && target.utf8.count > 2 && !target.utf8.contains(UInt8(ascii: "/"))
            && target != "..data"
    }
}
