// SPDX-License-Identifier: Apache-2.0

internal import SystemCalls
internal import SystemPackage

/// Keys, passwords and identities as Kubernetes, docker, podman and systemd deliver them: in memory, perhaps readable by
/// others, perhaps behind symbolic links.
extension Directory {
    /// As many links as the kernel follows in one path (MAXSYMLINKS).
    private static var maximumLinkCount: Int { 40 }

    /// A name behind the links that lead to it.
    package struct Place {
        /// The directories on the way: this one first, that which it is in last.
        let directories: [Directory]
        /// The directory that it is in: this one or one below.
        package var directory: Directory { directories[directories.count - 1] }
        /// Its name there.
        package let name: String
        /// The number of symbolic links on the way.
        package let linkCount: Int
    }

    /// Opens a key, password or identity file that a flag or variable names.
    ///
    /// On tmpfs or ramfs it is taken as it was delivered: readable by others, and behind links that stay in this
    /// directory. Anywhere else it must be private and no link.
    ///
    /// - Returns: the file, or nil if there is none.
    package func keyFile(_ name: String, _ checker: PermissionChecker) throws(Failure) -> File<Failure>? {
        var attempts = 4
        while true {
            guard let place = try place(of: name) else { return nil }
            if let file = try place.directory.file(place.name) { return try judge(file, name, place, checker) }
            attempts -= 1
            // A generation that is swapped out is gone for a moment.
            guard place.linkCount > 0, attempts > 0 else { return nil }
        }
    }

    private func judge(
        _ file: consuming OwnedDescriptor,
        _ name: String,
        _ place: Place,
        _ checker: PermissionChecker
    ) throws(Failure) -> File<Failure> {
        let path = path(of: name)
        guard file.isInMemory else {
            guard place.linkCount == 0 else { throw Failure(.open(path, .tooManySymbolicLinkLevels)) }
            let status = try Self.check(file, path, .privateFile, checker)
            return File(file, path: path, status: status)
        }
        let status = try Self.check(file, path, .deliveredFile, checker)
        for directory in place.directories {
            _ = try Self.check(directory.descriptor, directory.path, .deliveryDirectory, checker)
        }
        if place.linkCount > 0 || status.permissions & 0o077 != 0 {
            let mode = status.permissions.octal
            checker.note("\(path) is in memory and taken as it was delivered: owner \(status.owner), mode \(mode)")
        }
        return File(file, path: path, status: status)
    }

    /// Follows the links of a name as far as they stay in this directory and on its file system.
    ///
    /// - Returns: the place, or nil if there is nothing.
    /// - Throws: class `insecure` for a link that leads elsewhere or that another user made.
    package func place(of name: String) throws(Failure) -> Place? {
        let path = path(of: name)
        let leaving = Failure(
            FileError(.insecure, "\(path) is a symbolic link that leaves its directory", hint: "name the file itself")
        )
        let device = try status().device
        var below: [Directory] = []
        var pending = [name]
        var linkCount = 0
        while let component = pending.popLast() {
            if component.isEmpty || component == "." { continue }
            if component == ".." {
                guard below.popLast() != nil else { throw leaving }
                continue
            }
            let here = below.last ?? self
            let found = try Failure.openingIfPresent(path) { () throws(Errno) in
                try here.descriptor.openEntry(component)
            }
            guard let entry = found else { return nil }
            let status = try Failure.wrapping("examine", path) { () throws(Errno) in try entry.status() }
            if status.kind == .symbolicLink {
                linkCount += 1
                let target = try Failure.wrapping("examine", path) { () throws(Errno) in try entry.linkTarget() }
                guard let target, !target.hasPrefix("/"), linkCount <= Self.maximumLinkCount,
                    status.owner == 0 || status.owner == ProcessAttributes.effectiveUser
                else { throw leaving }
                pending += target.split(separator: "/", omittingEmptySubsequences: false).reversed().map { String($0) }
            } else if pending.isEmpty {
                return Place(directories: [self] + below, name: component, linkCount: linkCount)
            } else {
                guard let next = try here.folder(component) else { return nil }
                guard try next.status().device == device else { throw leaving }
                below.append(next)
            }
        }
        throw Failure(.open(path, .noSuchAddressOrDevice))
    }
}
