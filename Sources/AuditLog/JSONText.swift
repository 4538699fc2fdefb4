// SPDX-License-Identifier: Apache-2.0

internal import SecureJSON

/// JSON as the log has it (RFC 8259): written by hand, so that appending an entry costs microseconds.
package struct JSONText {
    private(set) var bytes: [UInt8] = []
    private var needsComma = false

    mutating func begin() {
        bytes.append(UInt8(ascii: "{"))
        needsComma = false
    }

    mutating func end() {
        bytes.append(UInt8(ascii: "}"))
        needsComma = true
    }

    mutating func key(_ key: String) {
        if needsComma { bytes.append(UInt8(ascii: ",")) }
        string(key)
        bytes.append(UInt8(ascii: ":"))
        needsComma = true
    }

    mutating func member(_ key: String, _ value: String?) {
        self.key(key)
        if let value { string(value) } else { bytes.append(contentsOf: "null".utf8) }
    }

    mutating func member(_ key: String, number: (some FixedWidthInteger)?) {
        self.key(key)
        bytes.append(contentsOf: (number.map { String($0) } ?? "null").utf8)
    }

    /// The most bytes that a text takes in a list.
    static func largestByteCount(of text: String) -> Int {
        let isPlain = text.utf8.allSatisfy { (0x20..<0x7f).contains($0) && ![0x22, 0x5c].contains($0) }
        return (isPlain ? 1 : 6) * text.utf8.count + 3
    }

    /// Texts beyond what a list may take are left out.
    mutating func member(_ key: String, list: [String]) {
        self.key(key)
        bytes.append(UInt8(ascii: "["))
        needsComma = false
        let limit = bytes.count + AuditLine.maximumListByteCount
        for text in list {
            if bytes.count + Self.largestByteCount(of: text) > limit { break }
            if needsComma { bytes.append(UInt8(ascii: ",")) }
            string(text)
            needsComma = true
        }
        bytes.append(UInt8(ascii: "]"))
        needsComma = true
    }

    private static func escaped(_ scalar: Unicode.Scalar) -> [UInt8] {
        switch scalar {
        case "\"", "\\":
            return [UInt8(ascii: "\\"), UInt8(ascii: scalar)]
        case "\u{00}"..<"\u{20}", "\u{7f}"..<"\u{a0}", "\u{2028}", "\u{2029}":
            return Array(JSONString.escape(scalar.value).utf8)
        default:
            return UTF8.encode(scalar).map(Array.init) ?? []
        }
    }

    /// Long text is cut, so that no path can make a line that is none.
    private mutating func string(_ text: String) {
        bytes.append(UInt8(ascii: "\""))
        var count = 0
        for scalar in text.unicodeScalars {
            let characters = Self.escaped(scalar)
            count += characters.count
            if count > AuditLine.maximumTextByteCount { break }
            bytes += characters
        }
        bytes.append(UInt8(ascii: "\""))
    }
}
