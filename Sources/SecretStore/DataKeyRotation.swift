// SPDX-License-Identifier: Apache-2.0

internal import Sealing
internal import SecureMemory

/// Rotation of the data key: every slot that stays is made anew, every value sealed again, in one write.
package struct DataKeyRotation {
    /// Key material for the slots that stay, by their identifiers; those with a recipient need none.
    package let openers: [String: KeyMaterial]
    /// The slots that go.
    package let dropped: Set<String>
    /// Seals again what else is sealed under the data key, such as the key of the audit log.
    ///
    /// Called under the lock when all is ready, right before the manifest is replaced: after it the old manifest may still
    /// be there, so what is written must open with both keys.
    package var alongside: (_ old: StoreKeys, _ new: StoreKeys) throws -> Void = { _, _ in }
    /// Called for each secret that was sealed again, with how many there are.
    package var progress: (_ done: Int, _ count: Int) -> Void = { _, _ in }

    package init(openers: [String: KeyMaterial], dropped: Set<String>) {
        self.openers = openers
        self.dropped = dropped
    }

    /// The slots that would stay and that nothing presented opens: they stop a rotation.
    ///
    /// - Throws: class `usage` for a slot to drop that is not there, or if none would stay.
    package func uncovered(_ slots: [String: KeySlot]) throws(StoreError) -> [String] {
        for identifier in dropped.sorted() where slots[identifier] == nil {
            throw StoreError(.usage, "there is no slot of that name to drop", hint: "see them with: credfs keys list")
        }
        guard dropped.count < slots.count else {
            throw StoreError(.usage, "the last slot cannot be dropped", hint: "add another first: credfs keys add")
        }
        return slots.filter { !dropped.contains($0.key) && $0.value.kind.recipient == nil && openers[$0.key] == nil }
            .keys.sorted()
    }

    /// Rotates.
    ///
    /// - Parameters:
    ///   - store: the store.
    ///   - keys: its keys.
    ///   - slots: the slots that the rotation was planned for; others by now are an error.
    ///   - now: the time.
    ///   - waiting: called once if another command holds the lock.
    /// - Returns: the new keys.
    /// - Throws: `StoreError`, or the error of `alongside`; then the old manifest is there, unless the error says otherwise.
    package func run(
        _ store: Store,
        _ keys: StoreKeys,
        plannedFor slots: [String: KeySlot],
        now: Timestamp,
        waiting: () -> Void
    ) throws -> StoreKeys {
        let new = try StoreKeys(
            dataKey: try StoreError.wrapping { () throws(SealingError) in try Key256.random() },
            store: keys.store
        )
        try store.withLock(keys.store, waiting: waiting) {
            let loaded = try LoadedManifest(store)
            var manifest = try loaded.verified(with: keys).manifest
            guard manifest.slots == slots else {
                throw StoreError(
                    .failed,
                    "the key slots were changed meanwhile",
                    hint: "nothing was changed; try again"
                )
            }
            manifest.slots = try remade(slots, new)
            try reseal(&manifest, keys, new)
            try alongside(keys, new)
            try store.commit(
                manifest,
                signedWith: new,
                previous: loaded.file,
                removingBackups: true,
                now: now
            )
        }
        return new
    }

    private func remade(_ slots: [String: KeySlot], _ keys: StoreKeys) throws(StoreError) -> [String: KeySlot] {
        var remade: [String: KeySlot] = [:]
        for (identifier, slot) in slots where !dropped.contains(identifier) {
            remade[identifier] = try keys.withDataKey { (dataKey) throws(StoreError) in
                try slot.renewed(
                    sealing: dataKey,
                    identifier: identifier,
                    store: keys.store,
                    material: openers[identifier]
                )
            }
        }
        return remade
    }

    private func reseal(_ manifest: inout Manifest, _ old: StoreKeys, _ new: StoreKeys) throws(StoreError) {
        var oldCipher = try old.valueCipher()
        var newCipher = try new.valueCipher()
        var scratch = try SecureBuffer.scratch()
        let count = manifest.secrets.count
        for index in manifest.secrets.indices {
            if case .sealed(let value) = manifest.secrets[index].value {
                let name = manifest.secrets[index].name
                let resealed = try oldCipher.reseal(value, as: name, with: &newCipher, scratch: &scratch)
                manifest.secrets[index].value = .sealed(resealed)
            }
            progress(index + 1, count)
        }
    }
}
