// SPDX-License-Identifier: Apache-2.0

internal import Glibc
package import SystemPackage

/// Runs a system call until it is not interrupted and turns -1 into the error number.
///
/// This is the one place where EINTR is handled.
func valueOrErrno<I: FixedWidthInteger>(_ call: () -> I) throws(Errno) -> I {
    #if CREDFS_FAULT_HOOK
        if let failure = FaultPlan.current?.nextError() { throw failure }
    #endif
    while true {
        let result = call()
        if result != -1 { return result }
        let failure = Errno(rawValue: errno)
        if failure != .interrupted { throw failure }
    }
}

/// Runs a system call that returns nothing of interest.
func checkErrno<I: FixedWidthInteger>(_ call: () -> I) throws(Errno) {
    _ = try valueOrErrno(call)
}

extension Errno {
    /// The text of the error in the style of our messages: as the C library has it, in lower case.
    package var message: String { description.lowercased() }
}
