// SPDX-License-Identifier: Apache-2.0

internal import Glibc
package import Sealing
package import SecureMemory
internal import Synchronization

/// Keys of a store: the data key and the two derived from it; one seals values, the other signs the manifest.
package final class StoreKeys: Sendable {
    /// The store that the keys belong to.
    package let store: StoreID
    private let material: Mutex<Material?>

    /// The keys themselves, wiped with the last who uses them.
    private final class Material: Sendable {
        let dataKey: Key256
        let sealingKey: Key256
        let signingKey: Key256

        init(_ dataKey: consuming Key256, sealing: consuming Key256, signing: consuming Key256) {
            self.dataKey = dataKey
            sealingKey = sealing
            signingKey = signing
        }
    }

    private struct LastUse {
        weak var material: Material?
    }

    /// The longest time for a use of the keys to end.
    private static let patience = Duration.seconds(2)

    /// Derives the keys (docs/file-format.md, "Keys").
    package init(dataKey: consuming Key256, store: StoreID) throws(StoreError) {
        let salt = Array(store.text.utf8)
        func derive(_ purpose: String, _ dataKey: borrowing Key256) throws(StoreError) -> Key256 {
            do throws(SealingError) {
                return try HKDFSHA256.key(from: dataKey, salt: salt.span, info: purpose.utf8.span)
            } catch { throw .sealing(error) }
        }
        let sealingKey = try derive("credfs/1/seal", dataKey)
        let signingKey = try derive("credfs/1/sign", dataKey)
        self.store = store
        material = Mutex(Material(dataKey, sealing: sealingKey, signing: signingKey))
    }

    /// Wipes the keys, whoever holds this object, and returns when what used them meanwhile has ended; nothing opens any
    /// more.
    package func forget() {
        let lastUse = material.withLock { material in
            let lastUse = LastUse(material: material)
            material = nil
            return lastUse
        }
        let deadline = ContinuousClock.now + Self.patience
        while lastUse.material != nil && ContinuousClock.now < deadline { usleep(500) }
    }

    /// Keys that were wiped.
    package var areForgotten: Bool { material.withLock { $0 == nil } }

    private func keys() throws(StoreError) -> Material {
        guard let material = material.withLock({ $0 }) else {
            throw StoreError(.authentication, "the keys were wiped", hint: "present them again: credfs unlock")
        }
        return material
    }

    /// Lends the data key, to seal it into a slot or to hand it to the helper process.
    package func withDataKey<R: ~Copyable, E: Error>(_ body: (borrowing Key256) throws(E) -> R) throws(E) -> R {
        let material = material.withLock { $0 }
        guard let material else { preconditionFailure("keys that were wiped are handed to nobody") }
        return try body(material.dataKey)
    }

    /// The key that seals the first key of the audit log.
    package func auditKey() throws(StoreError) -> Key256 {
        let salt = Array(store.text.utf8)
        let keys = try keys()
        do throws(SealingError) {
            return try HKDFSHA256.key(from: keys.dataKey, salt: salt.span, info: "credfs/1/audit".utf8.span)
        } catch { throw .sealing(error) }
    }

    /// What the servers of one mount alone can derive, to take it over from each other.
    package func keeperToken(for mount: String) throws(StoreError) -> Key256 {
        let salt = Array(store.text.utf8)
        let keys = try keys()
        do throws(SealingError) {
            let info = "credfs/1/keeper/\(mount)"
            return try HKDFSHA256.key(from: keys.dataKey, salt: salt.span, info: info.utf8.span)
        } catch { throw .sealing(error) }
    }

    /// Signs a manifest.
    ///
    /// - Returns: 64 hexadecimal digits.
    package func signature(of manifest: Manifest) throws(StoreError) -> String {
        let keys = try keys()
        do throws(SealingError) {
            var code = try keys.signingKey.withBytes { (key) throws(SealingError) in try HMACSHA256(key: key) }
            try CanonicalEncoding.encode(manifest) { (piece) throws(SealingError) in try code.update(piece) }
            return Base16.text(try code.finalize())
        } catch { throw .sealing(error) }
    }

    /// Compares a signature with the one of a manifest, in constant time.
    package func isSignature(_ signature: String, of manifest: Manifest) throws(StoreError) -> Bool {
        let expected = try self.signature(of: manifest)
        return manifest.store == store && ConstantTime.equal(expected.utf8.span, signature.utf8.span)
    }

    /// A cipher for the values of this store; let it end with the task at hand.
    package func valueCipher() throws(StoreError) -> ValueCipher {
        let keys = try keys()
        do throws(SealingError) {
            return ValueCipher(cipher: try AES256GCM(key: keys.sealingKey), store: store, keys: keys)
        } catch { throw .sealing(error) }
    }

    /// Decrypts a part of a value that `ValueCipher.authenticate` accepted.
    ///
    /// - Parameters:
    ///   - value: the sealed value.
    ///   - offset: where the part begins, in bytes.
    ///   - plaintext: filled with the part; must not reach beyond the end of the value.
    /// - Throws: `StoreError` where libcrypto fails.
    package func decrypt(
        _ value: SealedValue,
        at offset: Int,
        into plaintext: inout MutableSpan<UInt8>
    ) throws(StoreError) {
        try decrypt(value.ciphertext.span, nonce: value.nonce.span, at: offset, into: &plaintext)
    }

    /// Decrypts a part of a value that is given as ciphertext and nonce.
    package func decrypt(
        _ ciphertext: Span<UInt8>,
        nonce: Span<UInt8>,
        at offset: Int,
        into plaintext: inout MutableSpan<UInt8>
    ) throws(StoreError) {
        let keys = try keys()
        do throws(SealingError) {
            try AES256GCM.decrypt(
                ciphertext.extracting(offset..<offset + plaintext.count),
                at: offset,
                nonce: nonce,
                key: keys.sealingKey,
                into: &plaintext
            )
        } catch { throw .sealing(error) }
    }
}

