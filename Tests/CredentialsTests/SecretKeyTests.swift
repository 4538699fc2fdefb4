// SPDX-License-Identifier: Apache-2.0

import Credentials
import Testing

@Suite struct SecretKeyTests {
    let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
    }

    private func bytes(_ hex: String) -> [UInt8] {
        var bytes: [UInt8] = []
        var digits = hex[...]
        while !digits.isEmpty {
            bytes.append(UInt8(digits.prefix(2), radix: 16) ?? 0)
            digits = digits.dropFirst(2)
        }
        return bytes
    }

    private func content(_ key: borrowing SecretKey) -> [UInt8] {
        key.withBytes { bytes in bytes.indices.map { bytes[$0] } }
    }

    private static let digits = "00112233445566778899aAbBcCdDeEfF0123456789abcdefFEDCBA9876543210"

    // MARK: Loading

    @Test(arguments: ["", "\n", "\r\n"])
    func readsHexadecimalDigits(end: String) throws {
        let path = try directory.write("key", Self.digits + end)
        let key = try SecretKey(hexDigitsFrom: .file(path))
        #expect(content(key) == bytes(Self.digits))
    }

    private static let otherThan64Digits: [(String, String)] = {
        let wrongCount = "not 64 hexadecimal digits"
        let odd = "not 64 hexadecimal digits, an odd number"
        let notDigits = "not hexadecimal"
        let fullWidth = String(repeating: "\u{ff11}", count: 21) + "1"
        return [
            ("", "empty"), ("\n", "empty"),
            ("\(digits.dropLast(2))", wrongCount), ("\(digits.dropLast())", odd), ("\(digits)00", wrongCount),
            ("\(digits)\n\n", odd), (" \(digits.dropFirst())", notDigits), ("g\(digits.dropFirst())", notDigits),
            ("0x\(digits.dropLast(2))", notDigits), ("\(digits.dropLast())\0", notDigits), (fullWidth, notDigits),
        ]
    }()

    @Test(arguments: otherThan64Digits)
    func refusesWhatIsNot64Digits(text: String, reason: String) throws {
        let path = try directory.write("key", text)
        let error = failure { () throws(CredentialsError) in _ = try SecretKey(hexDigitsFrom: .file(path)) }
        #expect(error?.code == .invalidFormat)
        #expect(error?.description == "invalid format: \(path) (\(reason))")
    }

    @Test func everyByteIsADigitOrRefused() throws {
        for byte in UInt8.min...UInt8.max {
            var text = [UInt8](repeating: UInt8(ascii: "0"), count: 64)
            text[63] = byte
            let secret = try Secret(copying: text.span)
            let isDigit = Character(Unicode.Scalar(byte)).isHexDigit
            let error = failure { () throws(CredentialsError) in _ = try SecretKey(hexDigits: secret) }
            #expect((error == nil) == isDigit)
        }
    }

    @Test func readsRawBytes() throws {
        // The last one looks like an end of line.
        let raw = (0..<31).map { UInt8($0) } + [UInt8(ascii: "\n")]
        let key = try SecretKey(bytesFrom: .file(directory.write("key", raw)))
        #expect(content(key) == raw)
    }

    @Test(arguments: [0, 1, 31, 33, 64])
    func refusesAnotherNumberOfBytes(count: Int) throws {
        let raw = [UInt8](repeating: 7, count: count)
        let path = try directory.write("key", raw)
        let error = failure { () throws(CredentialsError) in _ = try SecretKey(bytesFrom: .file(path)) }
        #expect(error?.code == .invalidFormat)
        let copied = failure { () throws(CredentialsError) in _ = try SecretKey(copying: raw.span) }
        #expect(copied?.reason == (count == 0 ? "empty" : "not 32 bytes"))
    }

    @Test func theFileIsCheckedAsForSecrets() throws {
        let path = try directory.write("key", Self.digits, mode: 0o644)
        let error = failure { () throws(CredentialsError) in _ = try SecretKey(hexDigitsFrom: .file(path)) }
        #expect(error?.code == .permissionsTooOpen)
    }

    @Test func randomKeysDiffer() throws {
        let one = try SecretKey.random()
        let other = try SecretKey.random()
        let results = (one.matches(one), one.matches(other))
        #expect(results == (true, false))
    }

    // MARK: Derivation

    /// RFC 5869 appendix A; a key is the first 32 bytes of what the RFC derives.
    @Test(arguments: vectors)
    func derivesAsTheRFC(vector: Vector) throws {
        let key = try SecretKey.derive(from: vector.input.span, salt: vector.salt.span, info: vector.info.span)
        #expect(content(key) == bytes(vector.output))
    }

    struct Vector {
        let input: [UInt8]
        let salt: [UInt8]
        let info: [UInt8]
        let output: String
    }

    private static let vectors = [
        Vector(
            input: [UInt8](repeating: 0x0b, count: 22),
            salt: Array(0x00...0x0c),
            info: Array(0xf0...0xf9),
            output: "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
        ),
        Vector(
            input: Array(0x00...0x4f),
            salt: Array(0x60...0xaf),
            info: Array(0xb0...0xff),
            output: "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
        ),
        Vector(
            input: [UInt8](repeating: 0x0b, count: 22),
            salt: [],
            info: [],
            output: "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
        ),
    ]

    @Test func theLabelIsTheInfoOfHKDF() throws {
        let input = [UInt8](repeating: 0x0b, count: 22)
        let derived = try SecretKey.derive(from: Secret(copying: input.span), domain: "example.com/signature/v1")
        let expected = try SecretKey.derive(
            from: input.span,
            salt: [UInt8]().span,
            info: "example.com/signature/v1".utf8.span
        )
        #expect(content(derived) == content(expected))
    }

    @Test func labelsSeparate() throws {
        let secret = try Secret(copying: [UInt8](repeating: 1, count: 32).span)
        let root = try SecretKey(bytes: secret)
        let one = try SecretKey.derive(from: secret, domain: "one")
        let two = try SecretKey.derive(from: secret, domain: "two")
        let same = try SecretKey.derive(from: root, domain: "one")
        let results = (one.matches(two), one.matches(same), one.matches(root))
        #expect(results == (false, true, false))
    }

    @Test func littleInputAndEmptyLabelsAreRefused() throws {
        for count in [0, 1, 15] {
            let secret = try Secret(copying: [UInt8](repeating: 1, count: count).span)
            let error = failure { () throws(CredentialsError) in _ = try SecretKey.derive(from: secret, domain: "x") }
            #expect(error?.code == .keyDerivation)
            #expect(error?.description == "key derivation failed (fewer than 16 bytes to derive from)")
        }
        let secret = try Secret(copying: [UInt8](repeating: 1, count: 16).span)
        let error = failure { () throws(CredentialsError) in _ = try SecretKey.derive(from: secret, domain: "") }
        #expect(error?.code == .keyDerivation)
        _ = try SecretKey.derive(from: secret, domain: "x")
    }

    // MARK: Codes

    @Test func codesAreThoseOfTheRFC() throws {
        // RFC 4231 test case 2, its key padded with zeros as HMAC does itself.
        let jefe = Array("Jefe".utf8) + [UInt8](repeating: 0, count: 28)
        let key = try SecretKey(copying: jefe.span)
        let expected = bytes("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
        #expect(try key.hmacSHA256(of: "what do ya want for nothing?") == expected)
        #expect(try key.hmacSHA256(of: Array("what do ya want for nothing?".utf8).span) == expected)
    }

    @Test func codesAreVerified() throws {
        let key = try SecretKey.random()
        let message = Array("message".utf8)
        var code = try key.hmacSHA256(of: message.span)
        let right = key.isValidHMACSHA256(code.span, of: message.span)
        let cut = key.isValidHMACSHA256(code.span.extracting(0..<31), of: message.span)
        let empty = key.isValidHMACSHA256([UInt8]().span, of: message.span)
        let elsewhere = key.isValidHMACSHA256(code.span, of: [UInt8]().span)
        code[31] ^= 1
        let wrong = key.isValidHMACSHA256(code.span, of: message.span)
        #expect([right, cut, empty, elsewhere, wrong] == [true, false, false, false, false])
    }
}
