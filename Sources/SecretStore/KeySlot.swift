// SPDX-License-Identifier: Apache-2.0

/// One way to recover the data key.
package struct KeySlot: Sendable, Equatable {
    /// What opens the slot.
    package enum Kind: Sendable, Equatable {
        /// The 256-bit key of a key file.
        case keyFile
        /// A password, stretched with PBKDF2-HMAC-SHA256.
        case password(iterations: Int, salt: [UInt8])

        /// The word in the manifest.
        package var word: String {
            switch self {
            case .keyFile: "keyfile"
            case .password: "password"
            }
        }
    }

    /// The iterations of a new password slot.
    package static let usualIterations = 600_000
    /// What a manifest may ask for, checked before any of it is computed.
    package static let iterationBounds = 100_000...10_000_000
    /// What all password slots may ask for together, since a password is tried on each.
    static let maximumIterationsOfAll = 20_000_000
    /// The size of a salt in bytes.
    package static let saltByteCount = 16
    /// The size of the data key in bytes.
    static let keyByteCount = 32
    /// The largest number of slots; a password is tried on each of its kind.
    package static let maximumCount = 64

    /// What opens it.
    package var kind: Kind
    /// The sealed data key.
    package var sealedKey: String

    /// Whether a text may identify a slot: 1 to 64 of a-z, 0-9 and `-`.
    package static func isIdentifier(_ text: String) -> Bool {
        (1...64).contains(text.utf8.count)
            && text.utf8.allSatisfy { (0x61...0x7a).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2d }
    }
}
