// SPDX-License-Identifier: Apache-2.0

internal import Glibc
package import SystemPackage

extension OwnedDescriptor {
    /// Overwrites a whole file with zeros and synchronizes it.
    ///
    /// On copy-on-write file systems and flash the old blocks may survive all the same.
    package func overwrite() throws(Errno) {
        let zeros = [UInt8](repeating: 0, count: 1 << 16)
        var rest = try status().size
        try seek(to: 0)
        while rest > 0 {
            let count = min(rest, zeros.count)
            try writeAll(zeros.span.extracting(0..<count))
            rest -= count
        }
        try synchronize()
    }

    /// Reserves room on the disk; wraps posix_fallocate(3).
    package func allocate(byteCount: Int) throws(Errno) {
        let result = posix_fallocate(number, 0, off_t(byteCount))
        guard result == 0 else { throw Errno(rawValue: result) }
    }
}
