// SPDX-License-Identifier: Apache-2.0

import Glibc
import SystemCalls
import Testing

@Suite struct UTCTimeTests {
    @Test func timesAreThoseOfTheCLibrary() {
        // A day and a prime number of seconds apart, so that every day of a cycle of 400 years and every time of day come up.
        var seconds: Int64 = -62_135_596_800
        while seconds < 253_402_300_800 {
            var parts = unsafe tm()
            var time = time_t(seconds)
            unsafe gmtime_r(&time, &parts)
            let ours = UTCTime(seconds: seconds)
            let theirs = unsafe UTCTime(
                year: Int(parts.tm_year) + 1900,
                month: Int(parts.tm_mon) + 1,
                day: Int(parts.tm_mday),
                hour: Int(parts.tm_hour),
                minute: Int(parts.tm_min),
                second: Int(parts.tm_sec)
            )
            if ours != theirs || ours.seconds != seconds {
                Issue.record("\(seconds): \(ours), \(String(describing: theirs))")
                return
            }
            seconds += 86_400 * 3 + 7919
        }
    }

    @Test func datesThatAreNoneAreNone() {
        for (year, month, day) in [
            (2025, 2, 29), (1900, 2, 29), (2026, 4, 31), (2026, 0, 1), (2026, 13, 1), (2026, 1, 0),
        ] {
            #expect(UTCTime(year: year, month: month, day: day, hour: 0, minute: 0, second: 0) == nil)
        }
        #expect(UTCTime(year: 2000, month: 2, day: 29, hour: 23, minute: 59, second: 59)?.seconds == 951_868_799)
        #expect(UTCTime(year: 2026, month: 1, day: 1, hour: 24, minute: 0, second: 0) == nil)
    }
}
