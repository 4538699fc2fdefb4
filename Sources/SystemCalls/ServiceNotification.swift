// SPDX-License-Identifier: Apache-2.0

internal import CLinux
internal import Glibc
package import SystemPackage

/// Connection to the service manager that started this process (sd_notify(3)).
package struct ServiceNotification: ~Copyable {
    private let socket: OwnedDescriptor

    /// Connects; a process that serves may not do that any more.
    ///
    /// - Parameter name: the value of NOTIFY_SOCKET: a path, or an abstract name that begins with `@`.
    /// - Throws: the error of socket(2) or connect(2).
    package init(to name: String) throws(Errno) {
        socket = OwnedDescriptor(owning: try valueOrErrno { unsafe credfs_connected_datagram_socket(name) })
    }

    /// Sends lines of assignments such as `READY=1`; never blocks.
    ///
    /// - Throws: the error of write(2).
    package func send(_ state: String) throws(Errno) {
        try socket.writeAll(state)
    }
}
