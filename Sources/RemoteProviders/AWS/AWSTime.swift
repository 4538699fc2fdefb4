// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// Times as AWS writes them.
package enum AWSTime {
    /// Seconds since 1970 by the clock of this machine.
    package static func now() -> Int64 { Int64(time(nil)) }

    /// Time of a signature: `20150830T123600Z`.
    package static func text(_ seconds: Int64) -> String {
        var parts = unsafe tm()
        var time = time_t(seconds)
        unsafe gmtime_r(&time, &parts)
        func digits(_ value: Int32, _ count: Int) -> String {
            let text = String(value)
            return String(repeating: "0", count: max(0, count - text.utf8.count)) + text
        }
        return unsafe digits(parts.tm_year + 1900, 4) + digits(parts.tm_mon + 1, 2) + digits(parts.tm_mday, 2) + "T"
            + digits(parts.tm_hour, 2) + digits(parts.tm_min, 2) + digits(parts.tm_sec, 2) + "Z"
    }

    /// Seconds of a time such as `2026-11-27T05:45:01Z`, with a fraction or an offset if there is one.
    ///
    /// - Returns: nil for any other form.
    package static func seconds(_ text: String) -> Int64? {
        let bytes = Array(text.utf8)
        guard bytes.count >= 20 else { return nil }
        for (index, mark) in [(4, "-"), (7, "-"), (10, "T"), (13, ":"), (16, ":")] where bytes[index] != mark.utf8.first
        {
            return nil
        }
        func number(_ range: Range<Int>, _ allowed: ClosedRange<Int32>) -> Int32? {
            guard bytes.count >= range.upperBound, bytes[range].allSatisfy({ (0x30...0x39).contains($0) }) else {
                return nil
            }
            let number = bytes[range].reduce(Int32(0)) { $0 * 10 + Int32($1 - 0x30) }
            return allowed.contains(number) ? number : nil
        }
        guard let year = number(0..<4, 1970...9999), let month = number(5..<7, 1...12),
            let day = number(8..<10, 1...31), let hour = number(11..<13, 0...23),
            let minute = number(14..<16, 0...59), let second = number(17..<19, 0...60)
        else { return nil }
        var rest = 19
        if bytes[rest] == UInt8(ascii: ".") {
            rest += 1
            while rest < bytes.count, (0x30...0x39).contains(bytes[rest]) { rest += 1 }
        }
        var offset: Int32 = 0
        switch bytes[rest...].count {
        case 1 where bytes[rest] == UInt8(ascii: "Z"): break
        case 6 where bytes[rest + 3] == UInt8(ascii: ":"):
            guard [UInt8(ascii: "+"), UInt8(ascii: "-")].contains(bytes[rest]),
                let hours = number((rest + 1)..<(rest + 3), 0...23),
                let minutes = number((rest + 4)..<(rest + 6), 0...59)
            else { return nil }
            offset = (hours * 60 + minutes) * (bytes[rest] == UInt8(ascii: "+") ? 60 : -60)
        default: return nil
        }
        var parts = unsafe tm()
        unsafe parts.tm_year = year - 1900
        unsafe parts.tm_mon = month - 1
        unsafe parts.tm_mday = day
        unsafe parts.tm_hour = hour
        unsafe parts.tm_min = minute
        unsafe parts.tm_sec = second
        return Int64(unsafe timegm(&parts)) - Int64(offset)
    }
}
