// SPDX-License-Identifier: Apache-2.0

internal import SystemPackage

/// Memory map of this process, as the kernel has it.
package enum MemoryMap {
    /// The flags of the mapping that holds an address (`VmFlags` in `/proc/self/smaps`), none if nothing is mapped there.
    package static func flags(at address: UInt) throws -> Set<String> {
        Set(try words(of: "VmFlags:", at: address))
    }

    /// The memory that the mapping with an address takes, in KiB.
    package static func residentKiB(at address: UInt) throws -> Int? {
        try words(of: "Rss:", at: address).first.flatMap { Int($0) }
    }

    private static func words(of key: String, at address: UInt) throws -> [String] {
        var inside = false
        for line in try lines(of: "/proc/self/smaps") {
            if let range = addressRange(line) {
                inside = range.contains(address)
            } else if inside, line.hasPrefix(key) {
                return line.dropFirst(key.count).split(separator: " ").map(String.init)
            }
        }
        return []
    }

    /// A line of `/proc/self/status` that gives a size, in KiB.
    package static func status(_ name: String) throws -> Int? {
        for line in try lines(of: "/proc/self/status") where line.hasPrefix(name + ":") {
            return line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) }
        }
        return nil
    }

    /// Foundation stops at the first short read, which is where a file of the kernel goes on.
    private static func lines(of path: String) throws -> [Substring] {
        let file = try unsafe FileDescriptor.open(path, .readOnly)
        return try file.closeAfter {
            var bytes: [UInt8] = []
            var piece = [UInt8](repeating: 0, count: 65_536)
            while true {
                let count = try unsafe piece.withUnsafeMutableBytes { try unsafe file.read(into: $0) }
                if count == 0 { return String(decoding: bytes, as: UTF8.self).split(separator: "\n") }
                bytes += piece.prefix(count)
            }
        }
    }

    /// The range at the start of a line such as `7f00-7f10 rw-p ...`.
    private static func addressRange(_ line: Substring) -> Range<UInt>? {
        guard let range = line.split(separator: " ", maxSplits: 1).first, !range.hasSuffix(":") else { return nil }
        let ends = range.split(separator: "-").compactMap { UInt($0, radix: 16) }
        return ends.count == 2 && ends[0] < ends[1] ? ends[0]..<ends[1] : nil
    }
}
