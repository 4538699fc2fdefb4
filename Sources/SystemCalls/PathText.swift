// SPDX-License-Identifier: Apache-2.0

/// Text for a path, whatever its bytes are.
///
/// A path that is UTF-8 is its own text. Any other is `bytes:` and the path, in which a backslash is `\\` and a byte that is
/// none of a UTF-8 sequence `\xNN`: an absolute path begins with a slash, so no two paths have one text.
package enum PathText {
    /// Prefix of a path that is not UTF-8.
    package static let prefix = "bytes:"

    /// Makes the text.
    package static func text(of path: Span<UInt8>) -> String {
        if let text = try? UTF8Span(validating: path) { return String(copying: text) }
        var text = prefix
        var index = 0
        while index < path.count {
            let rest = path.extracting(index..<min(path.count, index + 4))
            let length = (1...rest.count).first { (try? UTF8Span(validating: rest.extracting(0..<$0))) != nil }
            guard let length, let part = try? UTF8Span(validating: rest.extracting(0..<length)) else {
                let digits = String(path[index], radix: 16)
                text += "\\x" + (digits.count < 2 ? "0" : "") + digits
                index += 1
                continue
            }
            text += path[index] == UInt8(ascii: "\\") ? "\\\\" : String(copying: part)
            index += length
        }
        return text
    }
}
