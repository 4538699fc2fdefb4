// SPDX-License-Identifier: Apache-2.0

/// Text as a YAML scalar that a person can read, and that is read back byte for byte.
///
/// Of templates everywhere; of values in the editing process alone, since what it returns is plaintext.
package enum EditableScalar {
    /// Writes a value.
    ///
    /// - Returns: the YAML without a newline at its end; nil where the value is no text, or begins like a sealed one.
    package static func text(of content: Span<UInt8>) -> [UInt8]? {
        guard !startsLikeSealed(content), let scalars = scalars(of: content) else { return nil }
        if isWord(scalars) { return scalars.map { UInt8(truncatingIfNeeded: $0.value) } }
        if !scalars.isEmpty, scalars.allSatisfy(isVisible) { return singleQuoted(scalars) }
        return block(scalars) ?? doubleQuoted(scalars)
    }

    private static func startsLikeSealed(_ content: Span<UInt8>) -> Bool {
        let opening = Array(SealedValue.opening.utf8)
        guard content.count >= opening.count else { return false }
        return opening.indices.allSatisfy { content[$0] == opening[$0] }
    }

    /// The characters; nil for what is not UTF-8 or holds NUL.
    private static func scalars(of content: Span<UInt8>) -> [Unicode.Scalar]? {
        guard let text = try? UTF8Span(validating: content) else { return nil }
        var scalars: [Unicode.Scalar] = []
        scalars.reserveCapacity(content.count)
        var iterator = text.makeUnicodeScalarIterator()
        while let scalar = iterator.next() {
            if scalar.value == 0 { return nil }
            scalars.append(scalar)
        }
        return scalars
    }

    // What YAML 1.1 readers take for booleans and null.
    private static let words: [[UInt8]] = ["true", "false", "yes", "no", "on", "off", "y", "n", "null"]
        .map { Array($0.utf8) }

    /// Detects a scalar that needs no quotes, in any reader of YAML.
    private static func isWord(_ scalars: [Unicode.Scalar]) -> Bool {
        guard let first = scalars.first, isLetter(first) else { return false }
        for scalar in scalars {
            switch scalar {
            case _ where isLetter(scalar), "0"..."9", "_", "-", ".", "/", "+", "=": continue
            default: return false
            }
        }
        guard scalars.count <= 5 else { return true }
        let lower = scalars.map { UInt8(truncatingIfNeeded: $0.value | 0x20) }
        return !words.contains(lower)
    }

    private static func isLetter(_ scalar: Unicode.Scalar) -> Bool {
        (0x41...0x5a).contains(scalar.value & ~0x20)
    }

    /// Detects a character that looks like itself and like nothing else, wherever it stands.
    private static func isVisible(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.isASCII { return (0x20...0x7e).contains(scalar.value) }
        switch scalar.properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter, .nonspacingMark,
            .spacingMark, .enclosingMark, .decimalNumber, .letterNumber, .otherNumber, .connectorPunctuation,
            .dashPunctuation, .openPunctuation, .closePunctuation, .initialPunctuation, .finalPunctuation,
            .otherPunctuation, .mathSymbol, .currencySymbol, .modifierSymbol, .otherSymbol:
            return true
        default:
            return false
        }
    }

    private static func singleQuoted(_ scalars: [Unicode.Scalar]) -> [UInt8] {
        var bytes: [UInt8] = [UInt8(ascii: "'")]
        for scalar in scalars {
            if scalar == "'" { bytes.append(UInt8(ascii: "'")) }
            bytes.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
        }
        bytes.append(UInt8(ascii: "'"))
        return bytes
    }

    /// A literal block, for several lines that no editor would change by itself: none begins the whole with white space,
    /// none ends with it, and there is at most one newline at the end.
    private static func block(_ scalars: [Unicode.Scalar]) -> [UInt8]? {
        var lines = scalars.split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.count > 1, let first = lines.first?.first, first != " ", first != "\t" else { return nil }
        let endsInNewline = lines.last?.isEmpty == true
        if endsInNewline { lines.removeLast() }
        guard lines.last?.isEmpty == false else { return nil }
        for line in lines {
            guard line.allSatisfy({ $0 == "\t" || isVisible($0) }), line.last != " ", line.last != "\t" else {
                return nil
            }
        }
        var bytes = Array((endsInNewline ? "|" : "|-").utf8)
        for line in lines {
            bytes.append(UInt8(ascii: "\n"))
            if line.isEmpty { continue }
            bytes.append(contentsOf: ManifestWriter.valueIndentation.utf8)
            for scalar in line { bytes.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter) }
        }
        return bytes
    }

    private static func doubleQuoted(_ scalars: [Unicode.Scalar]) -> [UInt8] {
        var bytes: [UInt8] = [UInt8(ascii: "\"")]
        for scalar in scalars {
            switch scalar {
            case "\"", "\\": bytes += [UInt8(ascii: "\\"), UInt8(truncatingIfNeeded: scalar.value)]
            case "\n": bytes += Array("\\n".utf8)
            case "\r": bytes += Array("\\r".utf8)
            case "\t": bytes += Array("\\t".utf8)
            case _ where isVisible(scalar):
                bytes.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
            default: bytes += escape(scalar)
            }
        }
        bytes.append(UInt8(ascii: "\""))
        return bytes
    }

    private static func escape(_ scalar: Unicode.Scalar) -> [UInt8] {
        let (letter, width) = scalar.value <= 0xff ? ("x", 2) : scalar.value <= 0xffff ? ("u", 4) : ("U", 8)
        let digits = Array("0123456789abcdef".utf8)
        var bytes = Array("\\\(letter)".utf8)
        for place in (0..<width).reversed() { bytes.append(digits[Int(scalar.value >> (4 * place) & 15)]) }
        return bytes
    }
}
