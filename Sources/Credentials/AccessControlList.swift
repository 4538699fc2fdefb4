// SPDX-License-Identifier: Apache-2.0

/// The access control list of a file, as the kernel writes it: a version and entries of eight bytes, little-endian
/// (include/uapi/linux/posix_acl_xattr.h).
enum AccessControlList {
    private enum Tag {
        static let ownerUser: UInt16 = 0x01
        static let user: UInt16 = 0x02
        static let ownerGroup: UInt16 = 0x04
        static let group: UInt16 = 0x08
        static let mask: UInt16 = 0x10
        static let other: UInt16 = 0x20
    }

    private static let version = 2
    private static let headerByteCount = 4
    private static let entryByteCount = 8

    /// Decides whether a list gives anything to anyone but the file's owner and one user.
    ///
    /// False for what is not understood.
    static func admitsNobody(but user: UInt32, _ list: [UInt8]) -> Bool {
        guard list.count > headerByteCount, (list.count - headerByteCount) % entryByteCount == 0,
            number(list, 0, 4) == version
        else { return false }
        let starts = stride(from: headerByteCount, to: list.count, by: entryByteCount)
        let mask =
            starts.first { number(list, $0, 2) == Int(Tag.mask) }
            .map { number(list, $0 + 2, 2) } ?? 0o7
        return starts.allSatisfy { start in
            let rights = number(list, start + 2, 2)
            switch UInt16(truncatingIfNeeded: number(list, start, 2)) {
            case Tag.ownerUser, Tag.mask: return true
            case Tag.user: return rights & mask == 0 || number(list, start + 4, 4) == Int(user)
            case Tag.ownerGroup, Tag.group: return rights & mask == 0
            case Tag.other: return rights == 0
            default: return false
            }
        }
    }

    private static func number(_ list: [UInt8], _ start: Int, _ count: Int) -> Int {
        (0..<count).reduce(0) { $0 | Int(list[start + $1]) << (8 * $1) }
    }
}
