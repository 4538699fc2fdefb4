// SPDX-License-Identifier: Apache-2.0

/// Meaning of a manifest (docs/file-format.md): everything but its signature, its order and its comments.
package struct Manifest: Sendable, Equatable {
    /// Version of the format; there is one.
    package static let formatVersion: UInt64 = 1
    /// The largest manifest in bytes.
    package static let maximumByteCount = 64 << 20
    /// Limit of nesting.
    package static let maximumDepth = 16
    /// Limit of one secret in bytes, to which `--max-size` can raise the usual one.
    package static let maximumSecretByteCount = 16 << 20
    /// The usual limit of one secret, as systemd has it for credentials (src/shared/creds-util.h).
    package static let usualSecretByteCount = 1 << 20

    package var store: StoreID
    /// Generation: one more with every write.
    package var generation: UInt64
    package var created: Timestamp
    /// Time of the last write.
    package var updated: Timestamp
    /// Expiry: the store is not accepted from then on.
    package var expires: Timestamp?
    /// Key slots by their identifiers.
    package var slots: [String: KeySlot]
    /// The secrets in the order of the file.
    package var secrets: [SecretEntry]
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
