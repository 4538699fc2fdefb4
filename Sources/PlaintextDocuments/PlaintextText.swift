// SPDX-License-Identifier: Apache-2.0

internal import SecretStore
internal import SystemCalls

/// The bytes of a document with plaintext, in memory that is wiped at its end.
///
/// Only in the helper process.
final class PlaintextText {
    private let bytes = WipedBytes()

    /// Reads a descriptor from its start.
    init(descriptor: consuming OwnedDescriptor) throws(StoreError) {
        try bytes.append(descriptor, limit: Manifest.maximumByteCount)
    }

    func read(
        as document: ManifestReader.Document,
        sealer: ManifestReader.Sealer?
    ) throws(StoreError) -> ManifestReader.Reading {
        try bytes.withBytes { (text) throws(StoreError) in
            try ManifestReader.read(text, as: document, sealer: sealer)
        }
    }
}
