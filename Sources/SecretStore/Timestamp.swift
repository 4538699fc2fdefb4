// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// Point in time in whole seconds, written as RFC 3339 in UTC: `2026-11-21T07:11:00Z`.
package struct Timestamp: Sendable, Hashable, Comparable {
    /// Seconds since 1970-01-01T00:00:00Z, leap seconds not counted.
    package let seconds: Int64

    /// Makes a point in time; must lie in the years 1970 to 9999.
    package init(seconds: Int64) {
        self.seconds = seconds
    }

    /// Reads the one accepted form, 20 characters with upper-case `T` and `Z`.
    ///
    /// - Returns: nil for any other form and for dates that do not exist.
    package init?(_ text: String) {
        let characters = Array(text.utf8)
        guard characters.count == 20 else { return nil }
        for (index, mark) in [(4, "-"), (7, "-"), (10, "T"), (13, ":"), (16, ":"), (19, "Z")] {
            guard characters[index] == mark.utf8.first else { return nil }
        }
        func number(_ range: Range<Int>) -> Int32? {
            characters[range].reduce(Int32?.some(0)) { value, character in
                guard let value, (0x30...0x39).contains(character) else { return nil }
                return value * 10 + Int32(character - 0x30)
            }
        }
        guard let year = number(0..<4), let month = number(5..<7), let day = number(8..<10),
            let hour = number(11..<13), let minute = number(14..<16), let second = number(17..<19), year >= 1970
        else { return nil }
        var parts = unsafe tm()
        unsafe parts.tm_year = year - 1900
        unsafe parts.tm_mon = month - 1
        unsafe parts.tm_mday = day
        unsafe parts.tm_hour = hour
        unsafe parts.tm_min = minute
        unsafe parts.tm_sec = second
        seconds = Int64(unsafe timegm(&parts))
        // timegm turns 31 February into March: only a text that comes back is a date.
        guard self.text == text else { return nil }
    }

    /// The RFC 3339 text.
    package var text: String {
        var parts = unsafe tm()
        var time = time_t(seconds)
        unsafe gmtime_r(&time, &parts)
        let date = unsafe [(parts.tm_year + 1900, 4), (parts.tm_mon + 1, 2), (parts.tm_mday, 2)]
        let clock = unsafe [(parts.tm_hour, 2), (parts.tm_min, 2), (parts.tm_sec, 2)]
        func joined(_ fields: [(Int32, Int)], by separator: String) -> String {
            fields.map { value, width in
                let digits = String(value)
                return String(repeating: "0", count: max(0, width - digits.count)) + digits
            }.joined(separator: separator)
        }
        return joined(date, by: "-") + "T" + joined(clock, by: ":") + "Z"
    }

    /// The present time of the system clock.
    package static func now() -> Timestamp {
        Timestamp(seconds: Int64(time(nil)))
    }

    package static func < (left: Timestamp, right: Timestamp) -> Bool { left.seconds < right.seconds }
}
