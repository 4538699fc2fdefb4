// SPDX-License-Identifier: Apache-2.0

internal import SecureMemory

/// X25519 public key that an age file is encrypted for, `age1...`.
package struct AgeRecipient: Sendable, Hashable {
    static let prefix = "age"

    package let publicKey: [UInt8]

    init(publicKey: [UInt8]) {
        self.publicKey = publicKey
    }

    /// Reads a recipient.
    ///
    /// - Throws: `AgeError.unsupported` for a kind that is known by name only, else `malformedRecipient`.
    package init(_ text: String) throws(AgeError) {
        var bytes = [UInt8](repeating: 0, count: X25519.publicByteCount)
        var span = bytes.mutableSpan
        guard Bech32.decode(text.utf8.span, prefix: Self.prefix, into: &span) else {
            if let kind = Self.unsupportedKind(text) { throw .unsupported(kind) }
            throw .malformedRecipient
        }
        publicKey = bytes
    }

    /// The text, 62 characters.
    package var text: String { Bech32.text(publicKey, prefix: Self.prefix) }

    private static func unsupportedKind(_ text: String) -> AgeError.UnsupportedKind? {
        if text.hasPrefix("age1pq1") { return .postQuantum }
        if text.hasPrefix("age1tagpq1") { return .taggedPostQuantum }
        if text.hasPrefix("age1tag1") { return .tagged }
        if text.hasPrefix("ssh-ed25519 ") { return .sshEd25519 }
        if text.hasPrefix("ssh-rsa ") { return .sshRSA }
        // A plugin's name and a second `1`; the data of a key never holds one.
        if text.hasPrefix("age1"), text.dropFirst(4).contains("1") { return .plugin }
        return nil
    }
}

/// X25519 private key that opens age files, `AGE-SECRET-KEY-1...`, in secret memory.
package final class AgeIdentity: Sendable {
    static let prefix = "AGE-SECRET-KEY-"

    /// Public key of this identity.
    package let recipient: AgeRecipient
    private let key: Key256

    /// Reads an identity.
    ///
    /// - Throws: `AgeError.unsupported` for a kind that is known by name only, else `malformedIdentity`.
    package convenience init(_ text: Span<UInt8>) throws(AgeError) {
        let key = try Key256.filled(orThrow: { AgeError.sealing($0) }) { (bytes) throws(AgeError) in
            guard Bech32.decode(text, prefix: Self.prefix, into: &bytes) else {
                if text.begins(with: "AGE-SECRET-KEY-PQ-1") { throw .unsupported(.postQuantum) }
                if text.begins(with: "AGE-PLUGIN-") { throw .unsupported(.plugin) }
                throw .malformedIdentity
            }
        }
        try self.init(key: key)
    }

    package static func random() throws(AgeError) -> AgeIdentity {
        try AgeIdentity(key: AgeError.wrap { () throws(SealingError) in try Key256.random() })
    }

    private init(key: consuming Key256) throws(AgeError) {
        let publicKey: [UInt8]
        do throws(SealingError) { publicKey = try X25519.publicKey(of: key) } catch { throw .sealing(error) }
        self.key = key
        recipient = AgeRecipient(publicKey: publicKey)
    }

    /// The secret shared with the maker of a stanza.
    ///
    /// - Throws: `AgeError.malformedHeader` where the share is of low order.
    func sharedSecret(with share: [UInt8]) throws(AgeError) -> Key256 {
        do throws(SealingError) {
            return try X25519.sharedSecret(key, with: share.span)
        } catch {
            throw error == .authenticationFailure ? .malformedHeader : .sealing(error)
        }
    }
}

extension Span<UInt8> {
    /// Compares the first bytes with the UTF-8 of a text.
    func begins(with text: String) -> Bool {
        guard count >= text.utf8.count else { return false }
        for (index, byte) in text.utf8.enumerated() where self[index] != byte { return false }
        return true
    }
}
