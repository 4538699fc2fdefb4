// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Memory of another process, as root sees it.
enum ProcessMemory {
    /// Counts the places with these bytes in what can be read of it.
    static func count(of bytes: [UInt8], in process: Int32) throws -> Int {
        let needle = Data(bytes)
        let maps = try String(contentsOfFile: "/proc/\(process)/maps", encoding: .utf8)
        let memory = try FileHandle(forReadingFrom: URL(filePath: "/proc/\(process)/mem"))
        var count = 0
        for line in maps.split(separator: "\n") {
            let fields = line.split(separator: " ")
            let ends = fields[0].split(separator: "-").compactMap { UInt64($0, radix: 16) }
            guard ends.count == 2, fields[1].hasPrefix("rw"), ends[0] < UInt64(Int64.max) else { continue }
            try memory.seek(toOffset: ends[0])
            guard let content = try? memory.read(upToCount: Int(ends[1] - ends[0])) else { continue }
            count += content.ranges(of: needle).count
        }
        return count
    }
}
