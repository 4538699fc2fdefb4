// SPDX-License-Identifier: Apache-2.0

/// Paths of open descriptors, as a shell makes them of `<(command)` (proc(5), bash(1)).
package enum DescriptorPath {
    private static let directories = ["/dev/fd/", "/proc/self/fd/", "/proc/thread-self/fd/"]

    /// The number of the descriptor that a path leads to; nil for other paths.
    package static func number(_ path: String) -> Int32? {
        if path == "/dev/stdin" { return 0 }
        guard let directory = directories.first(where: { path.hasPrefix($0) }) else { return nil }
        return Int32(path.dropFirst(directory.count))
    }
}
