// SPDX-License-Identifier: Apache-2.0

internal import CLinux
package import SystemPackage

/// Connected datagram socket of this machine (unix(7)); sending never waits.
package struct DatagramSender: ~Copyable, Sendable {
    private let socket: OwnedDescriptor

    /// Connects; a process that serves may not do that any more.
    ///
    /// - Parameter name: a path, or an abstract name that begins with `@`.
    /// - Throws: the error of socket(2) or connect(2).
    package init(to name: String) throws(Errno) {
        socket = OwnedDescriptor(owning: try valueOrErrno { unsafe credfs_connected_datagram_socket(name) })
    }

    /// Sends one message; wraps send(2).
    ///
    /// - Throws: the error of send(2): `resourceTemporarilyUnavailable` where the receiver has no room.
    package func send(_ bytes: [UInt8]) throws(Errno) {
        _ = try valueOrErrno {
            unsafe bytes.withUnsafeBytes { unsafe credfs_send_now(socket.number, $0.baseAddress, $0.count) }
        }
    }
}
