// SPDX-License-Identifier: Apache-2.0

/// Request of systemd for a credential of a unit (`LoadCredential=ID:SOCKET`, systemd.exec(5)).
///
/// Nothing is sent: the manager binds its end of the connection to an abstract name, `RANDOM/unit/UNIT/ID` behind a zero
/// byte, and reads to the end. Everybody can bind such a name, so it says what is asked for and not by whom.
package struct CredentialRequest: Sendable, Equatable {
    /// The unit that is being started.
    package let unit: String
    /// The identifier of the credential.
    package let credential: String

    /// The most digits of a random number of 64 bits.
    private static let randomDigitCount = 16

    /// Reads the name that the other end is bound to.
    ///
    /// - Returns: nil where it is no such name.
    package init?(boundName name: [UInt8]) {
        guard name.first == 0, name.dropFirst().allSatisfy({ (0x20...0x7e).contains($0) }) else { return nil }
        let parts = name.dropFirst().split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        guard parts.count == 4, Self.isRandom(parts[0]), parts[1].elementsEqual("unit".utf8),
            Self.isUnit(parts[2]), Self.isCredential(parts[3])
        else { return nil }
        unit = String(decoding: parts[2], as: UTF8.self)
        credential = String(decoding: parts[3], as: UTF8.self)
    }

    private static func isRandom(_ part: ArraySlice<UInt8>) -> Bool {
        (1...randomDigitCount).contains(part.count)
            && part.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }

    /// What the name of a unit may have (systemd.unit(5)).
    private static func isUnit(_ part: ArraySlice<UInt8>) -> Bool {
        !part.isEmpty
            && part.allSatisfy { byte in
                (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
                    || ":-_.\\@".utf8.contains(byte)
            }
    }

    /// What the identifier of a credential may have: that of a file name without a colon.
    private static func isCredential(_ part: ArraySlice<UInt8>) -> Bool {
        !part.isEmpty && !part.contains(UInt8(ascii: ":")) && ![".", ".."].contains { part.elementsEqual($0.utf8) }
    }
}
