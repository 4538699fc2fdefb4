// SPDX-License-Identifier: Apache-2.0

internal import SystemCalls
internal import SystemPackage

/// Checks of memory: locks, secret memory, swap, core files.
package enum MemoryChecks {
    /// Below this nothing can be opened: a key, two buffers and a page for each worker.
    static let leastLocked: UInt64 = 64 << 10
    /// A secret of the usual largest size, while it is taken in: three times 1 MiB.
    static let usualLocked: UInt64 = 3 << 20

    private static let lockMemory = 14

    package static func run(_ host: HostView) -> [Finding] {
        guard host.hasProc else {
            return [
                .unknown(.lockedMemory, host), secretMemory(host), .unknown(.swap, host), .unknown(.corePattern, host),
            ]
        }
        return [lockedMemory(host), secretMemory(host), swap(host), corePattern(host)]
    }

    static func lockedMemory(_ host: HostView) -> Finding {
        guard let limit = host.limit("Max locked memory") else {
            return .warning(.lockedMemory, "the limit of locked memory cannot be read")
        }
        if host.hasCapability(lockMemory) { return .ok(.lockedMemory, "no limit: CAP_IPC_LOCK") }
        guard let soft = limit.soft else { return .ok(.lockedMemory, "no limit") }
        let message = "\(soft >> 10) KiB of memory can be locked"
        let fix =
            if let hard = limit.hard, hard < usualLocked {
                "raise the limit for the user: memlock in /etc/security/limits.conf, or LimitMEMLOCK=8M in a unit"
            } else {
                "ulimit -l 8192"
            }
        if soft < leastLocked {
            return .problem(.lockedMemory, "\(message), credfs needs \(leastLocked >> 10) KiB", fix: fix)
        }
        if soft < usualLocked {
            return .warning(
                .lockedMemory,
                "\(message): large secrets cannot be taken in (3 MiB for one of 1 MiB), reads are served in small parts",
                fix: fix
            )
        }
        return .ok(.lockedMemory, message)
    }

    static func secretMemory(_ host: HostView) -> Finding {
        guard let errno = host.calls.secretMemory() else {
            return .ok(.secretMemory, "memfd_secret can be had: keys are in no other mapping of the kernel")
        }
        let message = "no memfd_secret (\(errno.message)): keys are in ordinary locked memory"
        guard errno == .noFunction else { return .warning(.secretMemory, message) }
        let fix = "Linux 5.14 or later; before 6.5 with secretmem.enable=1 on the kernel's command line"
        return .warning(.secretMemory, message, fix: fix)
    }

    // MARK: Swap

    static func swap(_ host: HostView) -> Finding {
        // A machine without the file has a kernel without swap.
        let areas = host.lines("/proc/swaps").dropFirst().compactMap { line in
            line.split(whereSeparator: { $0 == " " || $0 == "\t" }).first.map(String.init)
        }
        if areas.isEmpty { return .ok(.swap, "no swap") }
        let open = areas.filter { !isEncrypted($0, host) }
        if open.isEmpty { return .ok(.swap, "encrypted or in memory: \(areas.joined(separator: ", "))") }
        return .warning(
            .swap,
            "what a job makes of its secrets can reach \(open.joined(separator: ", ")), which is not seen to be "
                + "encrypted; credfs's own memory is locked",
            fix: "\(host.sudo)swapoff -a, or encrypt it (crypttab(5): swap)"
        )
    }

    /// Detects a swap area on a device that dm-crypt makes, or in compressed memory.
    private static func isEncrypted(_ path: String, _ host: HostView) -> Bool {
        guard path.hasPrefix("/dev/") else { return false }
        let real = host.calls.realPath(host.root + path).map { String($0.dropFirst(host.root.utf8.count)) } ?? path
        guard let name = real.split(separator: "/").last else { return false }
        return isEncrypted(device: String(name), host, depth: 0)
    }

    private static func isEncrypted(device: String, _ host: HostView, depth: Int) -> Bool {
        // Layers of devices are few; a loop would be a mistake of the kernel.
        guard depth < 8 else { return false }
        let directory = "/sys/block/\(device)"
        if device.hasPrefix("zram") {
            // What zram writes out goes where it came from: uncompressed or not, but never encrypted.
            let backing = host.text("\(directory)/backing_dev").map { $0.filter { $0 != "\n" } }
            return backing == nil || backing == "none"
        }
        if host.text("\(directory)/dm/uuid")?.hasPrefix("CRYPT-") == true { return true }
        let layers = host.names("\(directory)/slaves")
        return !layers.isEmpty && layers.allSatisfy { isEncrypted(device: $0, host, depth: depth + 1) }
    }

    // MARK: Core files

    static func corePattern(_ host: HostView) -> Finding {
        let text = host.text("/proc/sys/kernel/core_pattern")?.filter { $0 != "\n" }
        guard let pattern = text, !pattern.isEmpty else { return .ok(.corePattern, "no core files") }
        guard pattern.hasPrefix("|") else {
            return .ok(.corePattern, "core files go to '\(pattern)'; credfs and its jobs write none")
        }
        let program = pattern.dropFirst().split(separator: " ").first ?? "a program"
        // The kernel ignores the limit where a program takes the core, but for the value 1 (fs/coredump.c).
        if let limit = host.limit("Max core file size"), limit.hard == 0 {
            return .warning(
                .corePattern,
                "core files go to \(program), which a limit of 0 does not stop: that of a job could hold its secrets",
                fix: "start credfs with a hard limit of core files of at least 1 byte (ulimit -H -c), or "
                    + "\(host.sudo)sysctl -w kernel.core_pattern=core"
            )
        }
        return .ok(
            .corePattern,
            "core files go to \(program); a limit of 1 byte keeps those of credfs and its jobs away"
        )
    }
}
