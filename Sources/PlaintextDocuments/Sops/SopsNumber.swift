// SPDX-License-Identifier: Apache-2.0

/// Number as sops spells it before it is hashed: an integer in decimal, any other in the fewest digits and without an exponent.
package enum SopsNumber {
    /// Spells a number of JSON or YAML.
    ///
    /// - Returns: nil for what no number is that sops takes.
    package static func text(_ text: String) -> String? {
        if let integer = Int64(text) { return String(integer) }
        guard isDecimal(text), let value = Double(text), value.isFinite else { return nil }
        return plain(value)
    }

    /// Detects `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`.
    static func isDecimal(_ text: String) -> Bool {
        var rest = Substring(text).utf8
        func skipSign() {
            if let first = rest.first, [UInt8(ascii: "-"), UInt8(ascii: "+")].contains(first) { rest.removeFirst() }
        }
        func skipDigits() -> Int {
            let digits = rest.prefix { (0x30...0x39).contains($0) }.count
            rest.removeFirst(digits)
            return digits
        }
        skipSign()
        let whole = skipDigits()
        var part = 0
        if rest.first == UInt8(ascii: ".") {
            rest.removeFirst()
            part = skipDigits()
        }
        guard whole > 0 || part > 0 else { return false }
        if let first = rest.first, [UInt8(ascii: "e"), UInt8(ascii: "E")].contains(first) {
            rest.removeFirst()
            skipSign()
            guard skipDigits() > 0 else { return false }
        }
        return rest.isEmpty
    }

    /// Spells a number without an exponent.
    private static func plain(_ value: Double) -> String {
        let parts = value.magnitude.description.split(separator: "e")
        let digits = parts[0].split(separator: ".", omittingEmptySubsequences: false)
        let exponent = parts.count > 1 ? Int(parts[1]) ?? 0 : 0
        let whole = digits[0]
        var part = digits.count > 1 ? String(digits[1]) : ""
        if part == "0" { part = "" }
        let all = String(whole) + part
        let point = whole.utf8.count + exponent
        var text: String
        if point <= 0 {
            text = "0." + String(repeating: "0", count: -point) + all
        } else if point >= all.utf8.count {
            text = all + String(repeating: "0", count: point - all.utf8.count)
        } else {
            text = "\(all.prefix(point)).\(all.dropFirst(point))"
        }
        if value == 0 { text = "0" }
        return (value.sign == .minus ? "-" : "") + text
    }
}
