// SPDX-License-Identifier: Apache-2.0

internal import Glibc
package import SecretFileSystem
package import SecretStore
package import SystemCalls
internal import SystemPackage

/// Secrets as plain files in memory: for hosts without FUSE, announced as the weaker way that it is.
package final class PlainFiles {
    private let directory: OwnedDescriptor

    /// Takes over a directory that is in memory.
    ///
    /// - Throws: class `mount` where it is on a disk.
    package init(in directory: consuming OwnedDescriptor) throws(MountError) {
        guard directory.isInMemory else {
            throw MountError(.mount, "cannot write secrets to files: the directory is not in memory")
        }
        self.directory = directory
    }

    /// Writes every secret of a manifest that has a value and has not expired.
    ///
    /// - Parameters:
    ///   - secrets: the entries.
    ///   - keys: what opens them.
    ///   - ownership: whom the files shall belong to.
    /// - Throws: `StoreError` or `MountError`; then nothing is left.
    package func write(_ secrets: [SecretEntry], _ keys: StoreKeys, _ ownership: Ownership) throws {
        do {
            for secret in secrets {
                guard case .sealed(let value) = secret.value else { continue }
                try write(secret, value, keys, ownership)
            }
            try MountError.wrapping(.mount, "close the directory of the secrets") { () throws(Errno) in
                try directory.setOwner(user: ownership.user, group: ownership.group)
                try directory.setPermissions(ownership.directoryPermissions)
            }
        } catch {
            remove()
            throw error
        }
    }

    private func write(
        _ secret: SecretEntry,
        _ value: SealedValue,
        _ keys: StoreKeys,
        _ ownership: Ownership
    ) throws {
        let name = secret.name.text
        let file = try MountError.wrapping(.mount, "write the file of '\(name)'") { () throws(Errno) in
            try directory.open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
        }
        try keys.readParts(of: value, as: secret.name) { part in
            try MountError.wrapping(.mount, "write the file of '\(name)'") { () throws(Errno) in
                try file.writeAll(part)
            }
        }
        try MountError.wrapping(.mount, "close the file of '\(name)'") { () throws(Errno) in
            try file.setOwner(user: ownership.user, group: ownership.group)
            try file.setPermissions(secret.mode == .ownerOnly ? 0o400 : 0o440)
        }
    }

    /// The directory of a job in the memory of the system.
    static func sharedName(_ id: String) -> String { "credfs-\(id)" }
    static let shared = "/dev/shm"

    /// What lets a directory be made in the memory of the system.
    static func remedy(for errno: Errno) -> String {
        switch errno {
        case .noSuchFileOrDirectory, .notDirectory: "mount one: mount -t tmpfs -o mode=1777 tmpfs \(shared)"
        case .readOnlyFileSystem: "mount it writable (of a container: --tmpfs \(shared))"
        case .noSpace: "make room there: df -h \(shared); df -i \(shared)"
        default: "see who may write there: ls -ld \(shared)"
        }
    }

    /// Removes what a killed credfs left there.
    static func removeWhatIsLeft(of id: String) {
        guard !id.isEmpty, id.allSatisfy(\.isHexDigit),
            let parent = try? OwnedDescriptor.open(shared, O_RDONLY | O_DIRECTORY),
            let directory = try? parent.open(sharedName(id), O_RDONLY | O_DIRECTORY | O_NOFOLLOW),
            let owner = try? directory.status().owner,
            // Root may have given it to somebody.
            owner == ProcessAttributes.effectiveUser || ProcessAttributes.effectiveUser == 0,
            let files = try? PlainFiles(in: directory)
        else { return }
        files.remove()
        try? parent.removeDirectory(sharedName(id))
    }

    /// Overwrites, cuts and removes every file, whatever it is called now; who has one open reads nothing more.
    package func remove() {
        try? directory.setPermissions(0o700)
        for name in (try? directory.entryNames()) ?? [] {
            try? directory.forceWritable(name)
            if let file = try? directory.open(name, O_WRONLY | O_NOFOLLOW) {
                try? file.overwrite()
                try? file.truncate(to: 0)
            }
            try? directory.unlink(name)
        }
    }
}
