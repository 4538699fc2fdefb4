// SPDX-License-Identifier: Apache-2.0

/// A mount that a process can see: a line of /proc/self/mountinfo (proc_pid_mountinfo(5)).
package struct MountInfo: Sendable, Equatable {
    /// Mount point.
    package let path: String
    /// The type of its file system, with the subtype: `fuse.credfs`.
    package let type: String
    /// Options of the superblock.
    package let options: [String]

    /// Reads a line: `36 35 98:0 /tree POINT options [tags...] - TYPE source options`.
    ///
    /// - Returns: nil for anything else, or a mount point that is not UTF-8.
    package init?(line: Substring) {
        let fields = line.split(separator: " ", omittingEmptySubsequences: false)
        guard fields.count > 6, let separator = fields.dropFirst(6).firstIndex(of: "-"), fields.count > separator + 3,
            let path = Self.unescaped(fields[4])
        else { return nil }
        self.path = path
        type = String(fields[separator + 1])
        options = fields[separator + 3].split(separator: ",").map(String.init)
    }

    /// The kernel writes space, tab, newline and backslash as three octal digits.
    private static func unescaped(_ field: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = Array(field.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "\\"), rest.count >= 3 else {
                bytes.append(byte)
                continue
            }
            guard let value = UInt8(String(decoding: rest.prefix(3), as: UTF8.self), radix: 8) else { return nil }
            bytes.append(value)
            rest = rest.dropFirst(3)
        }
        return String(validating: bytes, as: UTF8.self)
    }
}
