// SPDX-License-Identifier: Apache-2.0

internal import SecureMemory

/// Wrapping of the file key in stanzas of the kinds X25519 and scrypt.
extension AgeStanza {
    private static let x25519Info = "age-encryption.org/v1/X25519"
    private static let scryptLabel = "age-encryption.org/v1/scrypt"

    static func wrap(_ fileKey: borrowing SecureBuffer, for recipient: AgeRecipient) throws(SealingError) -> AgeStanza {
        let ephemeral = try Key256.random()
        let share = try X25519.publicKey(of: ephemeral)
        let secret = try X25519.sharedSecret(ephemeral, with: recipient.publicKey.span)
        let key = try x25519Key(secret, share: share, recipient)
        return AgeStanza(
            type: AgeHeader.x25519,
            arguments: [AgeHeader.base64(share)],
            body: try seal(fileKey, key)
        )
    }

    /// Wraps a file key with a password.
    static func wrap(
        _ fileKey: borrowing SecureBuffer,
        password: Span<UInt8>,
        workFactor: Int
    ) throws(SealingError) -> AgeStanza {
        let salt = try RandomBytes.array(count: AgeHeader.saltByteCount)
        let labelled = Array(scryptLabel.utf8) + salt
        let key = try Scrypt.key(password: password, salt: labelled.span, workFactor: workFactor)
        return AgeStanza(
            type: AgeHeader.scrypt,
            arguments: [AgeHeader.base64(salt), String(workFactor)],
            body: try seal(fileKey, key)
        )
    }

    /// The file key, or nil if the stanza is for somebody else.
    func fileKey(for identity: AgeIdentity) throws(AgeError) -> SecureBuffer? {
        // `AgeHeader` has looked at the form.
        guard let share = AgeHeader.bytes(arguments[0]) else { throw .malformedHeader }
        let secret = try identity.sharedSecret(with: share)
        let key: Key256
        do throws(SealingError) {
            key = try Self.x25519Key(secret, share: share, identity.recipient)
        } catch { throw .sealing(error) }
        return try opened(key)
    }

    /// The file key, or nil if the password is another.
    func fileKey(password: Span<UInt8>) throws(AgeError) -> SecureBuffer? {
        guard let salt = AgeHeader.bytes(arguments[0]) else { throw .malformedHeader }
        let workFactor = try AgeHeader.workFactor(arguments[1])
        let labelled = Array(Self.scryptLabel.utf8) + salt
        let key: Key256
        do throws(SealingError) {
            key = try Scrypt.key(password: password, salt: labelled.span, workFactor: workFactor)
        } catch { throw .sealing(error) }
        return try opened(key)
    }

    private static func x25519Key(
        _ secret: borrowing Key256,
        share: [UInt8],
        _ recipient: AgeRecipient
    ) throws(SealingError) -> Key256 {
        let salt = share + recipient.publicKey
        return try HKDFSHA256.key(from: secret, salt: salt.span, info: x25519Info.utf8.span)
    }

    // The key is used once, so the nonce is zero.
    private static let nonce = [UInt8](repeating: 0, count: ChaCha20Poly1305.nonceByteCount)

    private static func seal(_ fileKey: borrowing SecureBuffer, _ key: borrowing Key256) throws(SealingError) -> [UInt8]
    {
        var body = [UInt8](repeating: 0, count: AgeHeader.wrappedByteCount)
        var span = body.mutableSpan
        var cipher = try ChaCha20Poly1305(key: key)
        try fileKey.withBytes { (bytes) throws(SealingError) in
            try cipher.seal(bytes, nonce: nonce.span, into: &span)
        }
        return body
    }

    private func opened(_ key: borrowing Key256) throws(AgeError) -> SecureBuffer? {
        do throws(SealingError) {
            var cipher = try ChaCha20Poly1305(key: key)
            return try SecureBuffer.filled(
                capacity: AgeFile.fileKeyByteCount,
                backing: .secret,
                orThrow: { SealingError.memory($0) },
                { (bytes) throws(SealingError) in
                    try cipher.open(body.span, nonce: Self.nonce.span, into: &bytes)
                    return bytes.count
                }
            )
        } catch {
            guard error == .authenticationFailure else { throw .sealing(error) }
            return nil
        }
    }
}
