// SPDX-License-Identifier: Apache-2.0

internal import SecretFileSystem
internal import SystemCalls

extension MountRules {
    /// First directory above a mount that the owner of its files may not search, by owner, group and mode.
    ///
    /// Supplementary groups and access control lists are not known here: who asks warns at most.
    ///
    /// - Parameter path: the mount, absolute.
    /// - Returns: the directory; nil where the owner gets through, or where nothing can be told.
    package func closedDirectory(above path: String) -> String? {
        guard path.hasPrefix("/"), ownership.user != 0 else { return nil }
        var directory = ""
        for name in path.split(separator: "/").dropLast() {
            directory += "/\(name)"
            guard let status = try? FileStatus.ofPath(directory, followingLink: true) else { return nil }
            let search: UInt16 =
                status.owner == ownership.user ? 0o100 : status.group == ownership.group ? 0o010 : 0o001
            if status.permissions & search == 0 { return directory }
        }
        return nil
    }
}
