// SPDX-License-Identifier: Apache-2.0

internal import SecretStore
internal import SecureJSON

/// Documents of `--json`: versioned, sorted by key, with null for a member that is absent.
///
/// Never a value.
enum JSONOutput {
    /// The version of every document.
    static let schemaVersion = JSONValue.number("1")

    /// The text of a document, with a newline at its end.
    static func text(_ members: [String: JSONValue]) -> String {
        JSONValue.object(members.merging(["schemaVersion": schemaVersion]) { $1 }).text(.indented) + "\n"
    }

    /// The document of `list --json` and `get --json`.
    static func secrets(_ entries: [SecretEntry]) -> String {
        text([
            "secrets": .array(
                entries.map { entry in
                    .object([
                        "name": .string(entry.name.text),
                        "service": .string(orNull: entry.service),
                        "required": .boolean(entry.required),
                        "filled": .boolean(entry.value != .empty),
                        "format": .string(orNull: entry.format?.rawValue),
                        "newline": .string(entry.newline.rawValue),
                        "mode": .string(entry.mode.rawValue),
                        "expires": .string(orNull: entry.expires?.text),
                        "updated": .string(orNull: entry.rotated?.text),
                        "description": .string(orNull: entry.description),
                        "template": .string(orNull: entry.template?.text),
                    ])
                }
            )
        ])
    }
}
