// SPDX-License-Identifier: Apache-2.0

internal import Glibc
package import SecretStore
internal import SecureFiles
package import SystemCalls
internal import SystemPackage

/// A file with plaintext that is to be gone afterwards.
///
/// Held open, so that what is overwritten is what was read.
package final class PlaintextFile {
    /// Its path, for messages.
    package let path: String
    /// Open for reading and writing.
    package let descriptor: OwnedDescriptor
    private let folder: StoreDirectory
    private let name: String
    private let stamp: FileStamp

    /// Opens a file.
    ///
    /// - Throws: class `permissions` for anything but a regular file.
    package init(_ path: String) throws(StoreError) {
        let parts = Store.split(path)
        guard let folder = try StoreDirectory.open(parts.directory, followingLink: true) else {
            throw .system("open", path, .noSuchFileOrDirectory)
        }
        let descriptor = try Self.open(parts.name, in: folder)
        stamp = try Self.stamp(of: descriptor, path)
        self.path = path
        self.folder = folder
        self.descriptor = descriptor
        name = parts.name
    }

    /// Opens the manifest of a store in the directory that the store holds, and checks what was opened.
    ///
    /// - Throws: class `permissions`, or `failed` if there is none.
    package init(manifestOf store: Store) throws(StoreError) {
        let place = try store.manifestPlace()
        let descriptor = try Self.open(place.name, in: place.folder)
        try StoreDirectory.check(descriptor, store.manifestPath, store.manifestExpectation, store.checker)
        stamp = try Self.stamp(of: descriptor, store.manifestPath)
        path = store.manifestPath
        folder = place.folder
        self.descriptor = descriptor
        name = place.name
    }

    private static func open(_ name: String, in folder: StoreDirectory) throws(StoreError) -> OwnedDescriptor {
        let descriptor = try folder.writableFile(name)
        let path = folder.path(of: name)
        let status = try StoreError.wrapping("examine", path) { () throws(Errno) in try descriptor.status() }
        guard status.kind == .regular else { throw StoreError(.permissions, "\(path) is not a regular file") }
        return descriptor
    }

    private static func stamp(of file: borrowing OwnedDescriptor, _ path: String) throws(StoreError) -> FileStamp {
        try StoreError.wrapping("examine", path) { () throws(Errno) in try file.stamp() }
    }

    /// Checks that the name stands for this file and nobody wrote to it since it was opened: what they wrote would be
    /// overwritten without having been sealed.
    package func requireUnchanged() throws(StoreError) {
        guard try isCurrent(), try Self.stamp(of: descriptor, path) == stamp else {
            throw StoreError(
                .failed,
                "\(path) was changed meanwhile and is left alone",
                hint: "run it again, so that what it says now is sealed"
            )
        }
    }

    /// Detects a mode with which others than its owner could read it.
    package func isReadableByOthers() throws(StoreError) -> Bool {
        try StoreError.wrapping("examine", path) { () throws(Errno) in
            try descriptor.status().permissions & 0o044 != 0
        }
    }

    /// Overwrites what was read, whatever name it has by now.
    package func overwrite() throws(StoreError) {
        try StoreError.wrapping("overwrite", path) { () throws(Errno) in try descriptor.overwrite() }
    }

    /// Removes the name, if it still stands for this file.
    package func remove() throws(StoreError) {
        guard try isCurrent() else { throw StoreError(.failed, "\(path) was replaced meanwhile and is left alone") }
        try folder.remove(name)
    }

    /// Detects that the name still stands for this file.
    package func isCurrent() throws(StoreError) -> Bool {
        guard let now = try folder.file(name) else { return false }
        return try isSame(as: now)
    }

    /// Compares by device and inode.
    package func isSame(as other: borrowing OwnedDescriptor) throws(StoreError) -> Bool {
        let (mine, current) = try StoreError.wrapping("examine", path) { () throws(Errno) in
            (try descriptor.status(), try other.status())
        }
        return mine.device == current.device && mine.inode == current.inode
    }

    /// Files beside it that editors leave and that may hold the same plaintext.
    package func editorLeftovers() throws(StoreError) -> [String] {
        try folder.editorLeftovers(of: name)
    }
}
