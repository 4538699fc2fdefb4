// SPDX-License-Identifier: Apache-2.0

package import Sealing

/// One way to recover the data key.
package struct KeySlot: Sendable, Equatable {
    /// What opens the slot.
    package enum Kind: Sendable, Equatable {
        /// The 256-bit key of a key file.
        case keyFile
        /// A password, stretched with PBKDF2-HMAC-SHA256.
        case password(iterations: Int, salt: [UInt8])
        /// An age identity: an age file for its recipient holds a key like that of a key file.
        case age(recipient: AgeRecipient, wrappedKey: [UInt8])

        /// The word in the manifest.
        package var word: String {
            switch self {
            case .keyFile: "keyfile"
            case .password: "password"
            case .age: "age"
            }
        }

        /// Whether a password opens it.
        package var isPassword: Bool {
            if case .password = self { true } else { false }
        }

        /// Whether an age identity opens it.
        package var isAge: Bool {
            if case .age = self { true } else { false }
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
    /// The largest age file in a slot in bytes; one of credfs has 264.
    static let maximumWrappedByteCount = 4096
    /// The size of the data key in bytes.
    static let keyByteCount = 32
    /// The largest number of slots; a password is tried on each of its kind.
    package static let maximumCount = 64

    /// What opens it.
    package var kind: Kind
    /// The sealed data key.
    package var sealedKey: SealedValue

    package init(kind: Kind, sealedKey: SealedValue) {
        self.kind = kind
        self.sealedKey = sealedKey
    }

    /// Whether a text may identify a slot: 1 to 64 of a-z, 0-9 and `-`.
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
}
