// SPDX-License-Identifier: Apache-2.0

package import Sealing
package import SecureMemory

/// What a person or a job presents to open a slot.
package enum KeyMaterial: ~Copyable, Sendable {
    /// The key of a key file.
    case keyFile(Key256)
    /// A password.
    case password(SecureBuffer)
    /// Age identities.
    case identities(AgeIdentityFile)

    /// Whether it can open slots of a kind.
    package func fits(_ kind: KeySlot.Kind) -> Bool {
        switch self {
        case .keyFile: kind == .keyFile
        case .password: kind.isPassword
        case .identities: kind.isAge
        }
    }

    /// Whether it is a password, which can be guessed.
    var isPassword: Bool {
        switch self {
        case .password: true
        case .keyFile: false
        case .identities: false
        }
    }
}

extension KeySlot {
    /// Makes a slot for a data key.
    ///
    /// - Parameters:
    ///   - kind: what will open it.
    ///   - dataKey: the key to seal.
    ///   - identifier: the slot's name in the manifest.
    ///   - store: the store it belongs to.
    ///   - material: what opens it from now on.
    /// - Returns: the slot.
    /// - Throws: `StoreError` where libcrypto fails.
    package static func make(
        _ kind: Kind,
        sealing dataKey: borrowing Key256,
        identifier: String,
        store: StoreID,
        material: borrowing KeyMaterial
    ) throws(StoreError) -> KeySlot {
        do throws(SealingError) {
            var cipher = try AES256GCM(key: try wrappingKey(kind, identifier, store, material))
            let sealed = try dataKey.withBytes { (bytes) throws(SealingError) in
                try ValueCipher.seal(bytes, &cipher, binding(kind, identifier, store).span)
            }
            return KeySlot(kind: kind, sealedKey: sealed)
        } catch { throw .sealing(error) }
    }

    /// Makes a slot for a data key that an age identity opens.
    ///
    /// - Parameters:
    ///   - dataKey: the key to seal.
    ///   - recipient: whose identity opens it from now on.
    ///   - identifier: the slot's name in the manifest.
    ///   - store: the store it belongs to.
    /// - Returns: the slot.
    /// - Throws: `StoreError` where libcrypto fails.
    package static func make(
        sealing dataKey: borrowing Key256,
        for recipient: AgeRecipient,
        identifier: String,
        store: StoreID
    ) throws(StoreError) -> KeySlot {
        let key = try StoreError.wrapping { () throws(SealingError) in try Key256.random() }
        let wrapped = try StoreError.wrapping { () throws(SealingError) in try AgeFile.wrap(key, for: recipient) }
        let kind = Kind.age(recipient: recipient, wrappedKey: wrapped)
        return try make(kind, sealing: dataKey, identifier: identifier, store: store, material: .keyFile(key))
    }

    /// A new password kind with the usual iterations and a random salt.
    package static func newPasswordKind() throws(StoreError) -> Kind {
        do throws(SealingError) {
            return .password(iterations: usualIterations, salt: try RandomBytes.array(count: saltByteCount))
        } catch { throw .sealing(error) }
    }

