// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import SecureFiles
internal import SystemCalls
internal import SystemPackage

/// The directory below which everything of a running credfs is found: `RUNTIME/credfs`.
///
/// It has `jobs`, the empty directory that every job covers with a file system of its own, `live`, the records of what is
/// mounted, `control`, the sockets of their servers, and the mount points that others can see. Whoever uses it holds a shared lock; the last one removes it. It
/// must not be removed earlier: removing a directory takes away what is mounted there in other namespaces, too.
package final class RuntimeDirectory {
    /// Its path.
    package let path: String
    let descriptor: OwnedDescriptor
    private let parent: OwnedDescriptor
    private let made: (path: String, name: String)?

    /// Directory of a user: `$XDG_RUNTIME_DIR`, else `/run` for root, else `/tmp/credfs-UID`.
    package static func place(user: UInt32, environment: (String) -> String?) -> String {
        // The XDG specification has relative paths ignored.
        if let directory = environment("XDG_RUNTIME_DIR"), directory.hasPrefix("/") { return directory }
        return user == 0 ? "/run" : temporary(user)
    }

    /// The place that is made where the system gives none.
    private static func temporary(_ user: UInt32) -> String { "/tmp/credfs-\(user)" }

    /// Opens it, and makes it if need be.
    ///
    /// - Throws: class `place` where it belongs to somebody else or cannot be made.
    package init(user: UInt32, environment: (String) -> String?) throws(MountError) {
        let runtime = Self.place(user: user, environment: environment)
        // Only root's is entered by others: the owners of secrets that root mounts for them.
        let mode: UInt16 = user == 0 ? 0o711 : 0o700
        let isOurs = runtime == Self.temporary(user)
        var attempt = 0
        while true {
            attempt += 1
            if isOurs { try Self.make(runtime, mode: 0o700) }
            let parent = try Self.directory(runtime, user: user, isPrivate: isOurs)
            let path = "\(runtime)/credfs"
            if let descriptor = try Self.enter(parent, path, mode: mode, user: user) {
                self.path = path
                self.descriptor = descriptor
                self.parent = parent
                made = isOurs ? ("/tmp", String(runtime.dropFirst("/tmp/".count))) : nil
                return
            }
            // Another one was about to remove it.
            guard attempt < 200 else {
                throw MountError(
                    .place,
                    "cannot make \(path): \(Errno.noSuchFileOrDirectory.message)",
                    hint: "set XDG_RUNTIME_DIR to a directory of your own in memory"
                )
            }
            usleep(5000)
        }
    }

    deinit {
        removeIfUnused()
    }

    /// The directory that jobs cover.
    package var jobs: String { "\(path)/jobs" }

    /// A name that nothing has.
    package static func newID() -> String {
        var bytes = [UInt8](repeating: 0, count: 8)
        unsafe bytes.withUnsafeMutableBytes { bytes in
            var generator = SystemRandomNumberGenerator()
            unsafe bytes.storeBytes(of: generator.next(), as: UInt64.self)
        }
        return bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
    }

    private static func isID(_ name: String) -> Bool {
        name.utf8.count == 16 && name.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }

    /// Makes a directory in it.
    package func makeDirectory(_ name: String, mode: UInt16) throws(MountError) {
        try MountError.wrapping(.place, "make \(path)/\(name)") { () throws(Errno) in
            try descriptor.makeDirectory(name, mode: mode)
        }
    }

    /// Opens the directory of control sockets.
    ///
    /// - Throws: class `place` where it is a link, belongs to somebody else or can be used by others.
    func openControl() throws(MountError) -> OwnedDescriptor {
        let path = "\(path)/control"
        let directory = try MountError.wrapping(.place, "open \(path)") { () throws(Errno) in
            try descriptor.open("control", O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        }
        try Self.check(directory, path, user: ProcessAttributes.effectiveUser, forbidden: 0o077)
        return directory
    }

    /// Removes an empty directory in it.
    package func removeDirectory(_ name: String) {
        try? descriptor.removeDirectory(name)
    }

    private func removeIfUnused() {
        guard (try? descriptor.lock(wait: false)) == true else { return }
        // Nobody else is here: what is empty and has the name of a mount was left by a process that was killed before it
        // wrote its record. What is mounted stays.
        let names = (try? descriptor.entryNames()) ?? []
        for name in names.filter(Self.isID) + ["jobs", "live", "control"] { try? descriptor.removeDirectory(name) }
        guard (try? parent.removeDirectory("credfs")) != nil, let made else { return }
        guard let directory = try? OwnedDescriptor.open(made.path, O_RDONLY | O_DIRECTORY) else { return }
        try? directory.removeDirectory(made.name)
    }

    private static func make(_ path: String, mode: UInt16) throws(MountError) {
        let (parent, name) = ("/tmp", String(path.dropFirst("/tmp/".count)))
        try MountError.wrapping(.place, "make \(path)") { () throws(Errno) in
            let directory = try OwnedDescriptor.open(parent, O_RDONLY | O_DIRECTORY)
            do throws(Errno) { try directory.makeDirectory(name, mode: mode) } catch {
                guard error == .fileExists else { throw error }
            }
        }
    }

    private static func directory(_ path: String, user: UInt32, isPrivate: Bool) throws(MountError) -> OwnedDescriptor {
        let directory = try MountError.wrapping(.place, "open \(path)") { () throws(Errno) in
            try OwnedDescriptor.open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        }
        try check(directory, path, user: user, forbidden: isPrivate ? 0o077 : 0o022)
        return directory
    }

    /// Checks owner and mode: who can write it could put a directory of their own in its place.
    private static func check(
        _ directory: borrowing OwnedDescriptor,
        _ path: String,
        user: UInt32,
        forbidden: UInt16
    ) throws(MountError) {
        let status: FileStatus
        do throws(Errno) { status = try directory.status() } catch {
            throw MountError.system(.place, "examine \(path)", error)
        }
        guard status.owner == user else {
            throw MountError(
                .place,
                "\(path) is owned by uid \(status.owner), expected \(user)",
                hint: "set XDG_RUNTIME_DIR to a directory of your own that nobody else can write"
            )
        }
        guard status.permissions & forbidden == 0 else {
            throw MountError(
                .place,
                "insecure permissions on \(path): others can use it",
                hint: SystemDirectory.contains(path, status)
                    ? "set XDG_RUNTIME_DIR to a directory of your own"
                    : "chmod 0700 \(quoted(path)), or set XDG_RUNTIME_DIR to a directory of your own"
            )
        }
    }

    /// Makes the directory and what is always in it, under a shared lock.
    ///
    /// - Returns: nil where it vanished meanwhile.
    private static func enter(
        _ parent: borrowing OwnedDescriptor,
        _ path: String,
        mode: UInt16,
        user: UInt32
    ) throws(MountError) -> OwnedDescriptor? {
        let made: OwnedDescriptor?
        do throws(Errno) {
            made = try make("credfs", in: parent, mode: mode)
        } catch { throw MountError.system(.place, "make \(path)", error) }
        guard let directory = made else { return nil }
        try check(directory, path, user: user, forbidden: 0o066)
        do throws(Errno) {
            guard try directory.lockShared(), try isStill(directory, "credfs", in: parent),
                try make("jobs", in: directory, mode: mode) != nil, try make("live", in: directory, mode: 0o700) != nil,
                try make("control", in: directory, mode: 0o700) != nil
            else { return nil }
            return directory
        } catch {
            // What was made of it, where nobody else uses it.
            if (try? directory.lock(wait: false)) == true {
                for name in ["jobs", "live", "control"] { try? directory.removeDirectory(name) }
                try? parent.removeDirectory("credfs")
            }
            // Said here: a moment later there may be room for a directory again.
            let place = quoted(String(path.dropLast("/credfs".count)))
            throw MountError(
                .place,
                "cannot prepare \(path): \(error.message)",
                hint: error == .noSpace ? "make room there: df -h \(place); df -i \(place)" : nil
            )
        }
    }

    private static func isStill(
        _ directory: borrowing OwnedDescriptor,
        _ name: String,
        in parent: borrowing OwnedDescriptor
    ) throws(Errno) -> Bool {
        do throws(Errno) {
            let there = try parent.openEntry(name).status()
            let here = try directory.status()
            return there.device == here.device && there.inode == here.inode
        } catch {
            if error == .noSuchFileOrDirectory { return false }
            throw error
        }
    }

    private static func make(
        _ name: String,
        in parent: borrowing OwnedDescriptor,
        mode: UInt16
    ) throws(Errno) -> OwnedDescriptor? {
        do throws(Errno) { try parent.makeDirectory(name, mode: mode) } catch {
            // Gone again: removed by another one between mkdir and chmod.
            if error == .noSuchFileOrDirectory { return nil }
            guard error == .fileExists else { throw error }
        }
        do throws(Errno) {
            return try parent.open(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        } catch {
            if error == .noSuchFileOrDirectory { return nil }
            throw error
        }
    }
}
