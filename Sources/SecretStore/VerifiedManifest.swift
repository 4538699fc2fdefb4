// SPDX-License-Identifier: Apache-2.0

/// Manifest whose signature was checked with the keys of its store: nothing else can make one.
///
/// Its values are sealed, and authenticate themselves when they are opened.
package struct VerifiedManifest: Sendable {
    package let manifest: Manifest
    /// The keys that signed it and open its values.
    package let keys: StoreKeys

    /// Checks a signature.
    ///
    /// - Parameters:
    ///   - manifest: what was signed.
    ///   - signature: 64 hexadecimal digits.
    ///   - keys: the keys of the store.
    /// - Throws: class `authentication` if it is another manifest's, or other keys'.
    package init(_ manifest: Manifest, signature: String, _ keys: StoreKeys) throws(StoreError) {
        guard try keys.isSignature(signature, of: manifest) else {
            throw StoreError(
                .authentication,
                "the signature does not match the manifest",
                hint: "if you edited it yourself: credfs encrypt shows what changed and signs it"
            )
        }
        self.manifest = manifest
        self.keys = keys
    }
}