/// Cipher that seals and opens values under the names they belong to.
package struct ValueCipher: ~Copyable {
    private var cipher: AES256GCM
    private let store: StoreID
    /// Lets `StoreKeys.forget` wait for the cipher, which holds the key, too.
    private let keys: AnyObject

    init(cipher: consuming AES256GCM, store: StoreID, keys: AnyObject) {
        self.cipher = cipher
        self.store = store
        self.keys = keys
    }

    /// Seals a value with a fresh nonce.
    package mutating func seal(_ plaintext: borrowing SecureBuffer, as name: SecretName) throws(StoreError)
        -> SealedValue
    {
        let binding = binding(name)
        do throws(SealingError) {
            return try plaintext.withBytes { (bytes) throws(SealingError) in
                try Self.seal(bytes, &cipher, binding.span)
            }
        } catch { throw .sealing(error) }
    }

    /// Seals bytes that are in memory which their owner wipes: the helper process.
    package mutating func seal(_ plaintext: Span<UInt8>, as name: SecretName) throws(StoreError) -> SealedValue {
        let binding = binding(name)
        do throws(SealingError) {
            return try Self.seal(plaintext, &cipher, binding.span)
        } catch { throw .sealing(error) }
    }

    /// Opens a value.
    ///
    /// - Throws: class `authentication`, without detail, if the value is not what was sealed under this name.
    package mutating func open(_ value: SealedValue, as name: SecretName) throws(StoreError) -> SecureBuffer {
        var buffer = try StoreError.locking { () throws(SecureMemoryError) in
            try SecureBuffer(count: value.ciphertext.count)
        }
        try open(value, as: name, into: &buffer)
        return buffer
    }

    /// Opens a value into memory that was used before.
    ///
    /// - Parameters:
    ///   - value: the sealed value.
    ///   - name: the name it belongs to.
    ///   - buffer: filled with the value, and made larger if need be; what it held is lost.
    /// - Throws: as `open`.
    package mutating func open(
        _ value: SealedValue,
        as name: SecretName,
        into buffer: inout SecureBuffer
    ) throws(StoreError) {
        let count = value.ciphertext.count
        if buffer.capacity < count {
            buffer = try StoreError.locking { () throws(SecureMemoryError) in try SecureBuffer(count: count) }
        }
        buffer.setCount(count)
        let binding = binding(name)
        do throws(SealingError) {
            try buffer.withMutableBytes { (plaintext) throws(SealingError) in
                try cipher.open(
                    value.ciphertext.span,
                    nonce: value.nonce.span,
                    tag: value.tag.span,
                    associatedData: binding.span,
                    into: &plaintext
                )
            }
        } catch { throw Self.failure(error, name) }
    }

    /// Checks a value without keeping any of it.
    ///
    /// - Parameters:
    ///   - value: the sealed value.
    ///   - name: the name it belongs to.
    ///   - scratch: secure memory that the plaintext passes through; zeros afterwards.
    /// - Throws: as `open`.
    package mutating func authenticate(
        _ value: SealedValue,
        as name: SecretName,
        scratch: inout SecureBuffer
    ) throws(StoreError) {
        try authenticate(
            value.ciphertext.span,
            nonce: value.nonce.span,
            tag: value.tag.span,
            as: name,
            scratch: &scratch
        )
    }

    /// Checks the parts of a sealed value without keeping any of it.
    package mutating func authenticate(
        _ ciphertext: Span<UInt8>,
        nonce: Span<UInt8>,
        tag: Span<UInt8>,
        as name: SecretName,
        scratch: inout SecureBuffer
    ) throws(StoreError) {
        let binding = binding(name)
        do throws(SealingError) {
            try cipher.authenticate(
                ciphertext,
                nonce: nonce,
                tag: tag,
                associatedData: binding.span,
                scratch: &scratch
            )
        } catch { throw Self.failure(error, name) }
    }

    /// Seals a value of this cipher with another one.
    ///
    /// - Parameters:
    ///   - value: the sealed value.
    ///   - name: the name it belongs to.
    ///   - new: the other cipher.
    ///   - scratch: secure memory that the plaintext passes through, made larger if need be; zeros afterwards.
    /// - Returns: the value as the other cipher has it.
    /// - Throws: as `open`.
    mutating func reseal(
        _ value: SealedValue,
        as name: SecretName,
        with new: inout ValueCipher,
        scratch: inout SecureBuffer
    ) throws(StoreError) -> SealedValue {
        defer { scratch.wipe() }
        try open(value, as: name, into: &scratch)
        return try new.seal(scratch, as: name)
    }

    static func seal(
        _ plaintext: Span<UInt8>,
        _ cipher: inout AES256GCM,
        _ binding: Span<UInt8>
    ) throws(SealingError) -> SealedValue {
        let nonce = try RandomBytes.array(count: AES256GCM.nonceByteCount)
        var ciphertext = [UInt8](repeating: 0, count: plaintext.count)
        var tag = [UInt8](repeating: 0, count: AES256GCM.tagByteCount)
        var ciphertextSpan = ciphertext.mutableSpan
        var tagSpan = tag.mutableSpan
        try cipher.seal(
            plaintext,
            nonce: nonce.span,
            associatedData: binding,
            into: &ciphertextSpan,
            tag: &tagSpan
        )
        return SealedValue(ciphertext: ciphertext, nonce: nonce, tag: tag)
    }

    /// The associated data: format version, store and name.
    private func binding(_ name: SecretName) -> [UInt8] {
        CanonicalEncoding.bytes(of: .list([.text("credfs/1/value"), .text(store.text), .text(name.text)]))
    }

    private static func failure(_ error: SealingError, _ name: SecretName) -> StoreError {
        guard error == .authenticationFailure else { return .sealing(error) }
        return StoreError(
            .authentication,
            "the value of '\(name.text)' does not authenticate",
            hint: "it was changed, or sealed for another name or store"
        )
    }
}
