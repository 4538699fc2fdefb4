// SPDX-License-Identifier: Apache-2.0

internal import FoundationEssentials

/// A member that is written as null where it is absent, so that a document always has the same members.
struct Nullable<Value: Encodable>: Encodable {
    let value: Value?

    init(_ value: Value?) {
        self.value = value
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        if let value { try container.encode(value) } else { try container.encodeNil() }
    }
}

/// What `--json` prints: typed, versioned, sorted by key.
///
/// Never a value.
enum JSONOutput {
    /// The version of every document.
    static let schemaVersion = 1

    /// The document of `verify --json`.
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
        let reason: Nullable<String>
        let checks: [Check]
    }

    /// The document of `doctor --json`.
    struct Diagnosis: Encodable {
        struct Check: Encodable {
            let check: String
            let status: String
            let message: String
            let fix: Nullable<String>
        }

        let schemaVersion = JSONOutput.schemaVersion
        let ok: Bool
        let checks: [Check]
    }

    /// The document of `list --json` and `get --json`.
    struct Secrets: Encodable {
        struct Secret: Encodable {
            let name: String
            let service: Nullable<String>
            let required: Bool
            let filled: Bool
            let format: Nullable<String>
            let expires: Nullable<String>
            let updated: Nullable<String>
            let description: Nullable<String>
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
