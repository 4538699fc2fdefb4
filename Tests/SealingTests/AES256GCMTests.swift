// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Sealing
import SecureMemory
import Testing

@Suite struct AES256GCMTests {
    /// The sizes of NIST's vectors that are this interface's.
    private func records(_ file: String) throws -> [VectorFile.Record] {
        try VectorFile(file).records.filter { $0.group["IVlen"] == "96" && $0.group["Taglen"] == "128" }
    }

    @Test func sealsAsNISTDoes() throws {
        let records = try records("gcmEncryptExtIV256.rsp")
        #expect(records.count == 375)
        for record in records {
            let plaintext = try record.bytes("PT")
            let sealed = try Sealed(
                plaintext,
                key: record.bytes("Key"),
                nonce: record.bytes("IV"),
                associatedData: record.bytes("AAD")
            )
            #expect(try sealed.ciphertext == record.bytes("CT"), "line \(record.line)")
            #expect(try sealed.tag == record.bytes("Tag"), "line \(record.line)")
        }
    }

    @Test func opensAndRefusesAsNISTDoes() throws {
        let records = try records("gcmDecrypt256.rsp")
        #expect(records.count == 375)
        #expect(records.count { $0.says("FAIL") } > 100)
        for record in records {
            let sealed = Sealed(
                ciphertext: try record.bytes("CT"),
                nonce: try record.bytes("IV"),
                tag: try record.bytes("Tag"),
                associatedData: try record.bytes("AAD")
            )
            let (output, error) = try sealed.open(key: record.bytes("Key"))
            let (authenticationError, left) = try sealed.authenticate(key: record.bytes("Key"))
            #expect(authenticationError == error)
            #expect(left.allSatisfy { $0 == 0 })
            if record.says("FAIL") {
                #expect(error == .authenticationFailure, "line \(record.line)")
                #expect(output.allSatisfy { $0 == 0 }, "line \(record.line)")
            } else {
                #expect(error == nil, "line \(record.line)")
                #expect(try output == record.bytes("PT"), "line \(record.line)")
            }
        }
    }

    @Test func opensLongNoncesAsNISTDoes() throws {
        let records = try VectorFile("gcmDecrypt256.rsp").records.filter {
            $0.group["IVlen"] == "1024" && $0.group["Taglen"] == "128"
        }
        #expect(records.count > 300)
        for record in records {
            let sealed = Sealed(
                ciphertext: try record.bytes("CT"),
                nonce: try record.bytes("IV"),
                tag: try record.bytes("Tag"),
                associatedData: try record.bytes("AAD")
            )
            let (output, error) = try sealed.open(key: record.bytes("Key"))
            #expect(error == (record.says("FAIL") ? .authenticationFailure : nil), "line \(record.line)")
            if error == nil { #expect(try output == record.bytes("PT"), "line \(record.line)") }
        }
    }

    /// A case of Wycheproof's aes_gcm_test.json ("special case"): a tag that a comparison may take for something else.
    @Test func sealsToATagOfOnes() throws {
        let key = try Hexadecimal.decode("00112233445566778899aabbccddeeff102132435465768798a9bacbdcedfe0f")
        let plaintext = try Hexadecimal.decode("561008fa07a68f5c61285cd013464eaf")
        let sealed = try Sealed(plaintext, key: key, nonce: [UInt8](repeating: 0, count: 12), associatedData: [])
        #expect(Hexadecimal.encode(sealed.ciphertext) == "23293e9b07ca7d1b0cae7cc489a973b3")
        #expect(sealed.tag == [UInt8](repeating: 0xff, count: 16))
        #expect(sealed.open(key: key).output == plaintext)
    }

    @Test(arguments: [0, 1, 15, 16, 17, 1000])
    func anyFlippedBitIsRefused(size: Int) throws {
        let key = pattern(32)
        let plaintext = pattern(size, 2)
        let sealed = try Sealed(plaintext, key: key, nonce: pattern(12, 3), associatedData: pattern(9, 4))
        #expect(sealed.open(key: key).output == plaintext)

        var altered: [Sealed] = []
        let parts: [WritableKeyPath<Sealed, [UInt8]>] = [\.ciphertext, \.nonce, \.tag, \.associatedData]
        for part in parts {
            for index in sealed[keyPath: part].indices {
                for bit in size < 100 ? Array(0..<8) : [index % 8] {
                    var copy = sealed
                    copy[keyPath: part][index] ^= 1 << UInt8(bit)
                    altered.append(copy)
                }
            }
        }
        #expect(altered.count >= (size + 12 + 16 + 9))
        for sealed in altered { try expectRefused(sealed, key: key) }
    }

    @Test func anyFlippedBitOfTheKeyIsRefused() throws {
        let key = pattern(32)
        let sealed = try Sealed(pattern(40), key: key, nonce: pattern(12), associatedData: pattern(5))
        for bit in 0..<256 {
            var wrong = key
            wrong[bit / 8] ^= 1 << UInt8(bit % 8)
            try expectRefused(sealed, key: wrong)
        }
    }

    @Test func otherLengthsAreRefused() throws {
        let key = pattern(32)
        let sealed = try Sealed(pattern(40), key: key, nonce: pattern(12), associatedData: pattern(5))
        for count in Array(0..<16) + [17, 32] {
            var copy = sealed
            copy.tag = Array((sealed.tag + sealed.tag).prefix(count))
            try expectRefused(copy, key: key)
        }
        for count in 0..<40 {
            var copy = sealed
            copy.ciphertext = Array(sealed.ciphertext.prefix(count))
            try expectRefused(copy, key: key)
        }
        for count in 0..<5 {
            var copy = sealed
            copy.associatedData = Array(sealed.associatedData.prefix(count))
            try expectRefused(copy, key: key)
        }
        var longer = sealed
        longer.ciphertext.append(0)
        try expectRefused(longer, key: key)
        // A byte moved from the associated data to the ciphertext.
        var moved = sealed
        moved.ciphertext.insert(moved.associatedData.removeLast(), at: 0)
        try expectRefused(moved, key: key)
    }

    @Test func oneValueServesManyMessagesAlsoAfterAFailure() throws {
        let key = pattern(32)
        let nonces = (0..<5).map { pattern(12, $0) }
        let plaintexts = (0..<5).map { pattern(30 * $0, $0) }
        let expected = try zip(plaintexts, nonces).map { try Sealed($0, key: key, nonce: $1, associatedData: [7]) }
        var cipher = try AES256GCM(key: Key256(copying: key.span))
        for (plaintext, sealed) in zip(plaintexts, expected) {
            var ciphertext = [UInt8](repeating: 0, count: plaintext.count)
            var tag = [UInt8](repeating: 0, count: 16)
            var ciphertextSpan = ciphertext.mutableSpan
            var tagSpan = tag.mutableSpan
            try cipher.seal(
                plaintext.span,
                nonce: sealed.nonce.span,
                associatedData: [7].span,
                into: &ciphertextSpan,
                tag: &tagSpan
            )
            #expect(ciphertext == sealed.ciphertext)
            #expect(tag == sealed.tag)

            var output = [UInt8](repeating: 1, count: plaintext.count)
            var span = output.mutableSpan
            #expect(throws: SealingError.authenticationFailure) {
                try cipher.open(
                    ciphertext.span,
                    nonce: sealed.nonce.span,
                    tag: tag.span,
                    associatedData: [8].span,
                    into: &span
                )
            }
            try cipher.open(
                ciphertext.span,
                nonce: sealed.nonce.span,
                tag: tag.span,
                associatedData: [7].span,
                into: &span
            )
            #expect(output == plaintext)
        }
    }

