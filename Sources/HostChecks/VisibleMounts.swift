// SPDX-License-Identifier: Apache-2.0

/// The mounts of credfs that this process can see.
package enum VisibleMounts {
    /// How a mount answers.
    package enum State: Sendable, Equatable {
        /// Somebody serves it.
        case live
        /// Whoever served it has gone.
        case stale
        /// Whoever serves it is stopped.
        case silent
        /// It does not say, for example to others than its owner.
        case unknown
    }

    /// The file system type of a mount of ours.
    package static let type = "fuse.credfs"

    /// Where our file systems are mounted, in the order of the kernel.
    package static func paths(_ host: HostView) -> [String] {
        host.lines("/proc/self/mountinfo").compactMap { path(ofLine: $0) }
    }

    /// The mounts whose process has gone.
    ///
    /// The one place that decides this: a registry of live mounts would be asked here.
    package static func stalePaths(_ host: HostView) -> [String] {
        paths(host).filter { host.calls.mountState($0) == .stale }
    }

    /// The mount point, if the line is one of ours: `36 35 98:0 /root POINT options [tags...] - TYPE source options`.
    private static func path(ofLine line: Substring) -> String? {
        let fields = line.split(separator: " ", omittingEmptySubsequences: false)
        guard fields.count > 6, let separator = fields.dropFirst(6).firstIndex(of: "-"), separator + 1 < fields.count,
            fields[separator + 1] == type
        else { return nil }
        return unescaped(fields[4])
    }

    /// The kernel writes space, tab, newline and backslash as three octal digits.
    private static func unescaped(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "\\"), rest.count >= 3,
                let code = UInt8(String(decoding: rest.prefix(3), as: UTF8.self), radix: 8)
            else {
                bytes.append(byte)
                continue
            }
            bytes.append(code)
            rest = rest.dropFirst(3)
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
