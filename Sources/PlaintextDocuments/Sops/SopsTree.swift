// SPDX-License-Identifier: Apache-2.0

package import SecretStore
internal import SecureJSON

/// Form of a file of sops.
///
/// Each is walked in the order of the file, which is the order in which sops hashes.
package enum SopsForm: String, Sendable, CaseIterable {
    case yaml
    case json
    case dotenv

    /// Tells the form from the first bytes and from lines that only one form has.
    ///
    /// - Throws: class `invalid` for a form that is not supported.
    package init(of text: Span<UInt8>) throws(StoreError) {
        var start = 0
        while start < text.count, text[start] <= 0x20 { start += 1 }
        guard start < text.count else { throw StoreError(.invalid, "the file is empty") }
        if text[start] == UInt8(ascii: "{") {
            self = .json
            return
        }
        var form = Self.yaml
        while start < text.count {
            let line = text.extracting(start..<text.count)
            if line.starts(with: "sops_mac=") || line.starts(with: "sops_version=") { form = .dotenv }
            if line.starts(with: "[sops]") {
                throw StoreError(
                    .invalid,
                    "INI files of sops are not supported",
                    hint: "let sops make another form of it: sops decrypt --output-type json FILE"
                )
            }
            while start < text.count, text[start] != UInt8(ascii: "\n") { start += 1 }
            start += 1
        }
        self = form
    }

    /// Hands out every value of a file.
    ///
    /// - Throws: class `invalid` with line and column.
    func walk(_ text: Span<UInt8>, _ visit: SopsVisit) throws(StoreError) {
        switch self {
        case .yaml: try SopsYAML.walk(text, visit)
        case .json: try SopsJSON.walk(text, visit)
        case .dotenv: try SopsDotenv.walk(text, visit)
        }
    }
}

/// Walks a YAML file.
private enum SopsYAML {
    static func walk(_ text: Span<UInt8>, _ visit: SopsVisit) throws(StoreError) {
        try YAMLEventReader.read(text, foldingLines: true) { (events) throws(StoreError) in
            var path = SopsPath()
            guard try events.next() == .mappingStart else { throw events.invalid("a mapping is expected") }
            try members(&events, &path, visit)
            try events.expectEnd()
        }
    }

    private static func members(
        _ events: inout YAMLEventReader,
        _ path: inout SopsPath,
        _ visit: SopsVisit
    ) throws(StoreError) {
        try events.mappingEntries { (key, events) throws(StoreError) in
            path.push(.key(key))
            try value(try events.next(), &events, &path, visit)
            path.pop()
        }
    }

    private static func value(
        _ event: YAMLEventReader.Event,
        _ events: inout YAMLEventReader,
        _ path: inout SopsPath,
        _ visit: SopsVisit
    ) throws(StoreError) {
        switch event {
        case .mappingStart: try members(&events, &path, visit)
        case .sequenceStart:
            var index = 0
            var event = try events.next()
            while event != .sequenceEnd {
                path.push(.index(index))
                try value(event, &events, &path, visit)
                path.pop()
                index += 1
                event = try events.next()
            }
        default:
            let line = events.position.line
            let isPlain = events.isPlain
            try events.withScalar { (bytes) throws(StoreError) in
                // NOT SECRET: a word of YAML, or a number that is compared with how sops writes it.
                guard isPlain, bytes.count <= longestWord, let text = try? UTF8Span(validating: bytes) else {
                    return try visit(path, .text, bytes, line)
                }
                let word = String(copying: text)
                switch word {
                case "", "~", "null", "Null", "NULL": try visit(path, .null, bytes, line)
                case "true", "True", "TRUE": try visit(path, .boolean(true), bytes, line)
                case "false", "False", "FALSE": try visit(path, .boolean(false), bytes, line)
                default:
                    guard let number = SopsNumber.text(word) else { return try visit(path, .text, bytes, line) }
                    try visit(path, .number, number.utf8.span, line)
                }
            }
        }
    }

    /// The longest text of a number in bytes.
    private static let longestWord = 32
}

/// Walks a JSON file.
private struct SopsJSON {
    private static let maximumDepth = 32

    private var scanner = JSONScanner(maximumDepth: maximumDepth)
    private var path = SopsPath()
    // Where lines were counted to.
    private var counted = 0
    private var line = 1

    static func walk(_ text: Span<UInt8>, _ visit: SopsVisit) throws(StoreError) {
        guard JSONScanner.accepts(text, maximumDepth: maximumDepth) else {
            throw StoreError(.invalid, "the file is not JSON, or nested deeper than \(maximumDepth) levels")
        }
        var walk = SopsJSON()
        walk.scanner.skipSpace(text)
        try walk.value(text, visit)
    }

