// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import SystemPackage

/// Time that nobody can set: it runs from the start of the machine, also while it sleeps.
package struct BootClock: Sendable, Equatable {
    /// Boot identifier (random(4)); empty where the kernel does not say.
    package let boot: String
    /// Milliseconds since then.
    package let uptime: Int64

    /// Makes a reading.
    package init(boot: String, uptime: Int64) {
        self.boot = boot
        self.uptime = uptime
    }

    /// The present reading; wraps clock_gettime(CLOCK_BOOTTIME) and `/proc/sys/kernel/random/boot_id`.
    package static func now() -> BootClock {
        BootClock(boot: bootIdentifier(), uptime: milliseconds())
    }

    /// Milliseconds since the start of the machine; wraps clock_gettime(CLOCK_BOOTTIME).
    package static func milliseconds() -> Int64 {
        var time = timespec()
        unsafe clock_gettime(CLOCK_BOOTTIME, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }

    private static func bootIdentifier() -> String {
        var bytes = [UInt8](repeating: 0, count: 36)
        var span = bytes.mutableSpan
        guard let file = try? OwnedDescriptor.open("/proc/sys/kernel/random/boot_id", O_RDONLY),
            let count = try? file.read(into: &span), count == 36
        else { return "" }
        return String(validating: bytes, as: UTF8.self) ?? ""
    }
}
