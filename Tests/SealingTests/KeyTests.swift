// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Sealing
import SecureMemory
import SystemPackage
import Testing

@Suite struct Key256Tests {
    @Test func copiesBytes() throws {
        let key = try Key256(copying: pattern(32).span)
        #expect(key.array == pattern(32))
        let copy = try key.copy()
        #expect(copy.array == pattern(32))
    }

    @Test(arguments: [0, 1, 31, 33, 64])
    func otherSizesAreRefused(count: Int) {
        #expect(throws: SealingError.authenticationFailure) { _ = try Key256(copying: pattern(count).span) }
    }

    @Test func randomKeysDiffer() throws {
        var keys: Set<[UInt8]> = []
        for _ in 0..<100 { keys.insert(try Key256.random().array) }
        #expect(keys.count == 100)
    }

    @Test func theErrorOfAFillingFunctionIsPassedOn() {
        struct Refusal: Error {}
        #expect(throws: Refusal.self) {
            _ = try Key256.filled(orThrow: { $0 as any Error }) { _ in throw Refusal() }
        }
    }

    @Test func missingMemoryIsAnErrorOfItsOwn() async {
        await #expect(processExitsWith: .success) {
            let bytes = pattern(32)
            ProcessLimits.forbidLocking()
            for isRandom in [true, false] {
                do throws(SealingError) {
                    _ = isRandom ? try Key256.random() : try Key256(copying: bytes.span)
                    Issue.record("a key was made in memory that is not locked")
                } catch .memory(let reason) {
                    #expect(reason.code == .notLocked)
                    #expect(reason.byteCount == 32)
                } catch {
                    Issue.record("\(error)")
                }
            }
        }
    }
}

@Suite struct RandomBytesTests {
    @Test func noTwoAreTheSame() throws {
        var seen: Set<[UInt8]> = []
        for _ in 0..<1000 { seen.insert(try RandomBytes.array(count: 12)) }
        #expect(seen.count == 1000)
    }

    @Test(arguments: [0, 1, 100])
    func asManyAsAskedFor(count: Int) throws {
        #expect(try RandomBytes.array(count: count).count == count)
    }

    /// 65 536 bytes have 262 144 ones, give or take 362 (one standard deviation); ten of those are never seen by chance.
    @Test func halfTheBitsAreSet() throws {
        var bytes = try RandomBytes.array(count: 65_536)
        #expect(abs(bytes.reduce(0) { $0 + $1.nonzeroBitCount } - 262_144) < 3620)
        bytes = [UInt8](repeating: 0, count: 65_536)
        var span = bytes.mutableSpan
        try RandomBytes.fillPrivate(&span)
        #expect(abs(bytes.reduce(0) { $0 + $1.nonzeroBitCount } - 262_144) < 3620)
    }
}

@Suite struct ConstantTimeTests {
    @Test(arguments: [0, 1, 31, 32, 33])
    func equalBytesAreEqual(count: Int) {
        #expect(equal(pattern(count), pattern(count)))
    }

    @Test func anyBitMakesADifference() {
        let bytes = pattern(40)
        for bit in 0..<320 {
            var other = bytes
            other[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(!equal(bytes, other))
        }
    }

    @Test func lengthsMakeADifference() {
        #expect(!equal([], [0]))
        #expect(!equal([1, 2], [1]))
        #expect(!equal([1], [1, 0]))
    }

    private func equal(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        ConstantTime.equal(left.span, right.span)
    }
}
