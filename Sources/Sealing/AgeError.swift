// SPDX-License-Identifier: Apache-2.0

/// Failure to use an age file, identity or recipient; never with a byte of it.
package enum AgeError: Error, Sendable, Equatable {
    /// Kinds of the age format and its relatives that are known here by name only.
    package enum UnsupportedKind: String, Sendable, CaseIterable {
        /// Post-quantum recipients (`age1pq1...`, `AGE-SECRET-KEY-PQ-1...`).
        case postQuantum = "mlkem768x25519"
        /// Recipients on hardware (`age1tag1...`).
        case tagged = "p256tag"
        /// Post-quantum recipients on hardware (`age1tagpq1...`).
        case taggedPostQuantum = "mlkem768p256tag"
        /// Recipients and identities of plugins (`age1NAME1...`, `AGE-PLUGIN-...`).
        case plugin
        /// SSH keys of the Edwards curve.
        case sshEd25519 = "ssh-ed25519"
        /// SSH keys of RSA.
        case sshRSA = "ssh-rsa"
    }

    /// Not the ASCII armor of an age file.
    case malformedArmor
    /// Not the header of an age file, or one that asks for what the format forbids.
    case malformedHeader
    /// The header was changed.
    case headerAuthentication
    /// A scrypt file asks for more work than `Scrypt.maximumWorkFactor`.
    case excessiveWork
    /// Nothing that was presented opens the file.
    case noMatch
    /// Nothing that was presented opens the file, and it has recipients of a kind that is not supported.
    case unsupported(UnsupportedKind)
    /// The payload was changed or cut; what was written before it is authentic.
    case payload
    case malformedIdentity
    case malformedRecipient
    /// libcrypto or memory failed.
    case sealing(SealingError)

    /// Converts errors of libcrypto that are no question of authenticity.
    static func wrap<R: ~Copyable>(_ body: () throws(SealingError) -> R) throws(AgeError) -> R {
        try converted({ $0 }, body)
    }

    /// Converts an error of age to one of the caller's.
    static func converted<R: ~Copyable, E: Error>(
        _ convert: (AgeError) -> E,
        _ body: () throws(SealingError) -> R
    ) throws(E) -> R {
        do throws(SealingError) { return try body() } catch { throw convert(.sealing(error)) }
    }
}
