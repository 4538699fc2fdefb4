// SPDX-License-Identifier: Apache-2.0

internal import Sealing
package import SecretStore

/// Request of an import to the helper process; nothing of it is secret, so it travels in its arguments.
package struct ImportRequest: Sendable, Equatable {
    /// Format of a document.
    package enum Format: String, Sendable, CaseIterable {
        case dotenv
        case json
        case yaml
        /// A Fernet token with a document, or with one value.
        case fernet
        /// A file that sops has encrypted.
        case sops
    }

    /// Treatment of a name that stands in a dotenv file more than once.
    package enum Duplicates: String, Sendable, CaseIterable {
        case refuse
        case first
        case last
    }

    /// Format of the document.
    package var format: Format
    /// Format of the document in a Fernet token; nil guesses it from the first byte.
    package var innerFormat: Format?
    /// The secret whose value a Fernet token or a binary file of sops is; nil if there is a document in it.
    package var name: SecretReference?
    /// The name is that of the file: it counts only for what has no names itself.
    package var hasGuessedName = false
    /// Treatment of a name that is there more than once.
    package var duplicates = Duplicates.refuse
    /// Values that are Fernet tokens are opened, too: then a Fernet key is handed over.
    package var hasFernetKey = false

    /// Makes a request.
    package init(_ format: Format) {
        self.format = format
    }

    /// The arguments behind the mode of the helper process.
    package var arguments: [String] {
        [
            Self.word, format.rawValue, innerFormat?.rawValue ?? "", duplicates.rawValue,
            hasFernetKey ? "key" : "", name?.argument ?? "", hasGuessedName ? "guess" : "",
        ]
    }

    /// Reads the arguments back.
    package init?(_ arguments: ArraySlice<String>) {
        let words = Array(arguments)
        guard words.count == 7, words[0] == Self.word, let format = Format(rawValue: words[1]),
            let duplicates = Duplicates(rawValue: words[3])
        else { return nil }
        self.format = format
        innerFormat = Format(rawValue: words[2])
        self.duplicates = duplicates
        hasFernetKey = words[4] == "key"
        name = SecretReference(words[5])
        hasGuessedName = words[6] == "guess"
    }

    /// The first argument behind the mode, where the document is not one to be sealed as a whole.
    static let word = "import"
}

extension SecretReference {
    /// Name as a person would write it.
    var argument: String {
        guard let service else { return name.text }
        return "\(service)/\(name.text.dropFirst(service.utf8.count + 1))"
    }
}

/// A name that a source of values has.
package struct ImportedName: Sendable, Equatable {
    /// NAME or SERVICE/KEY.
    package let text: String
    /// Null in the source: there is no value.
    package var isNull = false
    /// Value with a `$` that other readers would replace.
    package var looksExpandable = false
    /// Value that was a Fernet token.
    package var wasToken = false

    /// Makes a name.
    package init(_ text: String) {
        self.text = text
    }

    /// The name as a line for the caller of the helper process.
    var line: String {
        "\(isNull ? "n" : "-")\(looksExpandable ? "$" : "-")\(wasToken ? "t" : "-")\(text)"
    }

    /// Reads the line back.
    init?(line: String) {
        let flags = Array(line.utf8.prefix(3))
        guard flags.count == 3 else { return nil }
        text = String(line.dropFirst(3))
        isNull = flags[0] == UInt8(ascii: "n")
        looksExpandable = flags[1] == UInt8(ascii: "$")
        wasToken = flags[2] == UInt8(ascii: "t")
    }
}

/// Target of an imported value.
package struct ImportTarget: Sendable, Equatable {
    /// The secret that it is sealed for.
    package let name: SecretName
    /// Base64 of what is sealed.
    package let isBase64: Bool

    /// Makes a target.
    package init(_ name: SecretName, isBase64: Bool = false) {
        self.name = name
        self.isBase64 = isBase64
    }

    /// Targets as lines for the helper process, empty for a value that is left out.
    package static func lines(_ targets: [ImportTarget?]) -> String {
        targets.map { target in target.map { ($0.isBase64 ? "b" : "-") + $0.name.text } ?? "" }
            .joined(separator: "\n")
    }

    /// Reads the lines back.
    package static func targets(_ lines: String) -> [ImportTarget?] {
        lines.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            SecretName(String(line.dropFirst())).map { ImportTarget($0, isBase64: line.first == "b") }
        }
    }
}
