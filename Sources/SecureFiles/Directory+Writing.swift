// SPDX-License-Identifier: Apache-2.0

internal import Glibc
package import SystemCalls
internal import SystemPackage

/// Atomic replacement: a reader, or a crash at any moment, sees the old file or the new one.
extension Directory {
    /// Replaces or makes a file.
    ///
    /// The bytes go to a temporary file beside it, 0600 from its first byte, which is synchronized and renamed; then the
    /// directory is synchronized.
    ///
    /// - Parameters:
    ///   - name: the file.
    ///   - bytes: its new content.
    ///   - mode: its permission bits.
    ///   - isDurable: whether it is waited for until the disk has the bytes; after a loss of power what is not durable may
    ///     be empty.
    /// - Throws: class `system`; the old file is untouched.
    package func replace(
        _ name: String,
        with bytes: Span<UInt8>,
        mode: UInt16 = 0o600,
        isDurable: Bool = true
    ) throws(Failure) {
        try requireReplaceable(name)
        let temporary = TemporaryName.new(for: name)
        do throws(Errno) {
            let file = try create(temporary)
            try file.writeAll(bytes)
            try finish(file, temporary, as: name, mode: mode, isDurable: isDurable)
        } catch {
            try? descriptor.unlink(temporary)
            throw Failure(.system("write", path(of: name), error))
        }
    }

    /// Replaces or makes a file of mode 0600 in the same way, with what a function writes.
    ///
    /// - Parameters:
    ///   - name: the file.
    ///   - body: writes its new content.
    /// - Throws: the error of the function or class `system`; the old file is untouched, and nothing of the new one stays.
    package func replace(_ name: String, writtenBy body: (borrowing OwnedDescriptor) throws -> Void) throws {
        try requireReplaceable(name)
        try removeLeftovers(of: name)
        let temporary = TemporaryName.new(for: name)
        do {
            let file = try Failure.wrapping("create", path(of: name)) { () throws(Errno) in try create(temporary) }
            try body(file)
            try Failure.wrapping("write", path(of: name)) { () throws(Errno) in
                try finish(file, temporary, as: name, mode: 0o600, isDurable: true)
            }
        } catch {
            try? descriptor.unlink(temporary)
            throw error
        }
    }

    private func create(_ temporary: String) throws(Errno) -> OwnedDescriptor {
        try descriptor.open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
    }

    private func finish(
        _ file: borrowing OwnedDescriptor,
        _ temporary: String,
        as name: String,
        mode: UInt16,
        isDurable: Bool
    ) throws(Errno) {
        try file.setPermissions(mode)
        if isDurable { try file.synchronize() }
        try descriptor.rename(temporary, to: name)
        if isDurable { try descriptor.synchronize() }
    }

    /// Makes a file that must not exist yet, in the same way.
    ///
    /// - Throws: class `system`, also if it exists.
    package func create(_ name: String, with bytes: Span<UInt8>, mode: UInt16 = 0o600) throws(Failure) {
        guard try file(name) == nil else { throw Failure(.system("create", path(of: name), .fileExists)) }
        try replace(name, with: bytes, mode: mode)
    }

    /// Refuses to take the place of a device, FIFO, socket or link, which others go on using by its name.
    ///
    /// - Throws: class `insecure`.
    private func requireReplaceable(_ name: String) throws(Failure) {
        let found = try Failure.openingIfPresent(path(of: name)) { () throws(Errno) in try descriptor.openEntry(name) }
        guard let entry = found else { return }
        let status = try Failure.wrapping("examine", path(of: name)) { () throws(Errno) in try entry.status() }
        // Over a directory rename(2) fails by itself.
        guard status.kind != .regular, status.kind != .directory else { return }
        throw Failure(FileError(.insecure, "\(path(of: name)) is not a regular file", hint: "name another file"))
    }

    /// Tries to write a file of some size as `replace` would; nothing of it stays.
    package func preflight(_ name: String, byteCount: Int) throws(Failure) {
        let temporary = TemporaryName.new(for: name)
        defer { try? descriptor.unlink(temporary) }
        try Failure.wrapping("write", path(of: name)) { () throws(Errno) in
            try create(temporary).allocate(byteCount: byteCount)
        }
    }

    /// Removes temporary files that killed commands left.
    ///
    /// Only under the lock.
    package func removeLeftovers(of name: String) throws(Failure) {
        try Failure.wrapping("clean", path) { () throws(Errno) in
            for entry in try descriptor.entryNames() where TemporaryName.isOne(entry, of: name) {
                // What cannot be removed is none of ours, such as a directory of that name.
                try? descriptor.unlink(entry)
            }
        }
    }

    /// Renames an entry within this directory.
    package func rename(_ old: String, to new: String) throws(Failure) {
        try Failure.wrapping("rename", path(of: old)) { () throws(Errno) in try descriptor.rename(old, to: new) }
    }

    /// Synchronizes the names in this directory with the disk.
    package func synchronize() throws(Failure) {
        try Failure.wrapping("synchronize", path) { () throws(Errno) in try descriptor.synchronize() }
    }

    /// Removes a file if it is there.
    package func remove(_ name: String) throws(Failure) {
        try Failure.wrapping("remove", path(of: name)) { () throws(Errno) in
            do throws(Errno) { try descriptor.unlink(name) } catch {
                guard error == .noSuchFileOrDirectory else { throw error }
            }
        }
    }

    /// Sets the mode of this directory if it is another.
    ///
    /// - Returns: whether it was.
    package func ensureMode(_ mode: UInt16) throws(Failure) -> Bool {
        try Self.ensureMode(mode, of: descriptor, path)
    }

    /// Sets the mode of a file in this directory if it is another.
    ///
    /// - Returns: whether it was; nil if there is no such file.
    package func ensureMode(_ mode: UInt16, of name: String) throws(Failure) -> Bool? {
        guard let file = try file(name) else { return nil }
        return try Self.ensureMode(mode, of: file, path(of: name))
    }

    private static func ensureMode(
        _ mode: UInt16,
        of file: borrowing OwnedDescriptor,
        _ path: String
    ) throws(Failure) -> Bool {
        try Failure.wrapping("change the mode of", path) { () throws(Errno) in
            guard try file.status().permissions != mode else { return false }
            try file.setPermissions(mode)
            return true
        }
    }
}

/// Temporary names of files that are renamed to the ones they replace.
enum TemporaryName {
    private static let mark = ".credfs-"
    private static let suffix = ".tmp"
    private static let digitCount = 16

    static func new(for name: String) -> String {
        let digits = String(UInt64.random(in: .min ... .max), radix: 16)
        return ".\(name)\(mark)\(String(repeating: "0", count: digitCount - digits.utf8.count))\(digits)\(suffix)"
    }

    static func isOne(_ entry: String, of name: String) -> Bool {
        let prefix = ".\(name)\(mark)"
        return entry.hasPrefix(prefix) && entry.hasSuffix(suffix)
            && entry.utf8.count == prefix.utf8.count + digitCount + suffix.utf8.count
    }
}
