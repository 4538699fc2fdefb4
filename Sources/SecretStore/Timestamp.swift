// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import SystemCalls

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
        self.init(text.utf8.span)
    }

    /// As above, out of bytes.
    package init?(_ text: Span<UInt8>) {
        func field(_ range: Range<Int>, endedBy mark: Unicode.Scalar) -> Int? {
            guard text[range.upperBound] == UInt8(ascii: mark) else { return nil }
            var value = 0
            for index in range {
                let digit = text[index] &- 0x30
                guard digit <= 9 else { return nil }
                value = value * 10 + Int(digit)
            }
            return value
        }
        guard text.count == 20, let year = field(0..<4, endedBy: "-"), let month = field(5..<7, endedBy: "-"),
            let day = field(8..<10, endedBy: "T"), let hour = field(11..<13, endedBy: ":"),
            let minute = field(14..<16, endedBy: ":"), let second = field(17..<19, endedBy: "Z"), year >= 1970,
            let time = UTCTime(year: year, month: month, day: day, hour: hour, minute: minute, second: second)
        else { return nil }
        seconds = time.seconds
    }

    /// The RFC 3339 text.
    package var text: String {
        let time = UTCTime(seconds: seconds)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(20)
        func add(_ value: Int, of width: Int, _ mark: Unicode.Scalar) {
            var unit = width == 4 ? 1000 : 10
            while unit > 0 {
                bytes.append(UInt8(truncatingIfNeeded: 0x30 + value / unit % 10))
                unit /= 10
            }
            bytes.append(UInt8(ascii: mark))
        }
        add(time.year, of: 4, "-")
        add(time.month, of: 2, "-")
        add(time.day, of: 2, "T")
        add(time.hour, of: 2, ":")
        add(time.minute, of: 2, ":")
        add(time.second, of: 2, "Z")
        // NOT SECRET: a time.
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The present time of the system clock.
    package static func now() -> Timestamp {
        Timestamp(seconds: Int64(time(nil)))
    }

    package static func < (left: Timestamp, right: Timestamp) -> Bool { left.seconds < right.seconds }
}
