// SPDX-License-Identifier: Apache-2.0

internal import FoundationEssentials

/// What `--json` prints: typed, versioned, sorted by key. Never a value.
enum JSONOutput {
    /// The version of every document.
    static let schemaVersion = 1

    /// `verify --json`.
    struct Verification: Encodable {
        struct Check: Encodable {
            let check: String
            let status: String
            let code: Int32
            let message: String
        }

        let schemaVersion = JSONOutput.schemaVersion
        let accepted: Bool
        let authMode: String
        let reason: String?
        let checks: [Check]
    }

    /// `list --json` and `get --json`.
    struct Secrets: Encodable {
        struct Secret: Encodable {
            let name: String
            let service: String?
            let required: Bool
            let filled: Bool
            let format: String?
            let expires: String?
            let updated: String?
            let description: String?
        }

        let schemaVersion = JSONOutput.schemaVersion
        let secrets: [Secret]
    }

    /// The text of a document, with a newline at its end.
    static func text(_ document: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        guard let text = String(bytes: try encoder.encode(document), encoding: .utf8) else {
            throw CommandError(.failed, "cannot write JSON")
        }
        return text + "\n"
    }
}
