// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Sealing
import SecureMemory
import Testing

/// Encrypted credentials with a made-up key; `EncryptedSourceTests` has those that systemd-creds makes.
@Suite struct SystemdCredentialTests {
    private static let host = "5a1c6a86df9d4096b1d5a65e0862f19a"
    private static let secret = [UInt8](repeating: 7, count: 4096)

    private static func little(_ number: UInt64, _ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: number >> UInt64(8 * $0)) }
    }

    /// What a host encrypts, with parts that can be wrong.
    private static func credential(
        _ value: String,
        name: String = "TOKEN",
        nameCount: UInt64? = nil,
        time: UInt64 = 1,
        end: UInt64 = .max,
        kind: String = host,
        sizes: [UInt64] = [32, 1, 12, 16],
        isPadded: Bool = true
    ) throws -> [UInt8] {
        let nonce = pattern(12)
        var header = try Hexadecimal.decode(kind) + sizes.flatMap { little($0, 4) } + nonce
        header += [UInt8](repeating: 0, count: 48 - header.count)
        var plaintext =
            little(time, 8) + little(end, 8) + little(nameCount ?? UInt64(name.utf8.count), 4) + Array(name.utf8)
        while isPadded, plaintext.count % 8 != 0 { plaintext.append(0) }
        plaintext += Array(value.utf8)
        let key = try SystemdCredential.key(hostSecret: secret.span).array
        let sealed = try Sealed(plaintext, key: key, nonce: nonce, associatedData: header)
        let text = Base64.text(header + sealed.ciphertext + sealed.tag)
        // systemd-creds breaks lines, and people indent them.
        return Array(text.utf8.enumerated().flatMap { $0 % 40 == 39 ? [$1, 0x0a, 0x20] : [$1] })
    }

    private func open(
        _ text: [UInt8],
        named names: [String] = ["TOKEN"],
        now: UInt64 = 1000
    ) throws(SystemdCredentialError) -> [UInt8] {
        let credential = try SystemdCredential(text.span)
        let key: Key256
        do throws(SealingError) { key = try SystemdCredential.key(hostSecret: Self.secret.span) } catch {
            throw .sealing(error)
        }
        let value = try credential.open(key, named: names, now: now)
        return value.withBytes { bytes in bytes.indices.map { bytes[$0] } }
    }

    private func error(_ text: [UInt8], named names: [String] = ["TOKEN"], now: UInt64 = 1000)
        -> SystemdCredentialError?
    {
        do throws(SystemdCredentialError) {
            _ = try open(text, named: names, now: now)
            return nil
        } catch { return error }
    }

    @Test func opensWhatAHostHasEncrypted() throws {
        #expect(try open(Self.credential("value")) == Array("value".utf8))
        #expect(try open(Self.credential("")) == [])
        #expect(try open(Self.credential("value", name: "")) == Array("value".utf8))
        #expect(try open(Self.credential("value", name: "OTHER"), named: ["TOKEN", "OTHER"]) == Array("value".utf8))
        #expect(try open(Self.credential("value", end: 1000), now: 1000) == Array("value".utf8))
    }

    @Test func refusesOtherNamesAndTimes() throws {
        #expect(try error(Self.credential("value", name: "TOKE")) == .otherName)
        #expect(try error(Self.credential("value", name: "TOKENS")) == .otherName)
        #expect(try error(Self.credential("value"), named: []) == .otherName)
        #expect(try error(Self.credential("value", end: 999)) == .expired)
        #expect(try error(Self.credential("value", time: 5, end: 5)) == .malformed)
    }

    @Test func refusesOtherKindsOfKeys() throws {
        let kinds = [
            "0c7cc07b117645919c4b0bea08bc20fe": "a TPM2",
            "55b9ed1d38594d43a8319d2ebb332ac6": "the key of the host for one user",
        ]
        for (kind, name) in kinds { #expect(try error(Self.credential("value", kind: kind)) == .unsupported(name)) }
        #expect(try error(Self.credential("value", kind: "058469daf6f54324800549da0f8ea2fb")) == .unprotected)
        #expect(try error(Self.credential("value", kind: String(repeating: "0", count: 32))) == .malformed)
    }

    @Test func refusesWhatHasAnotherForm() throws {
        for index in 0..<4 {
            var sizes: [UInt64] = [32, 1, 12, 16]
            sizes[index] += 1
            #expect(try error(Self.credential("value", sizes: sizes)) == .malformed)
        }
        #expect(error([]) == .malformed)
        #expect(error(Array("AAAA".utf8)) == .malformed)
        #expect(error(Array("not Base64".utf8)) == .malformed)
        // Names that end beyond the plaintext, or are longer than any.
        #expect(try error(Self.credential("", nameCount: 300)) == .malformed)
        #expect(try error(Self.credential("", nameCount: 40)) == .malformed)
        #expect(try error(Self.credential("", nameCount: 0xffff_ffff)) == .malformed)
        #expect(try error(Self.credential("", name: "TOKEN", isPadded: false)) == .malformed)
    }

    @Test func refusesAPlaintextThatIsTooShort() throws {
        let header =
            try Hexadecimal.decode(Self.host) + [32, 1, 12, 16].flatMap { Self.little($0, 4) } + pattern(12)
            + [0, 0, 0, 0]
        let key = try SystemdCredential.key(hostSecret: Self.secret.span).array
        for count in [0, 1, 19] {
            let sealed = try Sealed(
                [UInt8](repeating: 0, count: count),
                key: key,
                nonce: pattern(12),
                associatedData: header
            )
            let text = Array(Base64.text(header + sealed.ciphertext + sealed.tag).utf8)
            #expect(error(text) == .malformed)
        }
    }

    @Test func everyBitCounts() throws {
        let bytes = try #require(
            Base64.bytes(String(decoding: Self.credential("value").filter { $0 > 0x20 }, as: UTF8.self))
        )
        for index in bytes.indices {
            var changed = bytes
            changed[index] ^= 0x10
            let text = Array(Base64.text(changed).utf8)
            #expect(error(text) == (index < 32 ? .malformed : .authentication), "\(index)")
        }
    }

    @Test func noiseIsRefusedWithoutATrap() throws {
        var random = SystemRandomNumberGenerator()
        let good = try Self.credential("value")
        for count in 0..<good.count { #expect(error(Array(good.prefix(count))) != nil) }
        for _ in 0..<2000 {
            var text = good
            for _ in 0..<3 {
                text[Int.random(in: 0..<text.count, using: &random)] = .random(in: 0...255, using: &random)
            }
            _ = error(text)
        }
    }

    @Test func theIdentifierOfAHostIsARandomOneOfItsMachine() throws {
        let identifier = try SystemdCredential.hostIdentifier(machine: pattern(16))
        #expect(identifier.count == 16 && identifier[6] >> 4 == 4 && identifier[8] >> 6 == 2)
        #expect(try SystemdCredential.hostIdentifier(machine: pattern(16, 2)) != identifier)
    }

    /// FIPS 180-4, the example of one block.
    @Test func sha512OfABC() throws {
        var digest = try SHA512Digest()
        try digest.update(Array("ab".utf8).span)
        try digest.update(Array("c".utf8).span)
        let bytes = try digest.finalize()
        #expect(
            Hexadecimal.encode(bytes)
                == "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                + "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
        )
    }
}
