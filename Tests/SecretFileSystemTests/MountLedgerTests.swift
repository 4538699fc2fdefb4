// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import FuseBridge
import Glibc
import SecretFileSystem
import SecretStore
import SecureMemory
import SystemCalls
import SystemPackage
import Testing

@Suite struct MountLedgerTests {
    @Test func theNextServerGoesOnWithNumbersAndLocks() throws {
        let library = try Library([("A", "a"), ("B", "b")])
        let ledger = try MountLedger()
        #expect(!ledger.isInherited && !ledger.isLocked && ledger.negotiation == nil)
        let first = try library.serve(ledger)
        let (a, b) = try (handle(of: "A", first), handle(of: "B", first))
        #expect(a != b)
        let negotiation = Negotiation(request: Array(repeating: 7, count: 104), answer: Array(repeating: 9, count: 80))
        ledger.note(negotiation)

        let next = try continued(ledger)
        #expect(next.isInherited && next.negotiation == negotiation)
        // One more name, before the others, and another value.
        try library.set("0", "0")
        try library.set("B", "c")
        let second = try library.serve(next)
        for name in ["A", "B"] { #expect(try first.lookup(name).inode == second.lookup(name).inode) }
        #expect(try second.lookup("0").inode == InodeNumber(4))
        #expect(try content(second, a) == "a")
        #expect(try content(second, b) == nil)
        #expect(second.rules.inheritance.names.map(\.text) == ["0", "A", "B"])

        _ = second.rules.lock()
        let third = try continued(next)
        #expect(third.isLocked)
        let locked = try library.serve(third)
        #expect(locked.rules.isLocked)
        #expect(try content(locked, a) == nil)
        locked.rules.unlock()
        #expect(try content(locked, a) == nil)
        #expect(try content(locked, handle(of: "A", locked)) == "a")
        #expect(try !continued(third).isLocked)
    }

    @Test func countsOfOpensGoOnWhileTheValueStays() throws {
        let library = try Library([("A", "a")])
        try library.policy("A") { $0.maxReads = 2 }
        let ledger = try MountLedger()
        _ = try library.serve(ledger).open("A")
        let second = try library.serve(continued(ledger))
        _ = try second.open("A")
        #expect(failure { () throws(FileSystemError) in try second.open("A") } == .refused)
        try library.set("A", "another")
        _ = try library.serve(continued(ledger)).open("A")
    }

    @Test func aGenerationIsNeverFollowedByAnOlderOne() throws {
        let library = try Library([("A", "a")])
        let ledger = try MountLedger()
        let first = try library.snapshot(ledger: ledger)
        let second = try library.snapshot(after: first)
        #expect(second.generation == first.generation + 1)
        #expect(try library.snapshot(ledger: continued(ledger)).generation == second.generation)
    }

    @Test func whatIsDamagedIsRefused() throws {
        let ledger = try MountLedger()
        _ = try Library([("A", "a"), ("B", "b")]).serve(ledger)
        _ = try continued(ledger)
        let file = ledger.descriptor
        // The magic number, the end, and in the first record its inode, the length of its name and the name.
        for (offset, byte) in [
            (0, 0), (8, 1), (9, 0xff), (4096 + 8, 9), (4096 + 48, 200), (4096 + 49, 1), (4096 + 56, 0xff),
        ] {
            var before: UInt8 = 0
            var damaged = UInt8(byte)
            unsafe #expect(pread(file, &before, 1, offset) == 1)
            unsafe #expect(pwrite(file, &damaged, 1, offset) == 1)
            #expect(throws: Errno(rawValue: EPROTO), "\(offset)") { try continued(ledger) }
            unsafe #expect(pwrite(file, &before, 1, offset) == 1)
        }
        _ = try continued(ledger)
        let short = try Memory.sharedFile("short")
        try short.truncate(to: 100)
        let number = short.number
        #expect(throws: Errno(rawValue: EPROTO)) { try MountLedger(continuing: OwnedDescriptor(owning: dup(number))) }
    }

    @Test func aLedgerGrowsAndIsRefusedWhereItIsNotComplete() throws {
        let library = try Library((0..<500).map { ("N\($0)", "value") })
        let ledger = try MountLedger()
        var before = try library.snapshot(ledger: ledger)
        for round in 0..<3 {
            for number in 0..<500 { try library.set("N\(number)", "\(round)") }
            before = try library.snapshot(after: before)
        }
        #expect(try library.snapshot(ledger: continued(ledger)).names == before.names)
        let size = try OwnedDescriptor(owning: dup(ledger.descriptor)).status().size
        #expect(size > 4 * 500 * 60 && size < 4 * 500 * 60 + 80000)
        var full: UInt64 = 1
        unsafe #expect(pwrite(ledger.descriptor, &full, 8, 48) == 8)
        #expect(throws: Errno(rawValue: EPROTO)) { try continued(ledger) }
    }

    @Test func handlesThatNobodyGaveOpenNothing() throws {
        let served = try Library([("A", "a")]).serve(MountLedger())
        // None, an address, a version too few and too many, a placeholder of neither, another count of locks.
        let numbers: [UInt64] = [
            0, 1, 0x4000_0000_0000_0000, 0x4000_0000_18c0_0000, 0x8000_0000_0000_0000, 0x8000_0000_01c0_0000,
            0x4000_4000_0040_0000,
        ]
        for number in numbers {
            #expect(try content(served, LastingHandle(value: number)) == nil, "\(number)")
        }
    }

    /// Of a rendered file everything that it is made of counts.
    @Test func aRenderedFileIsAnotherOneWhereAPartIs() throws {
        let library = try Library([("A", "a"), ("B", "b")], files: [("R", "{{ A }}-{{ B }}")])
        let ledger = try MountLedger()
        let before = try handle(of: "R", library.serve(ledger))
        #expect(try content(library.serve(continued(ledger)), before) == "a-b")
        try library.change("R") { entry throws in entry.value = .template(try Template("{{ A }}+{{ B }}")) }
        #expect(try content(library.serve(continued(ledger)), before) == nil)
        try library.change("R") { entry throws in entry.value = .template(try Template("{{ A }}-{{ B }}")) }
        let again = try handle(of: "R", library.serve(continued(ledger)))
        try library.set("B", "c")
        #expect(try content(library.serve(continued(ledger)), again) == nil)
    }

    private func continued(_ ledger: MountLedger) throws -> MountLedger {
        try MountLedger(continuing: OwnedDescriptor(owning: dup(ledger.descriptor)))
    }

    private func handle(of name: String, _ served: Served) throws -> LastingHandle {
        try #require(try served.open(name).makeLastingHandle())
    }

    /// What a reader gets who has a handle; nil where it is not opened again.
    private func content(_ served: Served, _ handle: LastingHandle) throws -> String? {
        var scratch = try SecureBuffer(count: 4096)
        guard case .secret(let secret) = served.rules.reopen(handle, scratch: &scratch) else { return nil }
        return String(decoding: try served.read(secret, 0..<100), as: UTF8.self)
    }
}
