// SPDX-License-Identifier: Apache-2.0

import HostChecks
import SystemPackage
import Testing

@Suite struct MemoryChecksTests {
    @Test(arguments: [
        ("0", Finding.Status.problem), ("65535", .problem), ("65536", .warning), ("3145727", .warning),
        ("3145728", .ok), ("unlimited", .ok),
    ])
    func theLimitOfLockedMemoryIsJudged(_ limit: String, _ status: Finding.Status) throws {
        let fake = try FakeHost()
        try fake.limits(locked: limit)
        expect(try fake.finding(.lockedMemory), status)
        // With the capability no limit holds.
        try fake.status(capabilities: 1 << 14)
        expect(try fake.finding(.lockedMemory), .ok, "CAP_IPC_LOCK")
    }

    @Test func theFixIsOneThatTheUserMayApply() throws {
        let fake = try FakeHost()
        try fake.limits(locked: "65536", hard: "8388608")
        expect(try fake.finding(.lockedMemory), .warning, fix: "ulimit -l")
        try fake.limits(locked: "65536", hard: "unlimited")
        expect(try fake.finding(.lockedMemory), .warning, fix: "ulimit -l")
        try fake.limits(locked: "65536")
        expect(try fake.finding(.lockedMemory), .warning, fix: "limits.conf")
        try fake.write("", to: "/proc/self/limits")
        #expect(try fake.finding(.lockedMemory).status == .warning)
    }

    @Test func aKernelWithoutSecretMemoryIsAWarning() throws {
        let fake = try FakeHost()
        expect(try fake.finding(.secretMemory), .ok)
        fake.host.calls.secretMemory = { .noFunction }
        expect(try fake.finding(.secretMemory), .warning, fix: "secretmem.enable=1")
        fake.host.calls.secretMemory = { .tooManyOpenFiles }
        #expect(try fake.finding(.secretMemory).status == .warning)
    }

    // MARK: Swap

    private let header = "Filename\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"

    @Test func aMachineWithoutSwapIsFine() throws {
        let fake = try FakeHost()
        expect(try fake.finding(.swap), .ok, "no swap")
        try fake.write(header, to: "/proc/swaps")
        expect(try fake.finding(.swap), .ok, "no swap")
    }

    @Test func openSwapIsNamed() throws {
        let fake = try FakeHost()
        try fake.write(header + "/swapfile file 1 0 -2\n/dev/sda2 partition 1 0 -3\n", to: "/proc/swaps")
        expect(try fake.finding(.swap), .warning, "/swapfile, /dev/sda2", fix: "sudo swapoff -a")
    }

    @Test func encryptedSwapIsSeenThroughItsLayers() throws {
        let fake = try FakeHost()
        try fake.write(header + "/dev/dm-1 partition 1 0 -2\n", to: "/proc/swaps")
        try fake.write("LVM-somevolume\n", to: "/sys/block/dm-1/dm/uuid")
        expect(try fake.finding(.swap), .warning)
        try fake.write("", to: "/sys/block/dm-1/slaves/dm-0")
        try fake.write("LVM-other\n", to: "/sys/block/dm-0/dm/uuid")
        expect(try fake.finding(.swap), .warning)
        try fake.write("CRYPT-LUKS2-0000-root\n", to: "/sys/block/dm-0/dm/uuid")
        expect(try fake.finding(.swap), .ok, "/dev/dm-1")
        // One open layer beside it is enough.
        try fake.write("", to: "/sys/block/dm-1/slaves/sda3")
        expect(try fake.finding(.swap), .warning)
    }

    @Test func aNameOfAMapperIsALink() throws {
        let fake = try FakeHost()
        try fake.write(header + "/dev/mapper/swap partition 1 0 -2\n", to: "/proc/swaps")
        try fake.write("CRYPT-PLAIN-swap\n", to: "/sys/block/dm-4/dm/uuid")
        let root = fake.host.root
        fake.host.calls.realPath = { $0 == root + "/dev/mapper/swap" ? root + "/dev/dm-4" : nil }
        expect(try fake.finding(.swap), .ok)
    }

    @Test func compressedMemoryIsMemoryUnlessItIsWrittenBack() throws {
        let fake = try FakeHost()
        try fake.write(header + "/dev/zram0 partition 1 0 100\n", to: "/proc/swaps")
        expect(try fake.finding(.swap), .ok)
        try fake.write("none\n", to: "/sys/block/zram0/backing_dev")
        expect(try fake.finding(.swap), .ok)
        try fake.write("/dev/sdb\n", to: "/sys/block/zram0/backing_dev")
        expect(try fake.finding(.swap), .warning)
    }

    @Test func aLoopOfLayersEnds() throws {
        let fake = try FakeHost()
        try fake.write(header + "/dev/dm-0 partition 1 0 -2\n", to: "/proc/swaps")
        try fake.write("", to: "/sys/block/dm-0/slaves/dm-0")
        expect(try fake.finding(.swap), .warning)
    }

    // MARK: Core files

    @Test func aProgramThatTakesCoresIsExplained() throws {
        let fake = try FakeHost()
        expect(try fake.finding(.corePattern), .ok, "no core files")
        try fake.write("core.%p\n", to: "/proc/sys/kernel/core_pattern")
        expect(try fake.finding(.corePattern), .ok, "'core.%p'")
        try fake.write("|/usr/lib/systemd/systemd-coredump %P %u\n", to: "/proc/sys/kernel/core_pattern")
        try fake.limits(locked: "0", core: "1")
        expect(try fake.finding(.corePattern), .ok, "/usr/lib/systemd/systemd-coredump; a limit of 1 byte")
        // The one limit that cannot be raised to 1, and that such a program never sees.
        try fake.limits(locked: "0", core: "0")
        expect(try fake.finding(.corePattern), .warning, "a limit of 0 does not stop", fix: "kernel.core_pattern=core")
    }
}
