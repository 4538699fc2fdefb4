// SPDX-License-Identifier: Apache-2.0

internal import Sealing
package import SecureMemory

/// Reader of manifests: strict in dialect and schema, and without any use of keys.
package struct ManifestReader {
    /// Kind of document that a text has to be.
    package enum Document: Sendable, Equatable {
        case manifest
        /// A document with at least `secrets`; what it says of its header must be well-formed.
        case template
    }

    /// Content of a document.
    package struct Reading: Sendable {
        /// The header entries that are there.
        package var version: UInt64?
        package var store: StoreID?
        package var generation: UInt64?
        package var created: Timestamp?
        package var updated: Timestamp?
        package var expires: Timestamp?
        package var slots: [String: KeySlot]?
        /// The 64 hexadecimal digits of the signature.
        package var signature: String?
        /// The secrets, in the order of the file.
        package var secrets: [SecretEntry]?
        package var comments = ManifestComments()

        ///
        /// - Throws: where a header entry is missing.
        package func manifest() throws(StoreError) -> Manifest {
            Manifest(
                store: try present(store, "store"),
                generation: try present(generation, "generation"),
                created: try present(created, "created"),
                updated: try present(updated, "updated"),
                expires: expires,
                slots: try present(slots, "slots"),
                secrets: try present(secrets, "secrets"),
                comments: comments
            )
        }

        private func present<T>(_ value: T?, _ key: String) throws(StoreError) -> T {
            guard let value else { throw StoreError(.invalid, "the manifest has no '\(key)'") }
            return value
        }
    }

    /// Seals a plaintext value and puts it into its entry.
    ///
    /// Given only where plaintext is expected: in the helper process.
    package typealias Sealer = (inout SecretEntry, consuming SecureBuffer) throws(StoreError) -> Void

    private var reading = Reading()
    private let sealer: Sealer?

    private init(sealer: Sealer?) {
        self.sealer = sealer
    }

    /// Reads a text.
    ///
    /// - Parameters:
    ///   - text: at most `Manifest.maximumByteCount` bytes.
    ///   - document: its kind.
    ///   - sealer: what to do with plaintext values; without it their place is noted and their bytes are dropped.
    /// - Returns: its content.
    /// - Throws: `StoreError` of class `invalid` with line and column.
    package static func read(
        _ text: Span<UInt8>,
        as document: Document = .manifest,
        sealer: Sealer? = nil
    ) throws(StoreError) -> Reading {
        guard text.count <= Manifest.maximumByteCount else {
            throw StoreError(.invalid, "the manifest is larger than \(Manifest.maximumByteCount >> 20) MiB")
        }
        let reading: Reading
        do throws(StoreError) {
            reading = try YAMLEventReader.read(text) { (events) throws(StoreError) in
                var reader = ManifestReader(sealer: sealer)
                try reader.readDocument(&events)
                return reader.reading
            }
        } catch { throw MergeConflict.error(in: text) ?? error }
        guard reading.secrets != nil else { throw StoreError(.invalid, "the document has no 'secrets'") }
        if document == .manifest {
            guard reading.version != nil else { throw StoreError(.invalid, "the manifest has no 'version'") }
            _ = try reading.manifest()
        }
        return reading
    }

    private mutating func readDocument(_ events: inout YAMLEventReader) throws(StoreError) {
        try events.mapping { (key, events) throws(StoreError) in
            reading.comments.note(events.takeComments(), at: key)
            defer { reading.comments.note(events.takeComments(), at: key) }
            switch key {
            case "version":
                let version = try events.number()
                guard version == Manifest.formatVersion else {
                    throw events.invalid(
                        "format version \(version) is not known",
                        hint: "this manifest was written by a newer credfs"
                    )
                }
                reading.version = version
            case "store":
                guard let store = StoreID(try events.text()) else { throw events.invalid("a UUID is expected") }
                reading.store = store
            case "generation": reading.generation = try events.number()
            case "created": reading.created = try events.timestamp()
            case "updated": reading.updated = try events.timestamp()
            case "expires": reading.expires = try events.timestamp()
            case "slots": reading.slots = try KeySlot.readAll(&events)
            case "secrets": try readSecrets(&events)
            case "signature":
                let text = try events.text()
                guard Base16.bytes(text)?.count == HMACSHA256.byteCount else {
                    throw events.invalid("a signature has 64 lower-case hexadecimal digits")
                }
                reading.signature = text
            default:
                throw events.unknownKey(
                    "version, store, generation, created, updated, expires, slots, secrets and signature"
                )
            }
        }
        try events.expectEnd()
        reading.comments.end = events.takeComments()
    }

    private mutating func readSecrets(_ events: inout YAMLEventReader) throws(StoreError) {
        var secrets: [SecretEntry] = []
        try events.mapping { (key, events) throws(StoreError) in
            guard let name = SecretName(key) else {
                throw events.invalid("bad name of a secret", hint: SecretReference.rule)
            }
            reading.comments.note(events.takeComments(), at: name)
            secrets.append(try SecretEntry.read(name, &events, sealer))
            reading.comments.note(events.takeComments(), at: name)
        }
        reading.secrets = secrets
    }
}
