// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import SystemCalls
internal import SystemPackage

/// The mounts of credfs that this process can see (proc(5), mountinfo).
package enum MountTable {
    /// A mount.
    package struct Entry: Sendable, Equatable {
        /// Path of the files.
        package let path: String
        /// The user who mounted it.
        package let user: UInt32?
    }

    /// The mounts of kind fuse.credfs.
    package static func entries() -> [Entry] {
        guard let text = try? OwnedDescriptor.open("/proc/self/mountinfo", O_RDONLY).readText(limit: 8 << 20) else {
            return []
        }
        return parse(text)
    }

    /// Detects a mount of credfs at a path.
    package static func has(_ path: String) -> Bool { entries().contains { $0.path == path } }

    /// Reads the text of mountinfo.
    package static func parse(_ text: String) -> [Entry] {
        text.split(separator: "\n").compactMap { MountInfo(line: $0) }.filter { $0.type == "fuse.credfs" }.map {
            mount in
            let user = mount.options.first { $0.hasPrefix("user_id=") }
            return Entry(path: mount.path, user: user.flatMap { UInt32($0.dropFirst("user_id=".count)) })
        }
    }

    /// Detects a mount whose server is gone.
    ///
    /// Asked for with the path of the directory itself, which a living server answers at once.
    package static func isDead(_ path: String) -> Bool {
        do throws(Errno) {
            _ = try OwnedDescriptor.open(path, O_RDONLY | O_DIRECTORY)
            return false
        } catch { return error == .socketNotConnected }
    }
}
