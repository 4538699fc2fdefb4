// SPDX-License-Identifier: Apache-2.0

internal import CLinux
internal import Glibc
package import SystemPackage

/// Watch of a directory: it can be read when an entry was made, written, renamed or removed (inotify(7)).
package struct DirectoryWatch: ~Copyable, Sendable {
    private let descriptor: OwnedDescriptor

    /// Bytes of an event before its name: watch, mask, cookie and length of the name.
    private static let headByteCount = 16

    /// Watches a directory by its path; wraps inotify_init1(2) and inotify_add_watch(2).
    package init(of path: String) throws(Errno) {
        let flags = O_CLOEXEC | O_NONBLOCK
        let watch = OwnedDescriptor(owning: try valueOrErrno { inotify_init1(flags) })
        let number = watch.number
        let events = UInt32(
            IN_MODIFY | IN_ATTRIB | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE | IN_DELETE
                | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR
        )
        try checkErrno { unsafe inotify_add_watch(number, path, events) }
        descriptor = watch
    }

    /// The descriptor.
    package var number: Int32 { descriptor.number }

    /// Takes what has happened.
    ///
    /// - Returns: false where the directory itself was removed or renamed, so that the watch is of no use any more.
    package func take() -> Bool {
        var bytes = [UInt8](repeating: 0, count: 1 << 14)
        let number = descriptor.number
        let lost = UInt32(IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT)
        while true {
            let room = bytes.count
            let count = unsafe bytes.withUnsafeMutableBytes { unsafe Glibc.read(number, $0.baseAddress, room) }
            guard count > 0 else { return true }
            var position = 0
            while position + Self.headByteCount <= count {
                if Self.word(bytes, position + 4) & lost != 0 { return false }
                position += Self.headByteCount + Int(Self.word(bytes, position + 12))
            }
        }
    }

    /// A number in the byte order of the machine.
    private static func word(_ bytes: [UInt8], _ position: Int) -> UInt32 {
        var word: UInt32 = 0
        for index in 0..<4 { word |= UInt32(bytes[position + index]) << UInt32(8 * index) }
        return UInt32(littleEndian: word)
    }
}
