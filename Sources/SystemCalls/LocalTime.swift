// SPDX-License-Identifier: Apache-2.0

internal import CLinux

/// Time of the clock in the zone of this machine (tzset(3)).
package enum LocalTime {
    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    /// Now, as RFC 3164 has it: `Feb  3 04:05:06`.
    package static func syslogText() -> String {
        let now = credfs_local_time_now()
        let clock = [now.hour, now.minute, now.second].map { $0 < 10 ? "0\($0)" : "\($0)" }
        let day = now.day < 10 ? " \(now.day)" : "\(now.day)"
        return "\(months[Int(now.month)]) \(day) \(clock.joined(separator: ":"))"
    }
}
