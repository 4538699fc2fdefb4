// SPDX-License-Identifier: Apache-2.0

internal import CLinux
internal import Glibc
package import SystemPackage

/// Connection to the service manager that started this process (sd_notify(3)).
package final class ServiceNotification: Sendable {
    private let sender: DatagramSender

    /// Connects; a process that serves may not do that any more.
    ///
    /// - Parameter name: the value of NOTIFY_SOCKET: a path, or an abstract name that begins with `@`.
    /// - Throws: the error of socket(2) or connect(2).
    package init(to name: String) throws(Errno) {
        sender = try DatagramSender(to: name)
    }

    /// Tells that the configuration is read again: another message, with `READY=1`, has to follow.
    ///
    /// - Throws: the error of send(2).
    package func sendReloading() throws(Errno) {
        var now = timespec()
        try checkErrno { unsafe clock_gettime(CLOCK_MONOTONIC, &now) }
        try send("RELOADING=1\nMONOTONIC_USEC=\(now.tv_sec * 1_000_000 + now.tv_nsec / 1000)")
    }

    /// Sends lines of assignments such as `READY=1`; never blocks.
    ///
    /// - Throws: the error of send(2).
    package func send(_ state: String) throws(Errno) {
        try sender.send(Array(state.utf8))
    }
}
