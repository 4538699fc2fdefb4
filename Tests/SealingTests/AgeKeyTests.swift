// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Sealing
import SecureMemory
import Testing

@Suite struct AgeKeyTests {
    // Of the vectors of C2SP/CCTV; its recipient as the age program computes it.
    private static let identity = "AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P2LM0"
    private static let recipient = "age1xmwwc06ly3ee5rytxm9mflaz2u56jjj36s0mypdrwsvlul66mv4q47ryef"

    @Test func anIdentityKnowsItsRecipient() throws {
        let identity = try AgeIdentity(Self.identity.utf8.span)
        #expect(identity.recipient.text == Self.recipient)
        #expect(try AgeRecipient(Self.recipient) == identity.recipient)
    }

    @Test func recipientsComeBack() throws {
        for _ in 0..<100 {
            let recipient = try AgeIdentity.random().recipient
            #expect(recipient.text.utf8.count == 62)
            #expect(try AgeRecipient(recipient.text) == recipient)
        }
    }

    @Test func anyOtherCharacterIsNoticed() throws {
        for (text, isIdentity) in [(Self.identity, true), (Self.recipient, false)] {
            let bytes = Array(text.utf8)
            for index in bytes.indices {
                for character in 0x21...0x7e as ClosedRange<UInt8> where character != bytes[index] {
                    var altered = bytes
                    altered[index] = character
                    let error = AgeKeyFixture.error(altered, isIdentity: isIdentity)
                    #expect(error != nil, "\(index) \(character)")
                }
            }
            for count in 0..<bytes.count {
                #expect(AgeKeyFixture.error(Array(bytes.prefix(count)), isIdentity: isIdentity) != nil)
            }
            let other = isIdentity ? text.lowercased() : text.uppercased()
            for wrong in [other, text + "q", " " + text, text + "\n", ""] {
                #expect(AgeKeyFixture.error(Array(wrong.utf8), isIdentity: isIdentity) != nil)
            }
        }
    }

    @Test(arguments: [
        ("age1pq1qqqq", AgeError.UnsupportedKind.postQuantum), ("age1tag1qqqq", .tagged),
        ("age1tagpq1qqqq", .taggedPostQuantum), ("age1yubikey1qqqq", .plugin),
        ("ssh-ed25519 AAAA", .sshEd25519), ("ssh-rsa AAAA", .sshRSA),
    ])
    func otherRecipientsAreRefusedByName(text: String, kind: AgeError.UnsupportedKind) {
        #expect(throws: AgeError.unsupported(kind)) { try AgeRecipient(text) }
    }

    @Test(arguments: [
        ("AGE-SECRET-KEY-PQ-1QQQQ", AgeError.UnsupportedKind.postQuantum), ("AGE-PLUGIN-YUBIKEY-1QQQQ", .plugin),
    ])
    func otherIdentitiesAreRefusedByName(text: String, kind: AgeError.UnsupportedKind) {
        #expect(AgeKeyFixture.error(Array(text.utf8), isIdentity: true) == .unsupported(kind))
    }
}

/// Reading keys that may be wrong.
private enum AgeKeyFixture {
    static func error(_ text: [UInt8], isIdentity: Bool) -> AgeError? {
        do throws(AgeError) {
            if isIdentity {
                _ = try AgeIdentity(text.span)
            } else {
                _ = try AgeRecipient(String(decoding: text, as: UTF8.self))
            }
            return nil
        } catch { return error }
    }
}

@Suite struct X25519Tests {
    private static let alice = "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"
    private static let alicePublic = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
    private static let bob = "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"
    private static let bobPublic = "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
    private static let shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"

    /// RFC 7748 section 6.1.
    @Test func agreesAsRFC7748() throws {
        let (alice, bob) = (try Hexadecimal.decode(Self.alice), try Hexadecimal.decode(Self.bob))
        let aliceKey = try Key256(copying: alice.span)
        let bobKey = try Key256(copying: bob.span)
        #expect(try Hexadecimal.encode(X25519.publicKey(of: aliceKey)) == Self.alicePublic)
        #expect(try Hexadecimal.encode(X25519.publicKey(of: bobKey)) == Self.bobPublic)
        let (aliceShare, bobShare) = (try Hexadecimal.decode(Self.alicePublic), try Hexadecimal.decode(Self.bobPublic))
        let (ours, theirs) = (
            try X25519.sharedSecret(aliceKey, with: bobShare.span).array,
            try X25519.sharedSecret(bobKey, with: aliceShare.span).array
        )
        #expect(Hexadecimal.encode(ours) == Self.shared)
        #expect(theirs == ours)
    }

    /// RFC 7748 section 6.1 on points of low order, and other sizes.
    @Test(arguments: [
        [UInt8](repeating: 0, count: 32), [1] + [UInt8](repeating: 0, count: 31), [], pattern(31), pattern(33),
    ])
    func whatEverybodyWouldShareIsRefused(publicKey: [UInt8]) throws {
        let key = try Key256.random()
        #expect(throws: SealingError.authenticationFailure) {
            _ = try X25519.sharedSecret(key, with: publicKey.span)
        }
    }
}

@Suite struct ScryptTests {
    /// RFC 7914 section 12; the first half of its 64 bytes.
    @Test func derivesAsRFC7914() throws {
        let key = try Scrypt.key(
            password: "pleaseletmein".utf8.span,
            salt: "SodiumChloride".utf8.span,
            workFactor: 14
        )
        #expect(
            Hexadecimal.encode(key.array) == "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
        )
    }

    @Test func everyInputMatters() throws {
        let base = try derive([1], salt: [2], workFactor: 2)
        #expect(try derive([9], salt: [2], workFactor: 2) != base)
        #expect(try derive([1], salt: [9], workFactor: 2) != base)
        #expect(try derive([1], salt: [2], workFactor: 3) != base)
        #expect(try derive([], salt: [2], workFactor: 2) != base)
    }

    private func derive(_ password: [UInt8], salt: [UInt8], workFactor: Int) throws -> [UInt8] {
        try Scrypt.key(password: password.span, salt: salt.span, workFactor: workFactor).array
    }
}
