// SPDX-License-Identifier: Apache-2.0

internal import SecureJSON

/// Format check of content, which is only looked at, never decoded or changed.
///
/// One newline at the end is allowed by every format, since most tools write it.
extension SecretEntry.Format {
    package func accepts(_ content: Span<UInt8>) -> Bool {
        var line = content
        if let last = content.indices.last, content[last] == UInt8(ascii: "\n") {
            line = content.extracting(0..<last)
        }
        switch self {
        case .text: return Self.isText(content)
        case .json: return JSONScanner.accepts(content)
        case .hex32: return Self.isHex32(line)
        case .pem: return PEMSyntax.accepts(content)
        case .base64: return Base64Syntax.accepts(line)
        }
    }

    /// UTF-8 without NUL.
    private static func isText(_ content: Span<UInt8>) -> Bool {
        for index in content.indices where content[index] == 0 { return false }
        return (try? UTF8Span(validating: content)) != nil
    }

    /// 32 bytes as 64 hexadecimal digits of either case.
    private static func isHex32(_ content: Span<UInt8>) -> Bool {
        guard content.count == 64 else { return false }
        for index in content.indices {
            switch content[index] {
            case 0x30...0x39, 0x41...0x46, 0x61...0x66: continue
            default: return false
            }
        }
        return true
    }
}

/// Standard Base64 (RFC 4648 section 4), padded, on one line or on several of the same tool's width.
enum Base64Syntax {
    static func accepts(_ content: Span<UInt8>) -> Bool {
        var count = 0
        var padding = 0
        for index in content.indices {
            let character = content[index]
            switch character {
            case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, UInt8(ascii: "+"), UInt8(ascii: "/"):
                guard padding == 0 else { return false }
                count += 1
            case UInt8(ascii: "="):
                padding += 1
                count += 1
            case UInt8(ascii: "\n"), UInt8(ascii: "\r"):
                continue
            default:
                return false
            }
        }
        return count > 0 && count.isMultiple(of: 4) && padding <= 2
    }
}

/// One or more blocks of RFC 7468: matching labels and Base64 between them, explanatory text around them.
enum PEMSyntax {
    private static let begin = "-----BEGIN "
    private static let end = "-----END "
    private static let dashes = "-----"

    static func accepts(_ content: Span<UInt8>) -> Bool {
        var blocks = 0
        var opened: Range<Int>?
        var body = 0
        var start = 0
        while start < content.count {
            var stop = start
            while stop < content.count, content[stop] != UInt8(ascii: "\n") { stop += 1 }
            var lineEnd = stop
            while lineEnd > start, isBlank(content[lineEnd - 1]) { lineEnd -= 1 }
            let line = content.extracting(start..<lineEnd)
            if let label = label(line, begin, from: start) {
                guard opened == nil else { return false }
                opened = label
                body = stop + 1
            } else if let label = label(line, end, from: start) {
                guard let begun = opened, same(content, begun, label),
                    hasBase64(content.extracting(min(body, start)..<start))
                else { return false }
                opened = nil
                blocks += 1
            }
            start = stop + 1
        }
        return blocks > 0 && opened == nil
    }

    private static func label(_ line: Span<UInt8>, _ mark: String, from start: Int) -> Range<Int>? {
        guard line.starts(with: mark), line.count >= mark.utf8.count + dashes.utf8.count,
            line.extracting(line.count - dashes.utf8.count..<line.count).starts(with: dashes)
        else { return nil }
        return start + mark.utf8.count..<start + line.count - dashes.utf8.count
    }

    private static func same(_ content: Span<UInt8>, _ left: Range<Int>, _ right: Range<Int>) -> Bool {
        guard left.count == right.count else { return false }
        for (left, right) in zip(left, right) where content[left] != content[right] { return false }
        return true
    }

    /// The body of a block: Base64, after the headers and the empty line that RFC 1421 allows.
    private static func hasBase64(_ block: Span<UInt8>) -> Bool {
        var start = 0
        for index in block.indices where block[index] == UInt8(ascii: ":") {
            // A header: the body begins behind the empty line that ends the headers.
            guard let empty = emptyLine(block, from: index) else { return false }
            start = empty
            break
        }
        return Base64Syntax.accepts(block.extracting(start..<block.count))
    }

    private static func emptyLine(_ block: Span<UInt8>, from start: Int) -> Int? {
        var isEmpty = false
        for index in start..<block.count {
            switch block[index] {
            case UInt8(ascii: "\n"):
                if isEmpty { return index + 1 }
                isEmpty = true
            case UInt8(ascii: "\r"): continue
            default: isEmpty = false
            }
        }
        return nil
    }

    private static func isBlank(_ character: UInt8) -> Bool {
        character == UInt8(ascii: " ") || character == UInt8(ascii: "\t") || character == UInt8(ascii: "\r")
    }
}
