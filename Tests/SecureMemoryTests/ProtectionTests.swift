// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Glibc
import SecureMemory
import SystemPackage
import Testing

/// What the kernel is asked to do with the pages, seen from the kernel's side.
@Suite struct ProtectionTests {
    @Test func lockedPagesAreLockedUndumpedAndWipedOnFork() throws {
        let buffer = try SecureBuffer(count: 5000)
        let flags = try MemoryMap.flags(at: buffer.address)
        #expect(flags.isSuperset(of: ["lo", "dd", "wf"]), "\(flags)")
        #expect(buffer.backing == .locked)
    }

    @Test func pagesLockedOnFaultTakeNoMemoryUntilTheyAreTouched() throws {
        var buffer = try SecureBuffer(capacity: 1 << 20, backing: .lockedOnFault)
        let start = buffer.address
        #expect(try MemoryMap.flags(at: start).isSuperset(of: ["lo", "lf", "dd", "wf"]))
        #expect(try MemoryMap.residentKiB(at: start) == 0)
        buffer.setCount(5000)
        buffer.fill(canary)
        #expect(try MemoryMap.residentKiB(at: start) == 8)
    }

    @Test func secretPagesAreLockedUndumpedAndAbsentInAChild() throws {
        let buffer = try SecureBuffer(count: 5000, backing: .secret)
        // Every kernel this runs on in earnest has memfd_secret(2); one without it shows here.
        try #require(buffer.backing == .secret, "no memfd_secret(2): secretmem.enable=0 or a kernel before 5.14")
        let flags = try MemoryMap.flags(at: buffer.address)
        #expect(flags.isSuperset(of: ["lo", "dd", "dc", "sh"]), "\(flags)")
    }

    @Test func theKernelCannotReadSecretPages() throws {
        var buffer = try SecureBuffer(count: 64, backing: .secret)
        buffer.fill(canary)
        let memory = unsafe open("/proc/self/mem", O_RDONLY | O_CLOEXEC)
        try #require(memory >= 0)
        defer { close(memory) }
        var bytes = [UInt8](repeating: 0, count: 64)
        #expect(unsafe pread(memory, &bytes, 64, off_t(buffer.address)) == -1)
        #expect(errno == EIO)
        // The way of looking is right: ordinary pages can be read so.
        var ordinary = try SecureBuffer(count: 64)
        ordinary.fill(canary)
        #expect(unsafe pread(memory, &bytes, 64, off_t(ordinary.address)) == 64)
        #expect(bytes == [UInt8](repeating: canary, count: 64))
    }

    @Test func guardPagesAllowNothing() throws {
        let page = UInt(getpagesize())
        let buffer = try SecureBuffer(count: Int(page))
        for address in [buffer.address - page, buffer.address + page] {
            let flags = try MemoryMap.flags(at: address)
            #expect(!flags.isEmpty)
            #expect(flags.isDisjoint(with: ["rd", "wr", "ex"]), "\(flags)")
        }
    }

