// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Glibc
import SecureMemory
import Testing

/// Sizes at and around the edges of a page.
private let sizes = [0, 1, 31, 32, 4095, 4096, 4097, 8192, 70_000]

@Suite struct SecureBufferTests {
    @Test(arguments: sizes, [SecureBuffer.Backing.locked, .lockedOnFault, .secret])
    func beginsAsZeros(count: Int, backing: SecureBuffer.Backing) throws {
        let buffer = try SecureBuffer(count: count, backing: backing)
        #expect(buffer.count == count)
        #expect(buffer.capacity == count)
        #expect(buffer.array == [UInt8](repeating: 0, count: count))
    }

    @Test(arguments: sizes, [SecureBuffer.Backing.locked, .lockedOnFault, .secret])
    func keepsWhatIsWritten(count: Int, backing: SecureBuffer.Backing) throws {
        var buffer = try SecureBuffer(count: count, backing: backing)
        buffer.withMutableBytes { bytes in
            for index in bytes.indices { bytes[index] = UInt8(truncatingIfNeeded: index &* 31) }
        }
        #expect(buffer.array == (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) })
    }

    @Test(arguments: [SecureBuffer.Backing.locked, .lockedOnFault, .secret])
    func wipeLeavesZerosAndTheCount(backing: SecureBuffer.Backing) throws {
        var buffer = try SecureBuffer(count: 5000, backing: backing)
        buffer.fill(canary)
        #expect(buffer.array.allSatisfy { $0 == canary })
        buffer.wipe()
        #expect(buffer.array == [UInt8](repeating: 0, count: 5000))
    }

    @Test func wipeReachesBytesBeyondTheCount() throws {
        var buffer = try SecureBuffer(count: 64)
        buffer.fill(canary)
        buffer.setCount(10)
        buffer.wipe()
        buffer.setCount(64)
        #expect(buffer.array == [UInt8](repeating: 0, count: 64))
    }

    @Test(arguments: [0, 1, 4095, 4096, 5999, 6000])
    func shrinkingWipesWhatNoLongerCounts(count: Int) throws {
        var buffer = try SecureBuffer(count: 6000)
        buffer.fill(canary)
        let start = buffer.address
        buffer.setCount(count)
        // Read past the count: these bytes are still this buffer's.
        #expect((count..<6000).allSatisfy { Memory.byte(at: start + UInt($0)) == 0 })
        #expect(buffer.array == [UInt8](repeating: canary, count: count))
        buffer.setCount(6000)
        #expect(buffer.array.dropFirst(count).allSatisfy { $0 == 0 })
    }

    @Test(arguments: [0, 1, 32, 4096, 4097])
    func bytesEndAtTheGuardPage(count: Int) throws {
        let buffer = try SecureBuffer(count: count)
        #expect((buffer.address + UInt(count)) % UInt(getpagesize()) == 0)
    }

    @Test func readingBehindTheEndTraps() async {
        await #expect(processExitsWith: .signal(SIGSEGV)) {
            let buffer = try SecureBuffer(count: 32)
            exit(Int32(Memory.byte(at: buffer.address + 32)))
        }
    }

    @Test func writingBehindTheEndOfSecretMemoryTraps() async {
        await #expect(processExitsWith: .signal(SIGSEGV)) {
            let buffer = try SecureBuffer(count: 32, backing: .secret)
            Memory.setByte(at: buffer.address + 32, to: 1)
        }
    }

    @Test func readingBeforeTheFirstPageTraps() async {
        await #expect(processExitsWith: .signal(SIGSEGV)) {
            let buffer = try SecureBuffer(count: Int(getpagesize()))
            exit(Int32(Memory.byte(at: buffer.address - 1)))
        }
    }

    @Test func indexingBeyondTheCountTraps() async {
        await #expect(processExitsWith: .failure) {
            var buffer = try SecureBuffer(count: 32)
            buffer.setCount(16)
            buffer.withMutableBytes { $0[16] = 1 }
        }
    }

    @Test func outgrowingTheCapacityTraps() async {
        await #expect(processExitsWith: .failure) {
            var buffer = try SecureBuffer(count: 32)
            buffer.setCount(33)
        }
    }

    @Test func negativeSizeTraps() async {
        await #expect(processExitsWith: .failure) { _ = try SecureBuffer(count: -1) }
    }

    @Test func filledCountsWhatTheFunctionWrote() throws {
        let buffer = try SecureBuffer.filled(capacity: 10, orThrow: { $0 }) { (bytes) throws(SecureMemoryError) in
            bytes[0] = 7
            bytes[1] = 8
            return 2
        }
        #expect(buffer.array == [7, 8])
        #expect(buffer.capacity == 10)
    }

    @Test func filledPassesOnTheErrorOfTheFunction() {
        struct Refusal: Error {}
        #expect(throws: Refusal.self) {
            _ = try SecureBuffer.filled(capacity: 1, orThrow: { $0 as any Error }) { _ in throw Refusal() }
        }
    }

    @Test func crossesThreads() async throws {
        var buffer = try SecureBuffer(count: 3)
        buffer.fill(9)
        let moved = buffer
        let bytes = await Task.detached { [moved = Shared(buffer: moved)] in moved.buffer.array }.value
        #expect(bytes == [9, 9, 9])
    }
}

/// A box, since a closure cannot capture a noncopyable value.
private final class Shared: Sendable {
    let buffer: SecureBuffer

    init(buffer: consuming SecureBuffer) {
        self.buffer = buffer
    }
}