    /// Reads a value of a text that was accepted.
    private mutating func value(_ text: Span<UInt8>, _ visit: SopsVisit) throws(StoreError) {
        scanner.skipSpace(text)
        let start = scanner.position
        if scanner.take("{", text) { return try members(text, visit) }
        if scanner.take("[", text) { return try elements(text, visit) }
        guard scanner.value(text) else { throw StoreError(.invalid, "the file is not JSON") }
        let range = start..<scanner.position
        let line = countLines(text, to: start)
        switch text[start] {
        case UInt8(ascii: "\""):
            let content = WipedBytes(capacity: range.count)
            var string = JSONString(range)
            while let byte = string.next(in: text) { content.append(byte) }
            try content.withBytes { (bytes) throws(StoreError) in try visit(path, .text, bytes, line) }
        case UInt8(ascii: "t"): try visit(path, .boolean(true), text.extracting(range), line)
        case UInt8(ascii: "f"): try visit(path, .boolean(false), text.extracting(range), line)
        case UInt8(ascii: "n"): try visit(path, .null, text.extracting(range), line)
        default:
            guard let digits = try? UTF8Span(validating: text.extracting(range)),
                let number = SopsNumber.text(String(copying: digits))
            else { throw StoreError(.invalid, "a number that is too large at line \(line)") }
            try visit(path, .number, number.utf8.span, line)
        }
    }

    private mutating func members(_ text: Span<UInt8>, _ visit: SopsVisit) throws(StoreError) {
        var seen: Set<String> = []
        scanner.skipSpace(text)
        if scanner.take("}", text) { return }
        repeat {
            scanner.skipSpace(text)
            let start = scanner.position
            guard scanner.string(text), let key = JSONString(start..<scanner.position).text(in: text),
                seen.insert(key).inserted
            else { throw StoreError(.invalid, "a key that is there twice \(text.place(start))") }
            scanner.skipSpace(text)
            _ = scanner.take(":", text)
            path.push(.key(key))
            try value(text, visit)
            path.pop()
            scanner.skipSpace(text)
        } while scanner.take(",", text)
        _ = scanner.take("}", text)
    }

    private mutating func elements(_ text: Span<UInt8>, _ visit: SopsVisit) throws(StoreError) {
        scanner.skipSpace(text)
        if scanner.take("]", text) { return }
        var index = 0
        repeat {
            path.push(.index(index))
            try value(text, visit)
            path.pop()
            index += 1
            scanner.skipSpace(text)
        } while scanner.take(",", text)
        _ = scanner.take("]", text)
    }

    /// The line of a position that is not before the last one.
    private mutating func countLines(_ text: Span<UInt8>, to position: Int) -> Int {
        for index in counted..<position where text[index] == UInt8(ascii: "\n") { line += 1 }
        counted = position
        return line
    }
}

/// Walks a dotenv file as sops reads it: a line for each value, `\n` for a line feed, no quotes.
private enum SopsDotenv {
    private static let prefix = "sops_"

    static func walk(_ text: Span<UInt8>, _ visit: SopsVisit) throws(StoreError) {
        var start = 0
        var line = 0
        var seen: Set<String> = []
        while start < text.count {
            var end = start
            while end < text.count, text[end] != UInt8(ascii: "\n") { end += 1 }
            let content = text.extracting(start..<end)
            start = end + 1
            line += 1
            guard !content.isEmpty, content[0] != UInt8(ascii: "#") else { continue }
            var equals = 0
            while equals < content.count, content[equals] != UInt8(ascii: "=") { equals += 1 }
            guard equals < content.count else { throw StoreError(.invalid, "'=' is expected at line \(line)") }
            guard let key = try? UTF8Span(validating: content.extracting(0..<equals)),
                seen.insert(String(copying: key)).inserted
            else { throw StoreError(.invalid, "a key that is there twice, or is not UTF-8, at line \(line)") }
            let value = WipedBytes(capacity: content.count)
            unescape(content.extracting(equals + 1..<content.count), into: value)
            let path = path(String(copying: key))
            try value.withBytes { (bytes) throws(StoreError) in try visit(path, .text, bytes, line) }
        }
    }

    private static func unescape(_ text: Span<UInt8>, into value: WipedBytes) {
        var index = 0
        while index < text.count {
            if text[index] == UInt8(ascii: "\\"), index + 1 < text.count, text[index + 1] == UInt8(ascii: "n") {
                value.append(UInt8(ascii: "\n"))
                index += 2
            } else {
                value.append(text[index])
                index += 1
            }
        }
    }

    /// The path that a name stands for: of what sops says of the file, `sops_` and flattened keys.
    private static func path(_ key: String) -> SopsPath {
        var path = SopsPath()
        guard key.hasPrefix(prefix) else {
            path.push(.key(key))
            return path
        }
        path.push(.key("sops"))
        for part in key.dropFirst(prefix.count).split(separator: "__") {
            if part.hasPrefix("list_"), let index = Int(part.dropFirst(5)) {
                path.push(.index(index))
            } else {
                path.push(.key(String(part.hasPrefix("map_") ? part.dropFirst(4) : part)))
            }
        }
        return path
    }
}
