// SPDX-License-Identifier: Apache-2.0

internal import Glibc
package import SystemCalls
internal import SystemPackage

/// The empty directory that an edit covers with memory of its own; everybody else finds it empty and not writable.
///
/// It is locked as long as a process of the edit lives.
package final class EditDirectory {
    private static let prefix = "edit-"

    /// Its path.
    package let path: String
    /// Lock file: this descriptor and every copy of it hold the lock.
    package let lock: OwnedDescriptor
    private let name: String
    private let runtime: RuntimeDirectory

    /// Makes one, and removes those of edits that were killed.
    ///
    /// - Throws: class `place`.
    package init(in runtime: RuntimeDirectory) throws(MountError) {
        Self.removeLeft(in: runtime)
        var attempt = 0
        while true {
            attempt += 1
            let name = Self.prefix + RuntimeDirectory.newID()
            try runtime.makeDirectory(name, mode: 0o500)
            if let lock = Self.lock(name, in: runtime) {
                self.name = name
                self.lock = lock
                self.runtime = runtime
                path = "\(runtime.path)/\(name)"
                return
            }
            // Another one took it for one that was left, before it was locked.
            guard attempt < 100 else { throw MountError(.place, "\(runtime.path)/\(name) is removed by others") }
        }
    }

    deinit {
        runtime.removeDirectory(name)
    }

    private static func lock(_ name: String, in runtime: RuntimeDirectory) -> OwnedDescriptor? {
        guard let directory = try? runtime.descriptor.open(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW),
            (try? directory.lock(wait: false)) == true, (try? runtime.descriptor.openEntry(name).number) != nil
        else { return nil }
        return directory
    }

    /// Removes those whose edit has ended.
    static func removeLeft(in runtime: RuntimeDirectory) {
        for name in (try? runtime.descriptor.entryNames()) ?? [] where name.hasPrefix(prefix) {
            guard let lock = lock(name, in: runtime) else { continue }
            runtime.removeDirectory(name)
            _ = lock.number
        }
    }
}
