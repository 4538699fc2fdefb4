// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import SecretStore

/// The time of an entry of the audit log.
package enum AuditTime {
    /// RFC 3339 in UTC with milliseconds.
    package static func now() -> String {
        var time = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &time)
        let milliseconds = String(1000 + time.tv_nsec / 1_000_000).dropFirst()
        return "\(Timestamp(seconds: Int64(time.tv_sec)).text.dropLast()).\(milliseconds)Z"
    }
}
