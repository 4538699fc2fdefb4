// SPDX-License-Identifier: Apache-2.0

package import SecureFiles

/// A manifest that was read but not yet authenticated.
package struct LoadedManifest: Sendable {
    package let manifest: Manifest
    package let signature: String
    /// The file it was read from.
    package let file: FileContents

    /// Reads the manifest of a store: the checks of the acceptance guard up to and including "every value is sealed".
    package init(_ store: Store) throws(StoreError) {
        guard try store.hasManifest() else { throw Store.noStore(store.location) }
        try store.checkPermissions(withState: false)
        try self.init(file: store.readManifest())
        // Only now it is known where the state of a manifest elsewhere is.
        try store.checkState(for: manifest.store)
        try checkSealed()
    }

    /// Reads the manifest of a store for a report: what it says, whether or not its values are sealed.
    package init(readableIn store: Store) throws(StoreError) {
        try self.init(file: store.readManifest())
    }

    package init(file: FileContents) throws(StoreError) {
        let reading = try ManifestReader.read(file.bytes.span)
        manifest = try reading.manifest()
        guard let signature = reading.signature else { throw StoreError(.invalid, "the manifest has no 'signature'") }
        try manifest.checkTemplates()
        self.signature = signature
        self.file = file
    }

    /// Checks that every value that is not empty is sealed.
    ///
    /// - Throws: class `unsealed` with the names.
    package func checkSealed() throws(StoreError) {
        var names: [String] = []
        for secret in manifest.secrets {
            guard case .unsealed(let position) = secret.value else { continue }
            names.append("\(secret.name.text) (line \(position.line))")
        }
        guard names.isEmpty else {
            throw StoreError(
                .unsealed,
                "values that are not sealed: \(Names.abbreviated(names))",
                hint: "seal them with: credfs encrypt"
            )
        }
    }

    /// Checks the signature.
    ///
    /// - Throws: class `authentication`.
    package func verified(with keys: StoreKeys) throws(StoreError) -> VerifiedManifest {
        try VerifiedManifest(manifest, signature: signature, keys)
    }
}
