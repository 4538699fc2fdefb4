// SPDX-License-Identifier: Apache-2.0

/// Key, password or identities that a person or a job presents to open slots; wiped with its last copy.
package struct KeyMaterial: Sendable {
    let secret: any SlotSecret

    init(_ secret: any SlotSecret) {
        self.secret = secret
    }

    func fits(_ slot: KeySlot) -> Bool { secret.fits(slot.kind) }

    /// Tries a slot; a password must have been counted before.
    package func opens(_ slot: KeySlot, _ identifier: String, _ store: StoreID) throws(StoreError) -> Bool {
        guard fits(slot) else { return false }
        switch try slot.open(identifier: identifier, store: store, material: self) {
        case .some: return true
        case .none: return false
        }
    }

    /// Makes a slot that this opens.
    package func slot(_ kind: any SlotType, _ keys: StoreKeys, _ identifier: String) throws(StoreError) -> KeySlot {
        try keys.withDataKey { (dataKey) throws(StoreError) in
            try KeySlot.make(kind, sealing: dataKey, identifier: identifier, store: keys.store, material: self)
        }
    }
}

extension Manifest {
    /// The keys of a store and the slot that gave them.
    package struct Opening {
        package let keys: StoreKeys
        package let slot: String
    }

    /// Recovers the keys of the store.
    ///
    /// - Parameters:
    ///   - material: what is presented.
    ///   - identifier: the one slot to try; nil tries every slot that the material fits.
    /// - Returns: the keys.
    /// - Throws: class `incorrectPassword` or `authentication` if no slot opens.
    package func unlock(with material: KeyMaterial, slot identifier: String? = nil) throws(StoreError) -> StoreKeys {
        try open(with: material, slot: identifier).keys
    }

    /// As `unlock`, with the slot that opened.
    package func open(with material: KeyMaterial, slot identifier: String? = nil) throws(StoreError) -> Opening {
        var tried = 0
        for (name, slot) in slots.sorted(by: { $0.key < $1.key }) where material.fits(slot) {
            guard identifier == nil || identifier == name else { continue }
            tried += 1
            if let dataKey = try slot.open(identifier: name, store: store, material: material) {
                return Opening(keys: try StoreKeys(dataKey: dataKey, store: store), slot: name)
            }
        }
        throw material.secret.refusal(tried: tried, store)
    }
}
