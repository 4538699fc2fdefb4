// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Sealing
import SecureMemory
import Testing

@Suite struct AgeFileTests {
    private static func encrypted(_ plaintext: [UInt8], for identities: AgeIdentity...) throws -> [UInt8] {
        try AgeFile.encrypt(plaintext.span, for: identities.map(\.recipient))
    }

    @Test(arguments: [0, 1, 32, 65_535, 65_536, 65_537, 131_072, 200_000])
    func whatIsEncryptedIsDecrypted(count: Int) throws {
        let plaintext = pattern(count)
        let (first, second, stranger) = (try AgeIdentity.random(), try AgeIdentity.random(), try AgeIdentity.random())
        let file = try Self.encrypted(plaintext, for: first, second)
        for identities in [[first], [second], [stranger, second]] {
            #expect(AgeFixture.open(file, identities) == .init(plaintext: plaintext))
        }
        #expect(AgeFixture.open(file, [stranger]).error == .noMatch)
        #expect(AgeFixture.open(file, []).error == .noMatch)
        #expect(AgeFixture.open(file, password: "password").error == .noMatch)
    }

    @Test func aPasswordOpensWhatItSealed() throws {
        let file = try AgeFile.encrypt(pattern(100).span, password: "a password".utf8.span, workFactor: 4)
        #expect(AgeFixture.open(file, password: "a password") == .init(plaintext: pattern(100)))
        #expect(AgeFixture.open(file, password: "a passwore").error == .noMatch)
        #expect(AgeFixture.open(file, password: "").error == .noMatch)
        #expect(AgeFixture.open(file, [try AgeIdentity.random()]).error == .noMatch)
        let empty = try AgeFile.encrypt(pattern(3).span, password: "".utf8.span, workFactor: 1)
        #expect(AgeFixture.open(empty, password: "") == .init(plaintext: pattern(3)))
    }

    @Test func theSameFileIsNeverMadeTwice() throws {
        let identity = try AgeIdentity.random()
        var files: Set<[UInt8]> = []
        for _ in 0..<50 { files.insert(try Self.encrypted([1, 2, 3], for: identity)) }
        #expect(files.count == 50)
    }

    @Test func anyChangedByteIsNoticed() throws {
        let identity = try AgeIdentity.random()
        let file = try Self.encrypted(pattern(40), for: identity)
        for index in file.indices {
            for change: UInt8 in [1, 0x20, 0x80] {
                var altered = file
                altered[index] ^= change
                let result = AgeFixture.open(altered, [identity])
                #expect(result.error != nil, "byte \(index)")
                #expect(result.plaintext.isEmpty)
            }
        }
    }

    @Test func anyCutIsNoticed() throws {
        let identity = try AgeIdentity.random()
        let file = try Self.encrypted(pattern(40), for: identity)
        for count in 0..<file.count {
            #expect(AgeFixture.open(Array(file.prefix(count)), [identity]).error != nil, "\(count) bytes")
        }
        #expect(AgeFixture.open(file + [0], [identity]).error == .payload)
        let long = try Self.encrypted(pattern(131_072), for: identity)
        let start = long.count - 131_072 - 32
        // At the boundary of a chunk, what came before is whole and the end is missing.
        #expect(AgeFixture.open(Array(long.prefix(start + 65_552)), [identity]).error == .payload)
    }

    @Test func noiseIsRefusedWithoutATrap() {
        var generator = SystemRandomNumberGenerator()
        for count in [0, 1, 20, 21, 22, 23, 100, 500] {
            for _ in 0..<50 {
                let noise = (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
                #expect(AgeFixture.open(noise, []).error == .malformedHeader)
                #expect(AgeFixture.open(Array("age-encryption.org/v1\n".utf8) + noise, []).error == .malformedHeader)
                let isArmor = (try? AgeArmor.decode(noise.span)) != nil
                #expect(!isArmor)
            }
        }
    }

    @Test(arguments: [
        ("-> mlkem768x25519 AAAA\n\n", AgeError.UnsupportedKind.postQuantum), ("-> p256tag AAAA\n\n", .tagged),
        ("-> mlkem768p256tag AAAA\n\n", .taggedPostQuantum), ("-> ssh-ed25519 AAAA\n\n", .sshEd25519),
        ("-> grease x y\n\n-> ssh-rsa AAAA\n\n", .sshRSA),
    ])
    func otherKindsOfRecipientsAreRefusedByName(stanzas: String, kind: AgeError.UnsupportedKind) throws {
        let header = "age-encryption.org/v1\n\(stanzas)--- \(String(repeating: "A", count: 43))\n"
        let file = Array(header.utf8) + pattern(16)
        #expect(AgeFixture.open(file, [try AgeIdentity.random()]).error == .unsupported(kind))
    }

    @Test func moreWorkThanTheBoundIsRefusedBeforeItIsDone() {
        for factor in ["21", "22", "63", "64", "9999"] {
            let stanza = "-> scrypt \(AgeHeader.base64(pattern(16))) \(factor)\n\(AgeHeader.base64(pattern(32)))\n"
            let file = "age-encryption.org/v1\n\(stanza)--- \(String(repeating: "A", count: 43))\n"
            #expect(AgeFixture.open(Array(file.utf8), password: "password").error == .excessiveWork)
        }
    }

    @Test func longBodiesAreWrapped() throws {
        for count in [0, 1, 47, 48, 49, 96, 97] {
            let stanza = AgeStanza(type: "kind", arguments: ["a", "b"], body: pattern(count))
            let text = AgeHeader.text([stanza, stanza])
            let header = try AgeHeader((text + Array(" \(AgeHeader.base64(pattern(32)))\nrest".utf8)).span)
            #expect(header.stanzas == [stanza, stanza])
            #expect(header.authenticatedByteCount == text.count)
            #expect(header.byteCount == text.count + 45)
        }
    }

    @Test(arguments: [0, 1, 47, 48, 49, 1000])
    func armorComesBack(count: Int) throws {
        let text = AgeArmor.encode(pattern(count).span)
        let isArmored = [text, Array("age-encryption.org/v1".utf8)].map { AgeArmor.isArmored($0.span) }
        #expect(isArmored == [true, false])
        for form in [text, Array(" \r\n".utf8) + text + Array("\n\t".utf8)] {
            let bytes = try AgeArmor.decode(form.span)
            #expect(bytes == pattern(count))
        }
        let lines = String(decoding: text, as: UTF8.self).split(separator: "\n")
        #expect(lines.allSatisfy { $0.utf8.count <= 64 })
    }
}

/// Files of the age program, and ours in its hands.
@Suite struct AgeProgramTests {
    private let age = "/usr/bin/age"

