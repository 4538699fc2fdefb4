// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import SecretStore
internal import Synchronization

/// The time of an entry of the audit log.
package enum AuditTime {
    /// The last second that was asked for, as text without its `Z`: most opens are in the same one.
    private static let last = Mutex<(second: Int64, text: String)>((0, "1970-01-01T00:00:00"))

    /// RFC 3339 in UTC with milliseconds.
    package static func now() -> String {
        var time = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &time)
        let milliseconds = String(1000 + time.tv_nsec / 1_000_000).dropFirst()
        let second = Int64(time.tv_sec)
        let text = last.withLock { last in
            if last.second != second { last = (second, String(Timestamp(seconds: second).text.dropLast())) }
            return last.text
        }
        return "\(text).\(milliseconds)Z"
    }
}
