// SPDX-License-Identifier: Apache-2.0

/// The comments of a manifest, each with its `#`: kept from one write to the next, not signed, and nothing's meaning.
///
/// A comment belongs to what stands below it or in front of it on its line.
package struct ManifestComments: Sendable, Equatable {
    /// Comments of the entries of the document, by key.
    package var entries: [String: [String]] = [:]
    package var secrets: [SecretName: [String]] = [:]
    /// Comments behind everything.
    package var end: [String] = []

    /// Comments of a new manifest.
    package static let initial = ManifestComments(entries: [
        "version": [
            "# Sealed by credfs and safe to commit. Names and comments are readable, values are not.",
            "# Change it with: credfs set NAME. After editing by hand: credfs encrypt.",
        ]
    ])

    /// Adds comments to an entry of the document.
    mutating func note(_ comments: [String], at key: String) {
        if !comments.isEmpty { entries[key, default: []] += comments }
    }

    /// Adds comments to a secret.
    mutating func note(_ comments: [String], at name: SecretName) {
        if !comments.isEmpty { secrets[name, default: []] += comments }
    }

    /// Absence of comments by people.
    package var isEmptyButForTheFirst: Bool {
        entries.allSatisfy { $0.key == "version" || $0.value.isEmpty } && secrets.isEmpty && end.isEmpty
    }
}