    @Test(arguments: [false, true])
    func eachReadsWhatTheOtherWrote(armored: Bool) async throws {
        let directory = try TemporaryDirectory()
        let made = try await ChildProcess.run("/usr/bin/age-keygen", ["-o", directory.path("key")])
        try #require(made.status == .exited(0))
        let lines = String(decoding: try directory.read("key"), as: UTF8.self).split(separator: "\n")
        let identity = try AgeIdentity(try #require(lines.last).utf8.span)
        #expect(lines.contains { $0.hasSuffix(identity.recipient.text) }, "the recipient that age-keygen prints")
        for count in [0, 1, 65_536, 100_000] {
            let plaintext = pattern(count)
            let theirs = try await ChildProcess.run(
                age,
                (armored ? ["-a"] : []) + ["-r", identity.recipient.text],
                standardInput: plaintext
            )
            let file = armored ? try AgeArmor.decode(theirs.standardOutput.span) : theirs.standardOutput
            #expect(AgeFixture.open(file, [identity]) == .init(plaintext: plaintext))

            var ours = try AgeFile.encrypt(
                plaintext.span,
                for: [AgeIdentity.random().recipient, identity.recipient]
            )
            if armored { ours = AgeArmor.encode(ours.span) }
            let back = try await ChildProcess.run(age, ["-d", "-i", directory.path("key")], standardInput: ours)
            #expect(back.status == .exited(0) && back.standardOutput == plaintext, "\(back.errorText)")
        }
    }

    @Test func eachOpensPasswordsOfTheOther() async throws {
        let directory = try TemporaryDirectory()
        try directory.write(pattern(1000), to: "plain")
        let password = "some words \(UUID().uuidString)"
        let seal = try PseudoTerminal()
        try seal.start(
            age,
            ["-p", "-o", directory.path("theirs"), directory.path("plain")],
            environment: [:]
        )
        try await seal.expect("Enter passphrase")
        seal.type(password + "\n")
        try await seal.expect("Confirm passphrase")
        seal.type(password + "\n")
        try #require(try await seal.end() == .exited(0))
        #expect(AgeFixture.open(try directory.read("theirs"), password: password) == .init(plaintext: pattern(1000)))

        try directory.write(
            try AgeFile.encrypt(pattern(1000).span, password: password.utf8.span, workFactor: 12),
            to: "ours"
        )
        let open = try PseudoTerminal()
        try open.start(age, ["-d", "-o", directory.path("back"), directory.path("ours")], environment: [:])
        try await open.expect("Enter passphrase")
        open.type(password + "\n")
        try #require(try await open.end() == .exited(0))
        #expect(try directory.read("back") == pattern(1000))
    }
}

extension AgeFixture {
    static func open(_ file: [UInt8], _ identities: [AgeIdentity]) -> Result {
        var result = Result()
        do throws(AgeError) {
            try AgeFile.decrypt(file.span, for: identities, orThrow: { $0 }) { (chunk) throws(AgeError) in
                append(chunk, to: &result.plaintext)
            }
        } catch { result.error = error }
        return result
    }

    static func open(_ file: [UInt8], password: String) -> Result {
        var result = Result()
        do throws(AgeError) {
            try AgeFile.decrypt(file.span, password: password.utf8.span, orThrow: { $0 }) { (chunk) throws(AgeError) in
                append(chunk, to: &result.plaintext)
            }
        } catch { result.error = error }
        return result
    }
}
