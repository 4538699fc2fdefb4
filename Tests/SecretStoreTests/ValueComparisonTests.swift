// SPDX-License-Identifier: Apache-2.0

import SecretStore
import SecureMemory
import Testing

@Suite struct ValueComparisonTests {
    private func areSame(_ one: [UInt8], _ other: [UInt8]) throws -> Bool {
        let keys = try StoreFixture(["A"]).keys()
        let name = try #require(SecretName("A"))
        var cipher = try keys.valueCipher()
        let left = try cipher.seal(one.span, as: name)
        let right = try cipher.seal(other.span, as: name)
        let comparison = try ValueComparison(keys)
        return try comparison.areSame(left, right, as: name)
    }

    @Test func bytesDecideAndNotHowTheyWereSealed() throws {
        let long = (0..<40_000).map { UInt8(truncatingIfNeeded: $0 ^ $0 >> 8) }
        var changed = long
        changed[39_999] ^= 1
        var early = long
        early[0] ^= 1
        #expect(try areSame([], []))
        #expect(try areSame([1], [1]))
        #expect(try !areSame([1], [2]))
        #expect(try !areSame([1], [1, 2]))
        #expect(try areSame(long, long))
        #expect(try !areSame(long, changed))
        #expect(try !areSame(long, early))
    }

    @Test func oneBufferTakesOneValueAfterTheOther() throws {
        let keys = try StoreFixture(["A"]).keys()
        let name = try #require(SecretName("A"))
        var cipher = try keys.valueCipher()
        var buffer = try SecureBuffer(count: 2)
        for value in [[1, 2, 3], [4], []] as [[UInt8]] {
            let sealed = try cipher.seal(value.span, as: name)
            try cipher.open(sealed, as: name, into: &buffer)
            let opened = buffer.withBytes { bytes in bytes.indices.map { bytes[$0] } }
            #expect(opened == value)
        }
    }

    @Test func aValueOfAnotherNameIsNotCompared() throws {
        let keys = try StoreFixture(["A"]).keys()
        let (one, other) = (try #require(SecretName("A")), try #require(SecretName("B")))
        var cipher = try keys.valueCipher()
        let left = try cipher.seal([1].span, as: one)
        let right = try cipher.seal([1].span, as: other)
        var code: StoreError.Code?
        do throws(StoreError) {
            let comparison = try ValueComparison(keys)
            _ = try comparison.areSame(left, right, as: one)
        } catch { code = error.code }
        #expect(code == .authentication)
    }
}