    @Test func lockedMemoryRisesByTheSizeAndFallsAtTheEnd() async {
        // A process of its own, where no other test locks memory at the same time.
        await #expect(processExitsWith: .success) {
            for backing in [SecureBuffer.Backing.locked, .lockedOnFault, .secret] {
                let before = try #require(try MemoryMap.status("VmLck"))
                do {
                    let buffer = try SecureBuffer(count: 1 << 20, backing: backing)
                    let during = try #require(try MemoryMap.status("VmLck"))
                    #expect(during - before == 1024)
                    #expect(buffer.count == 1 << 20)
                }
                let after = try #require(try MemoryMap.status("VmLck"))
                #expect(after == before)
            }
        }
    }

    @Test(arguments: [SecureBuffer.Backing.locked, .lockedOnFault])
    func aForkedChildSeesZeros(backing: SecureBuffer.Backing) throws {
        var buffer = try SecureBuffer(count: 5000, backing: backing)
        buffer.fill(canary)
        #expect(ForkedChild.looks(at: buffer.address, byteCount: 5000) == .zeros)
        #expect(buffer.array.allSatisfy { $0 == canary })
        // The way of looking is right: ordinary memory is copied.
        let ordinary = [canary]
        let address = unsafe ordinary.withUnsafeBytes { UInt(bitPattern: $0.baseAddress) }
        #expect(ForkedChild.looks(at: address, byteCount: 1) == .otherBytes)
    }

    @Test func aForkedChildHasNoSecretPages() throws {
        var buffer = try SecureBuffer(count: 5000, backing: .secret)
        try #require(buffer.backing == .secret)
        buffer.fill(canary)
        #expect(ForkedChild.looks(at: buffer.address, byteCount: 5000) == .signal(SIGSEGV))
    }

    @Test func memoryThatCannotBeLockedIsAnError() async {
        await #expect(processExitsWith: .success) {
            ProcessLimits.forbidLocking()
            for backing in [SecureBuffer.Backing.locked, .lockedOnFault, .secret] {
                do throws(SecureMemoryError) {
                    _ = try SecureBuffer(count: 32, backing: backing)
                    Issue.record("a buffer was made that is not locked")
                } catch {
                    #expect(error.code == .notLocked)
                    #expect(error.byteCount == 32)
                    // What mlock(2) says where the limit is 0, and where it is merely too low.
                    #expect([Errno.notPermitted, .noMemory].contains(error.errno))
                }
            }
        }
    }

    @Test func anAddressSpaceThatIsFullIsAnError() async {
        await #expect(processExitsWith: .success) {
            ProcessLimits.forbidMappings()
            do throws(SecureMemoryError) {
                _ = try SecureBuffer(count: 1 << 20)
                Issue.record("a buffer was made beyond the limit")
            } catch {
                #expect(error.code == .unavailable)
                #expect(error.byteCount == 1 << 20)
                #expect(error.errno == .noMemory)
            }
        }
    }

    @Test func aFailedBufferLeavesNothingMapped() async {
        await #expect(processExitsWith: .success) {
            ProcessLimits.forbidLocking()
            let before = try #require(try MemoryMap.status("VmSize"))
            for _ in 0..<1000 { try? _ = SecureBuffer(count: 1 << 20) }
            let after = try #require(try MemoryMap.status("VmSize"))
            // Half of what a leak would come to; threads and the allocator take their part.
            #expect(after - before < 1 << 19)
        }
    }

    @Test func aPageIsTakenAgainAsZerosLockedAndUndumped() async {
        await #expect(processExitsWith: .success) {
            for (backing, flags) in [
                (SecureBuffer.Backing.locked, ["lo", "dd", "wf"]), (.secret, ["lo", "dd", "dc"]),
            ] {
                var buffer = try SecureBuffer(count: 100, backing: backing)
                buffer.fill(canary)
                let page = buffer.address / 4096
                end(buffer)
                let again = try SecureBuffer(count: 4096, backing: backing)
                #expect(again.address / 4096 == page)
                #expect(again.array.allSatisfy { $0 == 0 })
                #expect(try MemoryMap.flags(at: again.address).isSuperset(of: flags))
            }
        }
    }

    @Test func sparePagesAreFewAndGivenUpWhereLockedMemoryEnds() async {
        await #expect(processExitsWith: .success) {
            func hold(_ count: Int) throws {
                guard count > 0 else { return }
                let buffer = try SecureBuffer(count: 32)
                try hold(count - 1)
                #expect(buffer.count == 32)
            }
            let before = try #require(try MemoryMap.status("VmLck"))
            try hold(20)
            #expect(try #require(try MemoryMap.status("VmLck")) - before == 16)
            ProcessLimits.limitLocking(toByteCount: Int(before) * 1024 + 16 * 1024)
            let buffer = try SecureBuffer(count: 16 * 1024)
            #expect(buffer.count == 16 * 1024)
        }
    }

    @Test func aForkedChildTakesNoSparePage() async {
        await #expect(processExitsWith: .success) {
            // Of the pages that a child has, those are not locked and these are not there.
            for backing in [SecureBuffer.Backing.locked, .secret] {
                end(try SecureBuffer(count: 32, backing: backing))
                let status = ForkedChild.status {
                    guard var own = try? SecureBuffer(count: 32, backing: backing) else { return 1 }
                    own.fill(canary)
                    let isLocked = (try? MemoryMap.flags(at: own.address).contains("lo")) == true
                    return isLocked ? 0 : 2
                }
                #expect(status == 0)
            }
        }
    }
}

/// The end of a buffer.
private func end(_ buffer: consuming SecureBuffer) {}
