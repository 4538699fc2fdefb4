// SPDX-License-Identifier: Apache-2.0

/// Key material that several tasks of a command need.
///
/// A class, since a noncopyable value cannot be kept in a list.
package final class PresentedKey: Sendable {
    private let material: KeyMaterial

    /// Takes over what was presented.
    package init(_ material: consuming KeyMaterial) {
        self.material = material
    }

    /// Opens a manifest, as `Store.open` does.
    package func open(
        _ manifest: Manifest,
        of store: Store,
        slot: String? = nil
    ) throws(StoreError) -> Manifest.Opening {
        try store.open(manifest, with: material, slot: slot)
    }

    /// Whether it opens a slot; a password must have been counted before.
    package func opens(_ slot: KeySlot, _ identifier: String, _ store: StoreID) throws(StoreError) -> Bool {
        guard material.fits(slot.kind) else { return false }
        switch try slot.open(identifier: identifier, store: store, material: material) {
        case .some: return true
        case .none: return false
        }
    }

    /// Lends the material.
    package func withMaterial<R: ~Copyable, E: Error>(_ body: (borrowing KeyMaterial) throws(E) -> R) throws(E) -> R {
        try body(material)
    }
}
