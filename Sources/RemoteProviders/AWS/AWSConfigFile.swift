// SPDX-License-Identifier: Apache-2.0

package import SecretProviders
package import SecureMemory

/// File of profiles of AWS (`~/.aws/config`, `~/.aws/credentials`): sections in brackets, `key = value` below them.
///
/// The text stays in locked memory; a value is copied when it is asked for.
package final class AWSConfigFile: Sendable {
    private struct Entry: Sendable {
        let section: String
        let key: String
        let value: Range<Int>
    }

    /// The largest file in bytes.
    static let limit = 1 << 20

    private let text: SecureBuffer
    private let entries: [Entry]
    private let sections: Set<String>

    /// Reads a text.
    ///
    /// A line that is none of the form is passed over, as others do.
    package init(_ text: consuming SecureBuffer) {
        var entries: [Entry] = []
        var sections: Set<String> = []
        var section: String?
        text.withBytes { bytes in
            var start = 0
            while start < bytes.count {
                var end = start
                while end < bytes.count, bytes[end] != UInt8(ascii: "\n") { end += 1 }
                let line = start..<end
                start = end + 1
                // What is set in belongs to the line before: settings of a service.
                guard let first = line.first.map({ bytes[$0] }), !Self.isSpace(first), !"#;".utf8.contains(first)
                else { continue }
                if first == UInt8(ascii: "[") {
                    section = Self.section(line, bytes)
                    if let section { sections.insert(section) }
                } else if let section, let entry = Self.entry(line, bytes, section) {
                    entries.append(entry)
                }
            }
        }
        self.entries = entries
        self.sections = sections
        self.text = text
    }

    /// The file has a section of this name.
    package func has(_ section: String) -> Bool { sections.contains(section) }

    /// A value that is not secret; nil where there is none, or an empty one.
    package func text(_ key: String, in section: String) -> String? {
        guard let range = range(key, section) else { return nil }
        return text.withBytes { Self.text(range, $0) }
    }

    /// A value in locked memory.
    ///
    /// - Returns: nil where there is none, or an empty one.
    /// - Throws: where there is no memory for it.
    package func secret(_ key: String, in section: String) throws(ProviderError) -> SecureBuffer? {
        guard let range = range(key, section) else { return nil }
        return try text.withBytes { (bytes) throws(ProviderError) in
            try SecureBuffer.copying(bytes.extracting(range))
        }
    }

    /// Of a key that is there twice, the last one counts.
    private func range(_ key: String, _ section: String) -> Range<Int>? {
        entries.last { $0.section == section && $0.key == key }.flatMap { $0.value.isEmpty ? nil : $0.value }
    }

    /// `[name]`, `[profile name]`.
    private static func section(_ line: Range<Int>, _ bytes: Span<UInt8>) -> String? {
        guard let end = line.first(where: { bytes[$0] == UInt8(ascii: "]") }) else { return nil }
        return text((line.lowerBound + 1)..<end, bytes).map {
            $0.split { $0 == " " || $0 == "\t" }.joined(separator: " ")
        }
    }

    private static func entry(_ line: Range<Int>, _ bytes: Span<UInt8>, _ section: String) -> Entry? {
        guard let equals = line.first(where: { bytes[$0] == UInt8(ascii: "=") }),
            let key = text(trimmed(line.lowerBound..<equals, bytes), bytes)
        else { return nil }
        return Entry(section: section, key: key.lowercased(), value: trimmed((equals + 1)..<line.upperBound, bytes))
    }

    private static func trimmed(_ range: Range<Int>, _ bytes: Span<UInt8>) -> Range<Int> {
        var (start, end) = (range.lowerBound, range.upperBound)
        while start < end, isSpace(bytes[start]) { start += 1 }
        while end > start, isSpace(bytes[end - 1]) { end -= 1 }
        return start..<end
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0d }

    private static func text(_ range: Range<Int>, _ bytes: Span<UInt8>) -> String? {
        bytes.extracting(range).text
    }
}
