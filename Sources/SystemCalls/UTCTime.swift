// SPDX-License-Identifier: Apache-2.0

/// Date and time of day in UTC, in the place of gmtime_r(3) and timegm(3), which read the time zone of the host from a file.
package struct UTCTime: Sendable, Equatable {
    /// The year, such as 2026.
    package let year: Int
    /// The month, 1 to 12.
    package let month: Int
    /// The day of the month, 1 to 31.
    package let day: Int
    /// The hour, 0 to 23.
    package let hour: Int
    /// The minute, 0 to 59.
    package let minute: Int
    /// The second, 0 to 59.
    package let second: Int

    private static let secondsOfDay: Int64 = 86_400
    /// A cycle of the Gregorian calendar is 400 years; each begins on 1 March, so that the leap day is the last of a year.
    private static let daysOfCycle: Int64 = 146_097
    /// From 0000-03-01 to 1970-01-01.
    private static let daysBefore1970: Int64 = 719_468

    /// Splits seconds since 1970-01-01T00:00:00Z, leap seconds not counted.
    package init(seconds: Int64) {
        func floor(_ value: Int64, _ size: Int64) -> Int64 { value / size - (value % size < 0 ? 1 : 0) }
        let days = floor(seconds, Self.secondsOfDay)
        let time = Int(seconds - days * Self.secondsOfDay)
        (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60)
        let shifted = days + Self.daysBefore1970
        let cycle = floor(shifted, Self.daysOfCycle)
        let ofCycle = shifted - cycle * Self.daysOfCycle
        let yearOfCycle = (ofCycle - ofCycle / 1460 + ofCycle / 36_524 - ofCycle / 146_096) / 365
        let ofYear = ofCycle - (365 * yearOfCycle + yearOfCycle / 4 - yearOfCycle / 100)
        let monthFromMarch = (5 * ofYear + 2) / 153
        day = Int(ofYear - (153 * monthFromMarch + 2) / 5 + 1)
        month = Int(monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9)
        year = Int(yearOfCycle + cycle * 400) + (month <= 2 ? 1 : 0)
    }

    /// Takes a date and a time of day.
    ///
    /// - Returns: nil for one that does not exist, such as 31 February or a leap second.
    package init?(year: Int, month: Int, day: Int, hour: Int, minute: Int, second: Int) {
        guard (1...12).contains(month), (1...Self.dayCount(of: month, in: year)).contains(day),
            (0...23).contains(hour), (0...59).contains(minute), (0...59).contains(second)
        else { return nil }
        (self.year, self.month, self.day) = (year, month, day)
        (self.hour, self.minute, self.second) = (hour, minute, second)
    }

    /// Seconds since 1970-01-01T00:00:00Z, leap seconds not counted.
    package var seconds: Int64 {
        let fromMarch = Int64(month <= 2 ? year - 1 : year)
        let cycle = (fromMarch >= 0 ? fromMarch : fromMarch - 399) / 400
        let yearOfCycle = fromMarch - cycle * 400
        let ofYear = (153 * Int64(month > 2 ? month - 3 : month + 9) + 2) / 5 + Int64(day) - 1
        let ofCycle = yearOfCycle * 365 + yearOfCycle / 4 - yearOfCycle / 100 + ofYear
        let days = cycle * Self.daysOfCycle + ofCycle - Self.daysBefore1970
        return days * Self.secondsOfDay + Int64(hour * 3600 + minute * 60 + second)
    }

    private static func dayCount(of month: Int, in year: Int) -> Int {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }
}
