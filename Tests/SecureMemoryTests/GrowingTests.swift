// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import SecureMemory
import Testing

@Suite struct GrowingTests {
    @Test(arguments: [0, 1, 9, 10, 11, 5000])
    func aCopyHasTheBytesThatFit(capacity: Int) throws {
        var buffer = try SecureBuffer(count: 12)
        buffer.withMutableBytes { bytes in for index in bytes.indices { bytes[index] = UInt8(index + 1) } }
        buffer.setCount(10)
        let copy = try buffer.copy(capacity: capacity)
        #expect(copy.capacity == capacity)
        #expect(copy.array == Array((1...10).prefix(capacity)))
        #expect(buffer.array == Array(1...10))
    }

    @Test func aCopyCanHaveAnotherBacking() throws {
        var buffer = try SecureBuffer(count: 4)
        buffer.fill(canary)
        let copy = try buffer.copy(capacity: 4, backing: .secret)
        #expect(copy.backing == .secret)
        #expect(copy.array == buffer.array)
    }

    @Test(arguments: [0, 1, 4094, 4095, 4096, 4097, 8191, 8192, 8193, 100_000])
    func collectsWhateverTheSizeOfTheInput(size: Int) throws {
        let input = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        for step in [1, 1000, 1 << 20] where size / step < 10_000 {
            let buffer = try collect(input, limit: 100_000, step: step)
            #expect(buffer.array == input, "steps of \(step)")
        }
    }

    @Test(arguments: [0, 1, 4095, 4096, 8191, 8192, 8193])
    func inputAsLongAsTheLimitIsComplete(limit: Int) throws {
        let buffer = try collect([UInt8](repeating: 1, count: limit), limit: limit, step: 1 << 20)
        #expect(buffer.count == limit)
    }

    @Test(arguments: [0, 1, 4095, 4096, 8191, 8192, 8193])
    func inputBeyondTheLimitIsSeenByOneByteMore(limit: Int) throws {
        let buffer = try collect([UInt8](repeating: 1, count: limit + 100_000), limit: limit, step: 1 << 20)
        #expect(buffer.count == limit + 1)
    }

    @Test func aReadThatFailsEndsTheCollection() {
        struct Refusal: Error {}
        #expect(throws: Refusal.self) {
            _ = try SecureBuffer.collecting(limit: 10, orThrow: { $0 }) { (_, _) throws -> Int in throw Refusal() }
        }
    }

    @Test func pagesThatWereOutgrownAreWiped() async {
        // A process of its own, where no other test takes the spare page before it was looked at.
        await #expect(processExitsWith: .success) {
            var witness: PageWitness?
            let buffer = try SecureBuffer.collecting(limit: 10_000, orThrow: { $0 }) { (bytes, offset) throws -> Int in
                guard offset == 0 else { return 0 }
                for index in bytes.indices { bytes[index] = canary }
                let address = unsafe bytes.withUnsafeMutableBytes { UInt(bitPattern: $0.baseAddress) }
                witness = try PageWitness.ofPrivatePages(at: address, byteCount: bytes.count)
                return bytes.count
            }
            #expect(buffer.count == 4096)
            #expect(buffer.array.allSatisfy { $0 == canary })
            let outgrown = witness?.bytes()
            #expect(outgrown?.allSatisfy { $0 == 0 } == true)
        }
    }

    @Test func missingMemoryIsTheCallersError() async {
        await #expect(processExitsWith: .success) {
            ProcessLimits.forbidLocking()
            struct Mine: Error {}
            #expect(throws: Mine.self) {
                _ = try SecureBuffer.collecting(limit: 10, orThrow: { _ in Mine() }) { (_, _) throws(Mine) in 0 }
            }
            #expect(throws: Mine.self) {
                _ = try SecureBuffer.filled(capacity: 10, orThrow: { _ in Mine() }) { (_) throws(Mine) in 0 }
            }
        }
    }

    /// Collects from an array that gives at most `step` bytes at a time.
    private func collect(_ input: [UInt8], limit: Int, step: Int) throws -> SecureBuffer {
        var position = 0
        return try SecureBuffer.collecting(limit: limit, orThrow: { $0 }) { (bytes, offset) throws(SecureMemoryError) in
            #expect(offset == position)
            let count = min(step, bytes.count - offset, input.count - position)
            for index in 0..<count { bytes[offset + index] = input[position + index] }
            position += count
            return count
        }
    }
}
