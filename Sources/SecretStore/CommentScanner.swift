// SPDX-License-Identifier: Apache-2.0

/// Scanner of comments between the tokens of a YAML document, which libyaml passes over.
///
/// Goes over the text once, by the positions of libyaml's marks: those count characters, and a line that is as long as the
/// document is not walked again for each token on it. Nothing inside a token is looked at, so that no line of a value can
/// be taken for a comment, whatever libyaml takes for the end of a line.
@safe
struct CommentScanner {
    // SAFETY: the text outlives the reader that holds this (`YAMLEventReader.read`).
    private let text: UnsafeBufferPointer<UInt8>
    /// The byte up to which the text was looked at, and the number of characters before it; both only grow.
    private var offset = 0
    private var characters = 0
    private var found: [String] = []

    init(_ text: UnsafeBufferPointer<UInt8>) {
        unsafe self.text = text
    }

    /// The place of a byte; its column counts bytes.
    func position(of offset: Int) -> TextPosition {
        var position = TextPosition(line: 1, column: 1)
        for index in unsafe 0..<min(offset, text.count) {
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

    /// Looks at what stands before a token.
    ///
    /// - Parameter start: the first character of the token.
    mutating func scan(before start: Int) {
        while let byte = next, characters < start {
            if byte == UInt8(ascii: "#") { keepLine() } else { advance() }
        }
    }

    /// Passes over a scalar, and looks for a comment behind it on its line.
    ///
    /// - Parameter end: the character that follows the scalar.
    mutating func scan(behind end: Int) {
        pass(end)
        // What may stand between a scalar and a comment: the colon of a key, the ends of flow collections, white space.
        while let byte = next, Self.mayPrecedeComment(byte) { advance() }
        if next == UInt8(ascii: "#") { keepLine() }
    }

    /// Passes over characters, also a block scalar, which ends where the next line begins.
    mutating func pass(_ end: Int) {
        var (offset, characters) = (offset, characters)
        while unsafe offset < text.count {
            // A continuation byte of UTF-8 begins no character.
            if unsafe text[offset] & 0xc0 != 0x80 {
                if characters >= end { break }
                characters += 1
            }
            offset += 1
        }
        (self.offset, self.characters) = (offset, characters)
    }

    private var next: UInt8? { unsafe offset < text.count ? text[offset] : nil }

    /// Steps over one character.
    ///
    /// libyaml has seen that the text is UTF-8 as far as its marks reach.
    private mutating func advance() {
        offset += 1
        while let byte = next, byte & 0xc0 == 0x80 { offset += 1 }
        characters += 1
    }

    private static func mayPrecedeComment(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: ":"), UInt8(ascii: ","), UInt8(ascii: "]"), UInt8(ascii: "}"), 0x20, 0x09: true
        default: false
        }
    }

    private mutating func keepLine() {
        let start = offset
        while next != nil, !endsLine { advance() }
        var end = offset
        while unsafe end > start && (text[end - 1] == 0x20 || text[end - 1] == 0x09) { end -= 1 }
        let bytes = unsafe UnsafeBufferPointer(rebasing: text[start..<end])
        // libyaml refuses what is not UTF-8 when it comes to it.
        guard let comment = try? unsafe UTF8Span(validating: bytes.span) else { return }
        found.append(String(copying: comment))
    }

    /// End of a line as libyaml has it: CR, LF, U+0085, U+2028, U+2029.
    private var endsLine: Bool {
        func byte(_ distance: Int) -> UInt8? {
            unsafe offset + distance < text.count ? text[offset + distance] : nil
        }
        return switch next {
        case UInt8(ascii: "\n"), UInt8(ascii: "\r"): true
        case 0xc2: byte(1) == 0x85
        case 0xe2: byte(1) == 0x80 && (byte(2) == 0xa8 || byte(2) == 0xa9)
        default: false
        }
    }
}