    /// Recovers the data key.
    ///
    /// - Parameters:
    ///   - identifier: the slot's name in the manifest.
    ///   - store: the store of the manifest.
    ///   - material: what is presented; must fit the kind.
    /// - Returns: the data key, or nil if the slot does not open with it.
    /// - Throws: `StoreError` where libcrypto fails.
    package func open(
        identifier: String,
        store: StoreID,
        material: borrowing KeyMaterial
    ) throws(StoreError) -> Key256? {
        guard sealedKey.ciphertext.count == Self.keyByteCount else { return nil }
        do throws(SealingError) {
            var cipher = try AES256GCM(key: try Self.wrappingKey(kind, identifier, store, material))
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

    /// The key that seals the data key (docs/file-format.md, "Key slots").
    private static func wrappingKey(
        _ kind: Kind,
        _ identifier: String,
        _ store: StoreID,
        _ material: borrowing KeyMaterial
    ) throws(SealingError) -> Key256 {
        let salt = Array(store.text.utf8)
        let info = "credfs/1/slot/\(kind.word)/\(identifier)"
        switch material {
        case .keyFile(let key):
            return try HKDFSHA256.key(from: key, salt: salt.span, info: info.utf8.span)
        case .identities(let file):
            guard case .age(_, let wrappedKey) = kind else { throw .authenticationFailure }
            return try HKDFSHA256.key(
                from: try unwrap(wrappedKey, for: file.identities),
                salt: salt.span,
                info: info.utf8.span
            )
        case .password(let password):
            guard case .password(let iterations, let passwordSalt) = kind else { throw .authenticationFailure }
            let stretched = try password.withBytes { (bytes) throws(SealingError) in
                try PBKDF2SHA256.key(password: bytes, salt: passwordSalt.span, iterations: iterations)
            }
            return try HKDFSHA256.key(from: stretched, salt: salt.span, info: info.utf8.span)
        }
    }

    /// What is in the age file of a slot; a file that is damaged says no more than one for somebody else.
    private static func unwrap(_ file: [UInt8], for identities: [AgeIdentity]) throws(SealingError) -> Key256 {
        do throws(AgeError) {
            return try AgeFile.unwrap(file.span, for: identities)
        } catch {
            if case .sealing(let error) = error { throw error }
            throw .authenticationFailure
        }
    }

    /// The associated data: everything about the slot but the sealed key.
    private static func binding(_ kind: Kind, _ identifier: String, _ store: StoreID) -> [UInt8] {
        var parts: [ManifestNode] = [
            .text("credfs/1/slot"), .text(store.text), .text(identifier), .text(kind.word),
        ]
        switch kind {
        case .keyFile: break
        case .password(let iterations, let salt):
            parts += [.text(passwordDerivation), .number(UInt64(iterations)), .text(Hexadecimal.text(salt))]
        case .age(let recipient, let wrappedKey):
            parts += [.text(recipient.text), .text(Base64.text(wrappedKey))]
        }
        return CanonicalEncoding.bytes(of: .list(parts))
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
    package func unlock(
        with material: borrowing KeyMaterial,
        slot identifier: String? = nil
    ) throws(StoreError) -> StoreKeys {
        try open(with: material, slot: identifier).keys
    }

    /// As `unlock`, with the slot that opened.
    package func open(
        with material: borrowing KeyMaterial,
        slot identifier: String? = nil
    ) throws(StoreError) -> Opening {
        var tried = 0
        for (name, slot) in slots.sorted(by: { $0.key < $1.key }) where material.fits(slot.kind) {
            guard identifier == nil || identifier == name else { continue }
            tried += 1
            if let dataKey = try slot.open(identifier: name, store: store, material: material) {
                return Opening(keys: try StoreKeys(dataKey: dataKey, store: store), slot: name)
            }
        }
        throw failure(of: material, tried: tried)
    }

    private func failure(of material: borrowing KeyMaterial, tried: Int) -> StoreError {
        switch material {
        case .keyFile:
            StoreError(
                .authentication,
                tried == 0 ? "no slot of this store opens with a key file" : "the key does not open this store",
                hint: "check that the key belongs to store \(store.text)"
            )
        case .identities(let file):
            StoreError(
                .authentication,
                tried == 0
                    ? "no slot of this store opens with an age identity" : "no age identity at hand opens this store",
                hint: file.unsupported.isEmpty
                    ? "name another with --identity, or another way in with --slot or --password-file"
                    : "identities of these kinds are not supported: \(AgeIdentityFile.names(file.unsupported))"
            )
        case .password:
            StoreError(
                .incorrectPassword,
                tried == 0 ? "no slot of this store opens with a password" : "incorrect password"
            )
        }
    }
}
