// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Sealing
import SecureMemory
import Testing

@Suite struct HKDFSHA256Tests {
    @Test(arguments: [("rfc-5869-HKDF-SHA256.txt", 3), ("hkdf-generated.txt", 1)])
    func derivesAsPublished(file: String, count: Int) throws {
        let records = try VectorFile(file).records
        #expect(records.count == count)
        for record in records {
            let output = try derive(
                record.bytes("IKM"),
                salt: record.bytes("salt"),
                info: record.bytes("info"),
                count: record.number("L")
            )
            #expect(try output == record.bytes("OKM"), "line \(record.line)")
        }
    }

    @Test func everyInputMatters() throws {
        let base = try derive([1], salt: [2], info: [3], count: 32)
        #expect(try derive([9], salt: [2], info: [3], count: 32) != base)
        #expect(try derive([1], salt: [9], info: [3], count: 32) != base)
        #expect(try derive([1], salt: [2], info: [9], count: 32) != base)
    }

    @Test func aShorterOutputIsThePrefixOfALonger() throws {
        let longest = try derive(pattern(32), salt: [], info: [1], count: HKDFSHA256.maximumByteCount)
        #expect(longest.count == 8160)
        for count in [1, 31, 32, 33, 100] {
            #expect(try derive(pattern(32), salt: [], info: [1], count: count) == Array(longest.prefix(count)))
        }
    }

    @Test func keysAreDerivedAlike() throws {
        let parent = try Key256(copying: pattern(32).span)
        let key = try HKDFSHA256.key(from: parent, salt: pattern(5).span, info: pattern(7).span)
        #expect(try key.array == derive(pattern(32), salt: pattern(5), info: pattern(7), count: 32))
    }

    @Test func moreThanTheBoundTraps() async {
        await #expect(processExitsWith: .failure) {
            var output = [UInt8](repeating: 0, count: 255 * 32 + 1)
            var span = output.mutableSpan
            try HKDFSHA256.derive(from: [1].span, salt: pattern(0).span, info: pattern(0).span, into: &span)
        }
    }

    private func derive(_ key: [UInt8], salt: [UInt8], info: [UInt8], count: Int) throws -> [UInt8] {
        var output = [UInt8](repeating: 0, count: count)
        var span = output.mutableSpan
        try HKDFSHA256.derive(from: key.span, salt: salt.span, info: info.span, into: &span)
        return output
    }
}

@Suite struct HMACSHA256Tests {
    @Test func authenticatesAsRFC4231() throws {
        let records = try VectorFile("rfc-4231-sha256.txt").records
        #expect(records.count == 6)
        for record in records {
            let code = try code(key: record.bytes("Key"), [record.bytes("Msg")])
            #expect(try code == record.bytes("MD"), "line \(record.line)")
        }
    }

    @Test func anEmptyKeyIsAKey() throws {
        let empty = "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"
        #expect(try Hexadecimal.encode(code(key: [], [])) == empty)
        #expect(try Hexadecimal.encode(code(key: [], [[], []])) == empty)
    }

    @Test(arguments: 0...130)
    func piecesMakeNoDifference(split: Int) throws {
        let message = pattern(130)
        let whole = try code(key: pattern(20), [message])
        #expect(try code(key: pattern(20), [Array(message.prefix(split)), Array(message.dropFirst(split))]) == whole)
    }

    @Test func anyFlippedBitGivesAnotherCode() throws {
        let message = pattern(70)
        let key = pattern(32)
        var codes: Set<[UInt8]> = [try code(key: key, [message])]
        for bit in 0..<(8 * 70) {
            var altered = message
            altered[bit / 8] ^= 1 << UInt8(bit % 8)
            codes.insert(try code(key: key, [altered]))
        }
        for bit in 0..<256 {
            var altered = key
            altered[bit / 8] ^= 1 << UInt8(bit % 8)
            codes.insert(try code(key: altered, [message]))
        }
        #expect(codes.count == 1 + 8 * 70 + 256)
    }

    @Test func aCodeOfAnotherSizeTraps() async {
        await #expect(processExitsWith: .failure) {
            var code = [UInt8](repeating: 0, count: 31)
            var span = code.mutableSpan
            try HMACSHA256(key: [1].span).finalize(into: &span)
        }
    }

    private func code(key: [UInt8], _ pieces: [[UInt8]]) throws -> [UInt8] {
        var mac = try HMACSHA256(key: key.span)
        for piece in pieces { try mac.update(piece.span) }
        return try mac.finalize()
    }
}

@Suite struct PBKDF2SHA256Tests {
    /// RFC 7914 section 11.
    @Test(
        arguments: [
            (
                "passwd", "salt", 1,
                "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"
                    + "49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783"
            ),
            (
                "Password", "NaCl", 80_000,
                "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56"
                    + "a1d425a1225833549adb841b51c9b3176a272bdebba1d078478f62b397f33c8d"
            ),
        ]
    )
    func derivesAsRFC7914(password: String, salt: String, iterations: Int, expected: String) throws {
        let output = try derive(Array(password.utf8), salt: Array(salt.utf8), iterations: iterations, count: 64)
        #expect(Hexadecimal.encode(output) == expected)
        let key = try PBKDF2SHA256.key(
            password: Array(password.utf8).span,
            salt: Array(salt.utf8).span,
            iterations: iterations
        )
        #expect(key.array == Array(output.prefix(32)))
    }

    @Test func everyInputMatters() throws {
        let base = try derive([1], salt: [2], iterations: 3, count: 32)
        #expect(try derive([9], salt: [2], iterations: 3, count: 32) != base)
        #expect(try derive([1], salt: [9], iterations: 3, count: 32) != base)
        #expect(try derive([1], salt: [2], iterations: 4, count: 32) != base)
    }

    @Test func oneIterationOfAnEmptyPasswordIsOneHMAC() throws {
        // RFC 8018: U1 = PRF(password, salt || 00000001).
        var mac = try HMACSHA256(key: pattern(0).span)
        try mac.update([UInt8]([5, 6, 0, 0, 0, 1]).span)
        #expect(try derive([], salt: [5, 6], iterations: 1, count: 32) == mac.finalize())
    }

    @Test func noIterationTraps() async {
        await #expect(processExitsWith: .failure) {
            _ = try PBKDF2SHA256.key(password: [1].span, salt: [1].span, iterations: 0)
        }
    }

    private func derive(_ password: [UInt8], salt: [UInt8], iterations: Int, count: Int) throws -> [UInt8] {
        var output = [UInt8](repeating: 0, count: count)
        var span = output.mutableSpan
        try PBKDF2SHA256.derive(password: password.span, salt: salt.span, iterations: iterations, into: &span)
        return output
    }
}

@Suite struct SHA256DigestTests {
    // FIPS 180-4, as NIST's examples have it: "abc", and nothing.
    @Test(arguments: [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    ])
    func digestsAsPublished(_ text: String, _ digest: String) throws {
        var whole = try SHA256Digest()
        try whole.update(Array(text.utf8).span)
        #expect(Base16.text(try whole.finalize()) == digest)
        var parts = try SHA256Digest()
        for byte in text.utf8 { try parts.update([byte].span) }
        #expect(Base16.text(try parts.finalize()) == digest)
    }
}
