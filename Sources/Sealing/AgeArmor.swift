// SPDX-License-Identifier: Apache-2.0

/// The ASCII armor of age files: strict PEM with lines of 64 characters.
package enum AgeArmor {
    private static let begin = "-----BEGIN AGE ENCRYPTED FILE-----"
    private static let end = "-----END AGE ENCRYPTED FILE-----"
    private static let columns = 64

    /// Detects armor: an age file itself begins with other bytes.
    package static func isArmored(_ text: Span<UInt8>) -> Bool {
        text.extracting(trimmed(text)).begins(with: "-----BEGIN AGE")
    }

    /// Decodes the file inside.
    ///
    /// White space around the armor and CRLF are accepted, nothing else that differs.
    ///
    /// - Throws: `AgeError.malformedArmor`.
    package static func decode(_ text: Span<UInt8>) throws(AgeError) -> [UInt8] {
        var lines = lines(of: text, trimmed(text))
        guard lines.count >= 2, equals(text.extracting(lines.removeFirst()), begin),
            equals(text.extracting(lines.removeLast()), end)
        else { throw .malformedArmor }
        var characters: [UInt8] = []
        characters.reserveCapacity(lines.count * columns)
        for (index, line) in lines.enumerated() {
            let isLast = index == lines.count - 1
            guard line.count == columns || isLast && (1..<columns).contains(line.count) else { throw .malformedArmor }
            for position in line { characters.append(text[position]) }
        }
        guard let count = Base64.decodedCount(characters.span, .standard) else { throw .malformedArmor }
        var bytes = [UInt8](repeating: 0, count: count)
        var span = bytes.mutableSpan
        guard Base64.decode(characters.span, .standard, into: &span) else { throw .malformedArmor }
        return bytes
    }

    /// Encodes a file.
    package static func encode(_ file: Span<UInt8>) -> [UInt8] {
        var characters = [UInt8](repeating: 0, count: Base64.encodedCount(file.count, .standard))
        var span = characters.mutableSpan
        Base64.encode(file, .standard, into: &span)
        var text = Array(begin.utf8) + [UInt8(ascii: "\n")]
        for start in stride(from: 0, to: characters.count, by: columns) {
            text += characters[start..<min(start + columns, characters.count)]
            text.append(UInt8(ascii: "\n"))
        }
        return text + Array(end.utf8) + [UInt8(ascii: "\n")]
    }

    private static func trimmed(_ text: Span<UInt8>) -> Range<Int> {
        func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0d).contains(byte) }
        var start = 0
        var end = text.count
        while start < end, isSpace(text[start]) { start += 1 }
        while end > start, isSpace(text[end - 1]) { end -= 1 }
        return start..<end
    }

    private static func lines(of text: Span<UInt8>, _ range: Range<Int>) -> [Range<Int>] {
        var lines: [Range<Int>] = []
        var start = range.lowerBound
        for index in range where text[index] == UInt8(ascii: "\n") {
            lines.append(start..<(index > start && text[index - 1] == UInt8(ascii: "\r") ? index - 1 : index))
            start = index + 1
        }
        lines.append(start..<range.upperBound)
        return lines
    }

    private static func equals(_ line: Span<UInt8>, _ text: String) -> Bool {
        line.count == text.utf8.count && line.begins(with: text)
    }
}
