// SPDX-License-Identifier: Apache-2.0

internal import Glibc
package import SystemPackage

/// Waiting for several descriptors at once.
package enum Readiness {
    /// Detects a descriptor that is of no use any more, such as a device whose mount is gone; wraps poll(2).
    package static func hasFailed(_ number: Int32) -> Bool {
        var entry = pollfd(fd: number, events: 0, revents: 0)
        return unsafe poll(&entry, 1, 0) == 1
    }

    /// Waits until one of the descriptors can be read or was closed at its other end; wraps poll(2).
    ///
    /// - Parameters:
    ///   - numbers: the descriptors; -1 is none.
    ///   - timeout: how long at most, rounded up to milliseconds; nil waits for ever.
    /// - Returns: for each of them whether it can be read; all false where the time was up first.
    /// - Throws: the error of poll(2).
    package static func wait(for numbers: [Int32], timeout: Duration? = nil) throws(Errno) -> [Bool] {
        var entries = numbers.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        let milliseconds = timeout.map { time in
            let parts = time.components
            let rounded = (parts.attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000
            return Int32(clamping: max(0, parts.seconds &* 1000 &+ rounded))
        }
        let count = nfds_t(entries.count)
        try checkErrno { unsafe poll(&entries, count, milliseconds ?? -1) }
        return entries.map { $0.revents != 0 }
    }
}
