// SPDX-License-Identifier: Apache-2.0

/// The comments of a manifest, each with its `#`: kept from one write to the next, not signed, and nothing's meaning.
///
/// A comment belongs to what stands below it or in front of it on its line.
package struct ManifestComments: Sendable, Equatable {
    /// Those of the entries of the document, by key.
    package var entries: [String: [String]] = [:]
    /// Those of secrets.
    package var secrets: [SecretName: [String]] = [:]
    /// Those behind everything.
    package var end: [String] = []

    /// What a new manifest begins with.
    package static let initial = ManifestComments(entries: [
        "version": [
            "# Sealed by credfs and safe to commit. Names and comments are readable, values are not.",
            "# Change it with: credfs set NAME. After editing by hand: credfs encrypt.",
        ]
    ])

    /// Adds comments to an entry of the document.
    mutating func note(_ comments: [String], at key: String) {
        if !comments.isEmpty { entries[key, default: []] += comments }
    }

    /// Adds comments to a secret.
    mutating func note(_ comments: [String], at name: SecretName) {
        if !comments.isEmpty { secrets[name, default: []] += comments }
    }

    /// Whether people wrote any.
    package var isEmptyButForTheFirst: Bool {
        entries.allSatisfy { $0.key == "version" || $0.value.isEmpty } && secrets.isEmpty && end.isEmpty
    }
}

/// Finds comments between the events of a document, which libyaml passes over.
@safe
struct CommentScanner {
    // SAFETY: the text outlives the reader that holds this (`YAMLEventReader.read`).
    private let text: UnsafeBufferPointer<UInt8>
    /// The next line that was not looked at yet, and where it begins; both only grow.
    private var line = 0
    private var lineStart = 0
    private var found: [String] = []

    private var count: Int { unsafe text.count }

    init(_ text: UnsafeBufferPointer<UInt8>) {
        unsafe self.text = text
    }

    /// The place of a byte; its column counts bytes.
    func position(of offset: Int) -> TextPosition {
        var position = TextPosition(line: 1, column: 1)
        for index in 0..<min(offset, count) {
            let endsLine = unsafe text[index] == UInt8(ascii: "\n")
            position = TextPosition(
                line: position.line + (endsLine ? 1 : 0),
                column: endsLine ? 1 : position.column + 1
            )
        }
        return position
    }

    /// Hands out what was found since the last time.
    mutating func take() -> [String] {
        defer { found = [] }
        return found
    }

    /// Looks at the lines above a line, as far as they were not looked at yet.
    mutating func scan(above end: Int) {
        while line < end, lineStart < count {
            let range = currentLine()
            if let start = firstCharacter(range), unsafe text[start] == UInt8(ascii: "#") {
                keep(start..<range.upperBound)
            }
            advance(range)
        }
    }

    /// Looks behind a scalar that ends on a line, and passes over that line.
    mutating func scan(behind column: Int, on number: Int) {
        scan(above: number)
        guard line == number, lineStart < count else { return }
        let range = currentLine()
        var position = range.lowerBound
        var characters = 0
        while position < range.upperBound {
            // Columns count characters, not bytes.
            if unsafe text[position] & 0xc0 != 0x80 {
                if characters == column { break }
                characters += 1
            }
            position += 1
        }
        // What may stand between a scalar and a comment: the colon of a key, the ends of flow collections, white space.
        let between = Array(":,]} \t".utf8)
        while position < range.upperBound, unsafe between.contains(text[position]) { position += 1 }
        guard position < range.upperBound, unsafe text[position] == UInt8(ascii: "#") else { return }
        keep(position..<range.upperBound)
        advance(range)
    }

    /// Passes over lines without looking at them.
    mutating func pass(_ end: Int) {
        while line < end, lineStart < count { advance(currentLine()) }
    }

    private func currentLine() -> Range<Int> {
        var end = lineStart
        while end < count, unsafe text[end] != UInt8(ascii: "\n") { end += 1 }
        return lineStart..<end
    }

    private mutating func advance(_ range: Range<Int>) {
        lineStart = range.upperBound + 1
        line += 1
    }

    private func firstCharacter(_ range: Range<Int>) -> Int? {
        range.first { unsafe text[$0] != UInt8(ascii: " ") && text[$0] != UInt8(ascii: "\t") }
    }

    private mutating func keep(_ range: Range<Int>) {
        var end = range.upperBound
        while end > range.lowerBound, unsafe [0x20, 0x09, 0x0d].contains(text[end - 1]) { end -= 1 }
        let bytes = unsafe UnsafeBufferPointer(rebasing: text[range.lowerBound..<end])
        // libyaml refuses what is not UTF-8 when it comes to it.
        guard let comment = try? unsafe UTF8Span(validating: bytes.span) else { return }
        found.append(String(copying: comment))
    }
}
