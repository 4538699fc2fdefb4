// SPDX-License-Identifier: Apache-2.0

internal import Glibc
import SecretFileSystem
import SecretStore
import SystemCalls
internal import SystemPackage

/// A directory in memory that secrets are written to as plain files.
final class SecretFiles {
    private let directory: OwnedDescriptor

    /// Takes over a directory that is in memory.
    ///
    /// - Throws: class `mount` where it is on a disk.
    init(in directory: consuming OwnedDescriptor) throws(MountError) {
        guard directory.isInMemory else {
            throw MountError(.mount, "cannot write secrets to files: the directory is not in memory")
        }
        self.directory = directory
    }

    /// Writes every secret that has a value.
    ///
    /// - Parameters:
    ///   - secrets: the secrets.
    ///   - ownership: whom the files shall belong to.
    /// - Throws: `StoreError` or `MountError`; then nothing is left.
    func write(_ secrets: SecretSet, _ ownership: Ownership) throws {
        do {
            for secret in secrets.entries where secrets.hasContent(secret) {
                try write(secret, of: secrets, ownership)
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
        of secrets: SecretSet,
        _ ownership: Ownership
    ) throws {
        let name = secret.name.text
        let file = try MountError.wrapping(.mount, "write the file of '\(name)'") { () throws(Errno) in
            try directory.open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
        }
        try secrets.readParts(of: secret) { part in
            try MountError.wrapping(.mount, "write the file of '\(name)'") { () throws(Errno) in
                try file.writeAll(part)
            }
        }
        try MountError.wrapping(.mount, "close the file of '\(name)'") { () throws(Errno) in
            try file.setOwner(user: ownership.user, group: ownership.group)
            try file.setPermissions(secrets.admitsGroup(secret) ? 0o440 : 0o400)
        }
    }

    /// Overwrites, cuts and removes every file, whatever it is called now; who has one open reads nothing more.
    func remove() {
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
