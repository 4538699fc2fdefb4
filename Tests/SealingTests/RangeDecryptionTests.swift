// SPDX-License-Identifier: Apache-2.0

import Sealing
import Testing

/// A part that is decrypted alone is the same part of the whole.
@Suite struct RangeDecryptionTests {
    @Test(arguments: [0, 1, 15, 16, 17, 31, 32, 33, 50])
    func everyPartOfAShortTextIsThatPart(size: Int) throws {
        let text = Text(size: size)
        let sealed = try text.seal()
        for offset in 0...size {
            for count in 0...(size - offset) {
                try expectPart(offset, count, of: text, sealed)
            }
        }
    }

    @Test func partsAroundBlocksAndCounterBytesAreThoseParts() throws {
        // Past 65 536 blocks, so that the third byte of the counter is reached.
        let text = Text(size: 16 * 65_536 + 40)
        let sealed = try text.seal()
        let blocks = [0, 1, 253, 254, 255, 256, 65_533, 65_534, 65_535, 65_536, 65_538]
        for offset in blocks.flatMap({ block in [-1, 0, 1, 15].map { 16 * block + $0 } }) where offset >= 0 {
            for count in [0, 1, 15, 16, 17, 33, 4096] where offset + count <= text.plaintext.count {
                try expectPart(offset, count, of: text, sealed)
            }
        }
        try expectPart(0, text.plaintext.count, of: text, sealed)
        try expectPart(7, text.plaintext.count - 7, of: text, sealed)
    }

    @Test func anotherNonceOrKeyGivesOtherBytes() throws {
        let text = Text(size: 64)
        let sealed = try text.seal()
        #expect(try part(5, 40, of: sealed, key: pattern(32, 9), nonce: text.nonce) != Array(text.plaintext[5..<45]))
        #expect(try part(5, 40, of: sealed, key: text.key, nonce: pattern(12, 9)) != Array(text.plaintext[5..<45]))
    }

    @Test func theLastBlockOfAMessageCanBeReachedAndNoneBeyond() async throws {
        let lastBlock = 16 * ((1 << 32) - 3)
        for (offset, count) in [(lastBlock, 16), (lastBlock + 1, 15), (lastBlock + 16, 0)] {
            let part = try part(0, count, of: pattern(count), key: pattern(32), nonce: pattern(12), at: offset)
            #expect(part.count == count)
        }
        await #expect(processExitsWith: .failure) {
            let beyond = 16 * ((1 << 32) - 3) + 1
            var output = [UInt8](repeating: 0, count: 16)
            var span = output.mutableSpan
            try AES256GCM.decrypt(
                pattern(16).span,
                at: beyond,
                nonce: pattern(12).span,
                key: Key256(copying: pattern(32).span),
                into: &span
            )
        }
    }

    @Test func aNegativeOffsetTraps() async {
        await #expect(processExitsWith: .failure) {
            var output = [UInt8](repeating: 0, count: 16)
            var span = output.mutableSpan
            try AES256GCM.decrypt(
                pattern(16).span,
                at: -16,
                nonce: pattern(12).span,
                key: Key256(copying: pattern(32).span),
                into: &span
            )
        }
    }

    private struct Text {
        let key = pattern(32)
        let nonce = pattern(12, 5)
        let plaintext: [UInt8]

        init(size: Int) {
            plaintext = pattern(size, 3)
        }

        func seal() throws -> [UInt8] {
            try Sealed(plaintext, key: key, nonce: nonce, associatedData: [1, 2, 3]).ciphertext
        }
    }

    private func expectPart(_ offset: Int, _ count: Int, of text: Text, _ ciphertext: [UInt8]) throws {
        let part = try part(offset, count, of: ciphertext, key: text.key, nonce: text.nonce)
        if part[...] != text.plaintext[offset..<offset + count] {
            Issue.record("\(count) bytes at \(offset) of \(text.plaintext.count) are others")
        }
    }

    private func part(
        _ offset: Int,
        _ count: Int,
        of ciphertext: [UInt8],
        key: [UInt8],
        nonce: [UInt8],
        at position: Int? = nil
    ) throws -> [UInt8] {
        var output = [UInt8](repeating: 0xaa, count: count)
        var span = output.mutableSpan
        try AES256GCM.decrypt(
            ciphertext.span.extracting(offset..<offset + count),
            at: position ?? offset,
            nonce: nonce.span,
            key: Key256(copying: key.span),
            into: &span
        )
        return output
    }
}
