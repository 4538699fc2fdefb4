// SPDX-License-Identifier: Apache-2.0

internal import CLinux
internal import Glibc
package import SystemPackage

/// Tells the service manager how this process is doing (sd_notify(3)).
package enum ServiceNotification {
    /// Sends a state such as `READY=1`.
    ///
    /// - Parameters:
    ///   - state: lines of assignments.
    ///   - socket: what NOTIFY_SOCKET says: a path, or a name that begins with `@`.
    /// - Throws: the error of sendto(2).
    package static func send(_ state: String, to socket: String) throws(Errno) {
        let bytes = Array(state.utf8)
        try checkErrno {
            unsafe bytes.withUnsafeBytes { unsafe credfs_send_datagram(socket, $0.baseAddress, $0.count) }
        }
    }
}
