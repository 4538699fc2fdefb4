// SPDX-License-Identifier: Apache-2.0

package import Sealing

/// One way to recover the data key.
package struct KeySlot: Sendable, Equatable {
    /// The size of the data key in bytes.
    static let keyByteCount = 32
    /// The largest number of slots; a password is tried on each of its kind.
    package static let maximumCount = 64

    package var kind: any SlotType
    /// The sealed data key.
    package var sealedKey: SealedValue

    package init(kind: any SlotType, sealedKey: SealedValue) {
        self.kind = kind
        self.sealedKey = sealedKey
    }

    package static func == (left: KeySlot, right: KeySlot) -> Bool {
        left.sealedKey == right.sealedKey && left.kind.equals(right.kind)
    }

    /// Checks an identifier: 1 to 64 of a-z, 0-9 and `-`.
    package static func isIdentifier(_ text: String) -> Bool {
        (1...64).contains(text.utf8.count)
            && text.utf8.allSatisfy { (0x61...0x7a).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2d }
    }

    /// An identifier that no slot has: the word itself, or with a number behind it.
    package static func freeIdentifier(_ word: String, beside slots: [String: KeySlot]) -> String {
        if slots[word] == nil { return word }
        var number = 2
        while slots["\(word)-\(number)"] != nil { number += 1 }
        return "\(word)-\(number)"
    }

    var node: ManifestNode {
        .mapping([("type", .text(kind.word))] + kind.members + [("sealed", .text(sealedKey.text))])
    }
}

// Sealing.
extension KeySlot {
    /// Makes a slot for a data key.
    ///
    /// - Parameters:
    ///   - kind: its kind and parameters.
    ///   - dataKey: the key to seal.
    ///   - identifier: the slot's name in the manifest.
    ///   - store: the store it belongs to.
    ///   - material: what opens it from now on.
    /// - Returns: the slot.
    /// - Throws: `StoreError` where libcrypto fails.
    package static func make(
        _ kind: any SlotType,
        sealing dataKey: borrowing Key256,
        identifier: String,
        store: StoreID,
        material: KeyMaterial
    ) throws(StoreError) -> KeySlot {
        let key = try StoreError.wrapping { () throws(SealingError) in try material.secret.key(of: kind) }
        return try seal(dataKey, kind, key, identifier, store)
    }

    /// Makes a slot that the owner of a recipient opens; no secret is needed.
    package static func make(
        sealing dataKey: borrowing Key256,
        for recipient: any SlotRecipient,
        identifier: String,
        store: StoreID
    ) throws(StoreError) -> KeySlot {
        let key = try StoreError.wrapping { () throws(SealingError) in try Key256.random() }
        let kind: any SlotType
        do throws(SealingError) { kind = try recipient.wrap(key) } catch { throw .sealing(error) }
        return try seal(dataKey, kind, key, identifier, store)
    }

    /// Makes the slot anew for another data key: for its recipient, or with what opens it.
    package func renewed(
        sealing dataKey: borrowing Key256,
        identifier: String,
        store: StoreID,
        material: KeyMaterial?
    ) throws(StoreError) -> KeySlot {
        if let recipient = kind.recipient {
            return try Self.make(sealing: dataKey, for: recipient, identifier: identifier, store: store)
        }
        guard let material else { throw StoreError(.failed, "nothing opens slot '\(identifier)'") }
        return try Self.make(
            kind.renewed(),
            sealing: dataKey,
            identifier: identifier,
            store: store,
            material: material
        )
    }

    /// Recovers the data key.
    ///
    /// - Parameters:
    ///   - identifier: the slot's name in the manifest.
    ///   - store: the store of the manifest.
    ///   - material: what is presented.
    /// - Returns: the data key, or nil if the slot does not open with it.
    /// - Throws: `StoreError` where libcrypto fails.
    package func open(identifier: String, store: StoreID, material: KeyMaterial) throws(StoreError) -> Key256? {
        guard sealedKey.ciphertext.count == Self.keyByteCount else { return nil }
        do throws(SealingError) {
            let key = try material.secret.key(of: kind)
            var cipher = try AES256GCM(key: try Self.wrappingKey(kind, key, identifier, store))
            let binding = Self.binding(kind, identifier, store)
            return try Key256.filled { (bytes) throws(SealingError) in
                try cipher.open(
                    sealedKey.ciphertext.span,
                    nonce: sealedKey.nonce.span,
                    tag: sealedKey.tag.span,
                    associatedData: binding.span,
                    into: &bytes
                )
            }
        } catch {
            guard error == .authenticationFailure else { throw .sealing(error) }
            return nil
        }
    }

    private static func seal(
        _ dataKey: borrowing Key256,
        _ kind: any SlotType,
        _ key: borrowing Key256,
        _ identifier: String,
        _ store: StoreID
    ) throws(StoreError) -> KeySlot {
        do throws(SealingError) {
            var cipher = try AES256GCM(key: try wrappingKey(kind, key, identifier, store))
            let sealed = try dataKey.withBytes { (bytes) throws(SealingError) in
                try ValueCipher.seal(bytes, &cipher, binding(kind, identifier, store).span)
            }
            return KeySlot(kind: kind, sealedKey: sealed)
        } catch { throw .sealing(error) }
    }

    /// Derives the key that seals the data key (docs/file-format.md, "Key slots").
    private static func wrappingKey(
        _ kind: any SlotType,
        _ key: borrowing Key256,
        _ identifier: String,
        _ store: StoreID
    ) throws(SealingError) -> Key256 {
        let salt = Array(store.text.utf8)
        let info = "credfs/1/slot/\(kind.word)/\(identifier)"
        return try HKDFSHA256.key(from: key, salt: salt.span, info: info.utf8.span)
    }

    /// Associated data: everything about the slot but the sealed key.
    private static func binding(_ kind: any SlotType, _ identifier: String, _ store: StoreID) -> [UInt8] {
        let place: [ManifestNode] = [
            .text("credfs/1/slot"), .text(store.text), .text(identifier), .text(kind.word),
        ]
        return CanonicalEncoding.bytes(of: .list(place + kind.members.map(\.node)))
    }
}
