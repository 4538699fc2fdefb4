// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// The supplementary groups of other processes (proc_pid_status(5)).
package enum SupplementaryGroups {
    /// NGROUPS_MAX numbers of ten digits with a space each, and the other lines.
    private static let limit = 65536 * 11 + 16384

    /// The groups of a thread, as the user namespace of this process numbers them.
    ///
    /// - Returns: nil where they cannot be read: the thread is gone, or there is no procfs.
    package static func ofThread(_ thread: Int32) -> [UInt32]? {
        guard let text = try? OwnedDescriptor.open("/proc/\(thread)/status", O_RDONLY).readText(limit: limit) else {
            return nil
        }
        return groups(inStatus: text)
    }

    /// The line `Groups:`; no name of a process can forge it, since the kernel escapes newlines in names.
    package static func groups(inStatus text: String) -> [UInt32]? {
        let word = "Groups:"
        guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix(word) }) else { return nil }
        return line.dropFirst(word.count).split { $0 == " " || $0 == "\t" }.compactMap { UInt32($0) }
    }
}
