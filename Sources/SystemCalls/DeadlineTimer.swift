// SPDX-License-Identifier: Apache-2.0

internal import CLinux
internal import Glibc
package import SystemPackage

/// Timer that goes off once, and can be waited for together with other descriptors; wraps timerfd_create(2).
package struct DeadlineTimer: ~Copyable, Sendable {
    private let descriptor: OwnedDescriptor

    /// Goes off after a time, in which the machine may have slept (CLOCK_BOOTTIME).
    package init(after time: Duration) throws(Errno) {
        let (seconds, attoseconds) = time.components
        // Zero would never go off.
        let nanoseconds = max(1, attoseconds / 1_000_000_000)
        try self.init(CLOCK_BOOTTIME, 0, timespec(tv_sec: Int(max(0, seconds)), tv_nsec: Int(nanoseconds)))
    }

    /// Goes off when the clock of the system shows a time, however it comes to that (CLOCK_REALTIME).
    package init(atEpochSecond second: Int64) throws(Errno) {
        // TFD_TIMER_ABSTIME
        try self.init(CLOCK_REALTIME, 1, timespec(tv_sec: Int(max(1, second)), tv_nsec: 0))
    }

    private init(_ clock: Int32, _ flags: Int32, _ time: timespec) throws(Errno) {
        // The flags of a timer are those of a file: TFD_CLOEXEC and TFD_NONBLOCK.
        let timer = OwnedDescriptor(owning: try valueOrErrno { timerfd_create(clock, O_CLOEXEC | O_NONBLOCK) })
        let number = timer.number
        var setting = itimerspec(it_interval: timespec(), it_value: time)
        try checkErrno { unsafe timerfd_settime(number, flags, &setting, nil) }
        descriptor = timer
    }

    /// The descriptor: it can be read once the timer has gone off.
    package var number: Int32 { descriptor.number }
}
