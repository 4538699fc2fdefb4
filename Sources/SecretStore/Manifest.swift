// SPDX-License-Identifier: Apache-2.0

/// What a manifest says (docs/file-format.md): everything but its signature, its order and its comments.
package struct Manifest: Sendable, Equatable {
    /// The one version of the format.
    package static let formatVersion: UInt64 = 1
    /// The largest manifest in bytes.
    package static let maximumByteCount = 64 << 20
    /// The largest depth of nested collections.
    package static let maximumDepth = 16
    /// The most bytes that one secret may have: what `--max-size` can raise the usual limit to.
    package static let maximumSecretByteCount = 16 << 20
    /// The usual limit of one secret, as systemd has it for credentials (src/shared/creds-util.h).
    package static let usualSecretByteCount = 1 << 20

    /// The identity of the store.
    package var store: StoreID
    /// Grows with every write.
    package var generation: UInt64
    /// When the store was made.
    package var created: Timestamp
    /// When it was last written.
    package var updated: Timestamp
    /// When it stops being accepted.
    package var expires: Timestamp?
    /// The ways to the data key, by their identifiers.
    package var slots: [String: KeySlot]
    /// The secrets in the order of the file.
    package var secrets: [SecretEntry]
    /// What people wrote beside it.
    package var comments: ManifestComments

    package init(
        store: StoreID,
        generation: UInt64,
        created: Timestamp,
        updated: Timestamp,
        expires: Timestamp? = nil,
        slots: [String: KeySlot],
        secrets: [SecretEntry],
        comments: ManifestComments = .initial
    ) {
        self.store = store
        self.generation = generation
        self.created = created
        self.updated = updated
        self.expires = expires
        self.slots = slots
        self.secrets = secrets
        self.comments = comments
    }

    /// The position of a secret in `secrets`.
    package func index(of name: SecretName) -> Int? {
        secrets.firstIndex { $0.name == name }
    }
}
