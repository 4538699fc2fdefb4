// SPDX-License-Identifier: Apache-2.0

internal import CLinux
internal import Glibc
package import SystemPackage

extension OwnedDescriptor {
    /// Takes the exclusive flock(2), asking again and again for a bounded time.
    ///
    /// - Parameter milliseconds: after which it gives up.
    /// - Returns: whether the lock is held.
    /// - Throws: the error of flock(2).
    package func lock(withinMilliseconds milliseconds: Int) throws(Errno) -> Bool {
        let deadline = Pause.now() + milliseconds * 1000
        var pause = 100
        while try !lock(wait: false) {
            let rest = deadline - Pause.now()
            guard rest > 0 else { return false }
            Pause.sleep(microseconds: min(pause, rest))
            // Short at first, since a lock is mostly held for less; then longer, so that many who wait cost little.
            pause = min(pause * 2, 5000)
        }
        return true
    }
}

/// Waiting without a descriptor.
package enum Pause {
    /// Ends early where a signal has a handler; wraps nanosleep(2).
    package static func sleep(microseconds: Int) {
        var time = timespec(tv_sec: microseconds / 1_000_000, tv_nsec: microseconds % 1_000_000 * 1000)
        unsafe nanosleep(&time, nil)
    }

    /// Microseconds on a clock that nobody sets.
    static func now() -> Int {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return Int(time.tv_sec) * 1_000_000 + Int(time.tv_nsec) / 1000
    }
}
