// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Glibc
import SecureMemory
import Testing

/// The physical pages hold zeros when the buffer is gone, in an optimized build too.
///
/// A pipe keeps a reference to the private pages, a second mapping one to the secret pages. Both show what the pages hold
/// after the buffer has unmapped them.
@Suite struct WipingAtTheEndTests {
    @Test func lockedPagesAreZeroAfterTheEnd() async {
        // A process of its own, where no other test takes the page out of the spare ones before it was looked at.
        await #expect(processExitsWith: .success) {
            for count in [1, 32, 4096, 10_000] {
                let bytes = try WipingAtTheEndTests().lastBytes(count: count, backing: .locked)
                #expect(bytes.count == count)
                #expect(bytes.allSatisfy { $0 == 0 })
            }
        }
    }

    @Test func secretPagesAreZeroAfterTheEnd() async {
        await #expect(processExitsWith: .success) {
            for count in [1, 32, 4096, 10_000] {
                let bytes = try WipingAtTheEndTests().lastBytes(count: count, backing: .secret)
                #expect(bytes.allSatisfy { $0 == 0 })
                #expect(bytes.count >= count)
            }
        }
    }

    @Test func bytesThatNoLongerCountAreZeroAfterTheEnd() throws {
        var buffer = try SecureBuffer(count: 5000)
        buffer.fill(canary)
        let witness = try PageWitness.ofPrivatePages(at: buffer.address, byteCount: 5000)
        buffer.setCount(0)
        // Written where no span reaches: the end wipes whole pages, not the bytes that count.
        Memory.setByte(at: buffer.address, to: canary)
        end(buffer)
        #expect(witness.bytes().allSatisfy { $0 == 0 })
    }

    @Test func aBufferThatIsReplacedIsWiped() throws {
        var buffer = try SecureBuffer(count: 5000)
        buffer.fill(canary)
        let witness = try PageWitness.ofPrivatePages(at: buffer.address, byteCount: 5000)
        buffer = try SecureBuffer(count: 1)
        #expect(witness.bytes().allSatisfy { $0 == 0 })
        #expect(buffer.count == 1)
    }

    @Test func aBufferWhoseFillingFailsIsWiped() throws {
        struct Refusal: Error {}
        var witness: PageWitness?
        #expect(throws: Refusal.self) {
            _ = try SecureBuffer.filled(capacity: 5000, orThrow: { $0 }) { (bytes) throws -> Int in
                for index in bytes.indices { bytes[index] = canary }
                let address = unsafe bytes.withUnsafeMutableBytes { UInt(bitPattern: $0.baseAddress) }
                witness = try PageWitness.ofPrivatePages(at: address, byteCount: 5000)
                throw Refusal()
            }
        }
        let bytes = witness?.bytes()
        #expect(bytes?.allSatisfy { $0 == 0 } == true)
    }

    @Test func theWitnessSeesPagesThatNobodyWiped() throws {
        let count = Int(getpagesize())
        let pages = unsafe mmap(nil, count, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        let start = try unsafe #require(unsafe pages)
        // Another test may fork, after which a write to ordinary pages goes to a copy: MADV_DONTFORK.
        unsafe madvise(start, count, 10)
        unsafe start.initializeMemory(as: UInt8.self, repeating: 1, count: count)
        let witness = try PageWitness.ofPrivatePages(at: UInt(bitPattern: start), byteCount: count)
        // A later write is seen, so the pipe holds the pages and not a copy of them.
        unsafe start.initializeMemory(as: UInt8.self, repeating: canary, count: count)
        unsafe munmap(start, count)
        #expect(witness.bytes() == [UInt8](repeating: canary, count: count))
    }

    @Test func theWitnessSeesSecretPagesThatNobodyWiped() throws {
        var buffer = try SecureBuffer(count: 4096, backing: .secret)
        try #require(buffer.backing == .secret)
        let witness = try PageWitness.ofSharedPages(at: buffer.address, byteCount: 4096)
        buffer.fill(canary)
        #expect(witness.bytes() == [UInt8](repeating: canary, count: 4096))
    }

    /// Fills a buffer, ends it, and returns what its pages hold then.
    private func lastBytes(count: Int, backing: SecureBuffer.Backing) throws -> [UInt8] {
        var buffer = try SecureBuffer(count: count, backing: backing)
        try #require(buffer.backing == backing)
        buffer.fill(canary)
        let address = buffer.address
        let witness: PageWitness
        switch backing {
        case .locked, .lockedOnFault:
            witness = try PageWitness.ofPrivatePages(at: address, byteCount: count)
        case .secret:
            let page = UInt(getpagesize())
            let start = address / page * page
            let end = address + UInt(count)
            witness = try PageWitness.ofSharedPages(at: start, byteCount: Int(end - start))
        }
        end(buffer)
        return witness.bytes()
    }

    private func end(_ buffer: consuming SecureBuffer) {}
}
