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

    /// A slot of a kind that this opens.
    package func slot(_ kind: KeySlot.Kind, _ keys: StoreKeys, _ identifier: String) throws(StoreError) -> KeySlot {
        try keys.withDataKey { (dataKey) throws(StoreError) in
            try KeySlot.make(kind, sealing: dataKey, identifier: identifier, store: keys.store, material: material)
        }
    }
}