    @Test(arguments: [1, 15, 16, 17, 4096])
    func authenticatesThroughScratchOfAnySize(scratchByteCount: Int) throws {
        let key = pattern(32)
        for size in [0, 1, 16, 100, 5000] {
            var sealed = try Sealed(pattern(size), key: key, nonce: pattern(12), associatedData: [])
            let (error, left) = try sealed.authenticate(key: key, scratchByteCount: scratchByteCount)
            #expect(error == nil)
            #expect(left.allSatisfy { $0 == 0 })
            sealed.tag[0] ^= 1
            let refusal = try sealed.authenticate(key: key, scratchByteCount: scratchByteCount).error
            #expect(refusal == .authenticationFailure)
        }
    }

    @Test func scratchWithoutAByteTraps() async {
        await #expect(processExitsWith: .failure) {
            let sealed = try Sealed(pattern(1), key: pattern(32), nonce: pattern(12), associatedData: [])
            _ = try sealed.authenticate(key: pattern(32), scratchByteCount: 0)
        }
    }

    @Test func nonceOfAnotherSizeTraps() async {
        await #expect(processExitsWith: .failure) {
            _ = try Sealed(pattern(1), key: pattern(32), nonce: pattern(13), associatedData: [])
        }
    }

    @Test func outputOfAnotherSizeTraps() async {
        await #expect(processExitsWith: .failure) {
            var cipher = try AES256GCM(key: Key256(copying: pattern(32).span))
            var short: [UInt8] = []
            var tag = [UInt8](repeating: 0, count: 16)
            var shortSpan = short.mutableSpan
            var tagSpan = tag.mutableSpan
            try cipher.seal(
                [1].span,
                nonce: pattern(12).span,
                associatedData: pattern(0).span,
                into: &shortSpan,
                tag: &tagSpan
            )
        }
    }

    private func expectRefused(_ sealed: Sealed, key: [UInt8]) throws {
        let (output, error) = sealed.open(key: key)
        #expect(error == .authenticationFailure)
        #expect(output.allSatisfy { $0 == 0 })
        let (authenticationError, left) = try sealed.authenticate(key: key)
        #expect(authenticationError == .authenticationFailure)
        #expect(left.allSatisfy { $0 == 0 })
    }
}
