// SPDX-License-Identifier: Apache-2.0

/// Writer of manifests: one value per line, so that a change is one line of a diff.
package enum ManifestWriter {
    /// Writes a manifest.
    ///
    /// - Parameters:
    ///   - manifest: the manifest.
    ///   - signature: 64 hexadecimal digits.
    /// - Returns: UTF-8.
    package static func text(_ manifest: Manifest, signature: String) -> [UInt8] {
        text(manifest.header, manifest.secrets, manifest.comments, signature: signature)
    }

    /// Writes a document with the signature it came with, if any, as the helper process hands it back.
    package static func unsignedText(_ reading: ManifestReader.Reading) -> [UInt8] {
        let header = (try? reading.manifest())?.header ?? reading.expires.map { [("expires", .text($0.text))] } ?? []
        return text(header, reading.secrets ?? [], reading.comments, signature: reading.signature)
    }

    /// Writes what a person may edit of a manifest: the secrets, and of the header only when it expires.
    ///
    /// - Parameters:
    ///   - reading: the document.
    ///   - value: text behind `value: `, and on further lines that begin with `valueIndentation`.
    /// - Returns: UTF-8.
    /// - Throws: errors of the function.
    package static func editableText(
        _ reading: ManifestReader.Reading,
        value: (SecretEntry) throws(StoreError) -> [UInt8]
    ) throws(StoreError) -> [UInt8] {
        var writer = Output()
        let secrets = reading.secrets ?? []
        if let expires = reading.expires {
            writer.comments(0, reading.comments.entries["expires"])
            writer.entry(0, "expires", .text(expires.text))
        }
        writer.comments(0, reading.comments.entries["secrets"])
        writer.line(0, secrets.isEmpty ? "secrets: {}\n" : "secrets:\n")
        for secret in secrets {
            writer.comments(1, reading.comments.secrets[secret.name])
            writer.key(1, secret.name.text)
            writer.line(0, ":\n")
            if let template = secret.template {
                writer.entry(2, SecretEntry.templateKey, .lines(template.text))
            } else {
                writer.line(2, "value: ")
                writer.bytes += try value(secret)
                writer.line(0, "\n")
            }
            for (key, node) in secret.attributes { writer.entry(2, key, node) }
        }
        writer.comments(0, reading.comments.end)
        return writer.bytes
    }

    /// Indentation of the further lines of a value in `editableText`, and of a template anywhere.
    package static let valueIndentation = "      "

    private static func text(
        _ header: [(key: String, node: ManifestNode)],
        _ secrets: [SecretEntry],
        _ comments: ManifestComments,
        signature: String?
    ) -> [UInt8] {
        var writer = Output()
        for (key, node) in header {
            writer.comments(0, comments.entries[key])
            writer.entry(0, key, node)
        }
        writer.comments(0, comments.entries["secrets"])
        if secrets.isEmpty {
            writer.line(0, "secrets: {}\n")
        } else {
            writer.line(0, "secrets:\n")
            for secret in secrets {
                writer.comments(1, comments.secrets[secret.name])
                writer.entry(1, secret.name.text, secret.node)
            }
        }
        writer.comments(0, comments.entries["signature"])
        if let signature { writer.entry(0, "signature", .digits(signature)) }
        writer.comments(0, comments.end)
        return writer.bytes
    }

    private struct Output {
        var bytes: [UInt8] = []

        mutating func line(_ depth: Int, _ text: String) {
            for _ in 0..<depth { bytes.append(contentsOf: "  ".utf8) }
            bytes.append(contentsOf: text.utf8)
        }

        mutating func comments(_ depth: Int, _ comments: [String]?) {
            for comment in comments ?? [] { line(depth, comment + "\n") }
        }

        mutating func key(_ depth: Int, _ key: String) {
            line(depth, scalar(key))
        }

        mutating func entry(_ depth: Int, _ key: String, _ node: ManifestNode) {
            self.key(depth, key)
            value(depth, node)
        }

        private mutating func value(_ depth: Int, _ node: ManifestNode) {
            switch node {
            case .text(let text): line(0, ": \(scalar(text))\n")
            case .digits(let text): line(0, ": '\(text)'\n")
            case .lines(let text):
                line(0, ": ")
                // Nothing but text with a zero byte has no scalar, and no template has one.
                bytes += EditableScalar.text(of: text.utf8.span) ?? Array("\"\"".utf8)
                line(0, "\n")
            case .number(let number): line(0, ": \(number)\n")
            case .flag(let flag): line(0, ": \(flag)\n")
            case .list(let items):
                line(0, ":\n")
                for item in items { listItem(depth + 1, item) }
            case .mapping(let pairs):
                line(0, pairs.isEmpty ? ": {}\n" : ":\n")
                for pair in pairs { entry(depth + 1, pair.key, pair.node) }
            }
        }

        private mutating func listItem(_ depth: Int, _ node: ManifestNode) {
            switch node {
            case .text(let text), .digits(let text), .lines(let text): line(depth, "- \(scalar(text))\n")
            case .number(let number): line(depth, "- \(number)\n")
            case .flag(let flag): line(depth, "- \(flag)\n")
            case .list, .mapping:
                // Lists of this format hold scalars and flat mappings.
                guard case .mapping(let pairs) = node else { return }
                for (index, pair) in pairs.enumerated() {
                    line(depth, index == 0 ? "- " : "  ")
                    entry(0, pair.key, pair.node)
                }
            }
        }

        /// Plain where every YAML reader sees the same text, else in single quotes, which have no escapes.
        private func scalar(_ text: String) -> String {
            if isPlain(text) { return text }
            if text.isEmpty { return "\"\"" }
            return "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "''") + "'"
        }

        private func isPlain(_ text: String) -> Bool {
            guard let first = text.utf8.first, (0x41...0x5a).contains(first & 0xdf) else { return false }
            var previous = first
            for character in text.utf8 {
                switch character {
                case 0x30...0x39, 0x41...0x5a, 0x61...0x7a:
                    break
                case UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "/"), UInt8(ascii: "+"),
                    UInt8(ascii: "="), UInt8(ascii: "["), UInt8(ascii: "]"), UInt8(ascii: ","):
                    break
                case UInt8(ascii: ":"):
                    break
                default:
                    return false
                }
                previous = character
            }
            return previous != UInt8(ascii: ":") && !words.contains(text.lowercased())
        }

        // What YAML 1.1 readers take for booleans and null.
        private let words: Set<String> = ["true", "false", "yes", "no", "on", "off", "y", "n", "null"]
    }
}
