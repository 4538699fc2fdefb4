// SPDX-License-Identifier: Apache-2.0

import Foundation
import Sealing
import Testing

@Suite struct Base64Tests {
    /// RFC 4648 section 10.
    @Test(
        arguments: [
            ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ]
    )
    func encodesAsRFC4648(bytes: String, text: String) {
        #expect(encode(Array(bytes.utf8), .standard) == text)
        #expect(decode(text, .standard) == Array(bytes.utf8))
        let unpadded = text.replacing("=", with: "")
        #expect(encode(Array(bytes.utf8), .urlSafe) == unpadded)
        #expect(decode(unpadded, .urlSafe) == Array(bytes.utf8))
        #expect(encode(Array(bytes.utf8), .standardUnpadded) == unpadded)
        #expect(decode(unpadded, .standardUnpadded) == Array(bytes.utf8))
    }

    @Test func theAlphabetsDifferInTwoCharacters() {
        #expect(encode([0xfb, 0xff, 0xbf], .standard) == "+/+/")
        #expect(encode([0xfb, 0xff, 0xbf], .urlSafe) == "-_-_")
        for text in ["+/+/", "+A", "A/AA"] { #expect(decode(text, .urlSafe) == nil) }
        for text in ["-_-_", "-A==", "A_AA"] { #expect(decode(text, .standard) == nil) }
        for text in ["-_-_", "+A==", "A_AA", "+B"] { #expect(decode(text, .standardUnpadded) == nil) }
        #expect(decode("+A", .standardUnpadded) == [0xf8])
    }

    @Test func whatIsEncodedIsDecodedAndIsWhatFoundationWrites() {
        var generator = SystemRandomNumberGenerator()
        for count in 0...300 {
            let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
            let text = Data(bytes).base64EncodedString()
            #expect(encode(bytes, .standard) == text)
            #expect(decode(text, .standard) == bytes)
            let urlSafe = text.replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
            #expect(encode(bytes, .urlSafe) == urlSafe)
            #expect(decode(urlSafe, .urlSafe) == bytes)
        }
    }

    @Test func everyGroupOfTwoIsReadOrRefusedRightly() {
        for first in UInt8.min...(.max) {
            for second in UInt8.min...(.max) {
                expectRight([first, second])
            }
        }
    }

    @Test func everyGroupOfThreeIsReadOrRefusedRightly() {
        for first in interesting {
            for second in interesting {
                for third in UInt8.min...(.max) { expectRight([first, second, third]) }
            }
        }
    }

    @Test func everyPairInAGroupOfFourIsReadOrRefusedRightly() {
        for (one, other) in [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)] {
            for first in UInt8.min...(.max) {
                for second in interesting {
                    var group = Array("Ab9x".utf8)
                    group[one] = first
                    group[other] = second
                    expectRight(group)
                }
            }
        }
    }

    @Test(
        arguments: [
            "A", "AA", "AAA", "=", "==", "===", "====", "A===", "AA=", "AAAA=", "AAAA==", "AAAA====", "AA==AA==",
            "A=AA",
            "AAA=AAAA", " AAAA", "AAAA ", "AA\nAA", "AAAA\n", "AAAA\r\n", "AB==", "AAB=", "QUI=\n", "A\u{e4}A",
        ]
    )
    func otherSpellingsAreRefused(text: String) {
        #expect(decode(text, .standard) == nil)
    }

    @Test(arguments: ["A", "AAAAA", "AA==", "AAA=", "AB", "AAB", "AA ", " AA", "AA\n", "AA.A", "+A", "/w"])
    func otherSpellingsAreRefusedInURLs(text: String) {
        #expect(decode(text, .urlSafe) == nil)
    }

    @Test func aWrongSizeIsRefused() {
        var bytes: [UInt8] = [1, 2, 3, 4]
        var span = bytes.mutableSpan
        let accepted = Base64.decode(Array("AAAA".utf8).span, .standard, into: &span)
        #expect(!accepted)
        #expect(bytes == [1, 2, 3, 4])
    }

    @Test func anOutputOfAnotherSizeTraps() async {
        await #expect(processExitsWith: .failure) {
            var text: [UInt8] = [0]
            var span = text.mutableSpan
            Base64.encode([1].span, .standard, into: &span)
        }
    }

    @Test(arguments: 0...70)
    func countsAreThoseOfTheTexts(count: Int) {
        for alphabet in [Base64.Alphabet.standard, .urlSafe] {
            let text = encode(pattern(count), alphabet)
            #expect(Base64.encodedCount(count, alphabet) == text.utf8.count)
            #expect(decode(text, alphabet)?.count == count)
        }
    }

    /// The characters of both alphabets, their neighbours, and other bytes that a parser might treat apart.
    private let interesting: [UInt8] =
        Array("ABCDQRSTYZabcdghijwxyz0123456789+/-_=".utf8) + Array("@[`{:.,*!~ \t\n\r\0".utf8)
        + [0x7f, 0x80, 0xc1, 0xe1, 0xff]

    /// Compares with what the definition says of one group, in both alphabets.
    private func expectRight(_ group: [UInt8]) {
        for alphabet in [Base64.Alphabet.standard, .urlSafe] {
            // Padding in this place makes it a shorter group, whose turn comes elsewhere.
            if alphabet == .standard && group.count > 2 && group.last == UInt8(ascii: "=") { continue }
            let padding = alphabet == .standard ? [UInt8](repeating: UInt8(ascii: "="), count: 4 - group.count) : []
            var bytes = [UInt8](repeating: 0, count: 3)
            guard let count = Base64.decodedCount((group + padding).span, alphabet) else {
                Issue.record("no count for \(group)")
                continue
            }
            bytes = [UInt8](repeating: 0, count: count)
            var span = bytes.mutableSpan
            let accepted = Base64.decode((group + padding).span, alphabet, into: &span)
            let expected = reference(group, alphabet)
            if accepted != (expected != nil) || (accepted && bytes != expected) {
                Issue.record("\(group) in \(alphabet): \(accepted) \(bytes)")
            }
        }
    }

    /// RFC 4648 sections 3.5, 4 and 5, by the table.
    private func reference(_ group: [UInt8], _ alphabet: Base64.Alphabet) -> [UInt8]? {
        var bits = 0
        for character in group {
            let value = (alphabet == .standard ? Self.standard : Self.urlSafe)[Int(character)]
            if value < 0 { return nil }
            bits = bits << 6 | value
        }
        let spare = group.count * 6 % 8
        guard bits & (1 << spare - 1) == 0 else { return nil }
        bits >>= spare
        let count = group.count * 6 / 8
        return (0..<count).map { UInt8(truncatingIfNeeded: bits >> (8 * (count - 1 - $0))) }
    }

    private static let standard = table("+/")
    private static let urlSafe = table("-_")

    private static func table(_ last: String) -> [Int] {
        var table = [Int](repeating: -1, count: 256)
        let characters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789" + last
        for (value, character) in characters.utf8.enumerated() { table[Int(character)] = value }
        return table
    }

    private func encode(_ bytes: [UInt8], _ alphabet: Base64.Alphabet) -> String {
        var text = [UInt8](repeating: 0, count: Base64.encodedCount(bytes.count, alphabet))
        var span = text.mutableSpan
        Base64.encode(bytes.span, alphabet, into: &span)
        return String(decoding: text, as: UTF8.self)
    }

    private func decode(_ text: String, _ alphabet: Base64.Alphabet) -> [UInt8]? {
        let characters = Array(text.utf8)
        guard let count = Base64.decodedCount(characters.span, alphabet) else { return nil }
        var bytes = [UInt8](repeating: 0, count: count)
        var span = bytes.mutableSpan
        return Base64.decode(characters.span, alphabet, into: &span) ? bytes : nil
    }
}
