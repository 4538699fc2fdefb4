// SPDX-License-Identifier: Apache-2.0

internal import CLinux
internal import Glibc
package import SystemPackage

/// Local socket that listens under a name in a directory and keeps messages apart (unix(7), SOCK_SEQPACKET).
package struct ListeningSocket: ~Copyable, Sendable {
    /// The descriptor: it can be read when somebody has connected.
    package let descriptor: OwnedDescriptor

    /// Makes one, which its owner alone can connect to; a process that serves may not do that any more.
    ///
    /// - Parameters:
    ///   - name: a name that nothing has: whatever is there, a link too, is EADDRINUSE.
    ///   - directory: the directory, reached through /proc so that its path may be long and cannot be exchanged.
    /// - Throws: the error of socket(2), fchmod(2), bind(2) or listen(2).
    package init(named name: String, in directory: borrowing OwnedDescriptor) throws(Errno) {
        let number = directory.number
        descriptor = OwnedDescriptor(owning: try valueOrErrno { unsafe credfs_listening_socket(number, name) })
    }

    /// Takes over one that another process made.
    package init(owning number: Int32) {
        descriptor = OwnedDescriptor(owning: number)
    }

    /// Accepts a connection if one waits; wraps accept4(2).
    ///
    /// - Returns: it, non-blocking; nil where nobody waits any more.
    /// - Throws: the error of accept4(2).
    package func accept() throws(Errno) -> MessageSocket? {
        let number = descriptor.number
        do throws(Errno) {
            return MessageSocket(owning: try valueOrErrno { credfs_accept(number) })
        } catch {
            guard error == .wouldBlock || error == .connectionAbort else { throw error }
            return nil
        }
    }
}

extension MessageSocket {
    /// Process and user at the other end, as they were when it connected or began to listen.
    package struct Peer: Sendable, Equatable {
        /// The id of the process; 0 where it cannot be seen from here (pid_namespaces(7)).
        package let process: Int32
        /// The effective user id.
        package let user: UInt32

        /// Makes a peer.
        package init(process: Int32, user: UInt32) {
            self.process = process
            self.user = user
        }
    }

    /// Connects to a socket that listens under a name in a directory; the connection is non-blocking.
    ///
    /// - Throws: the error of socket(2) or connect(2); EAGAIN where too many wait for it already.
    package static func connect(to name: String, in directory: borrowing OwnedDescriptor) throws(Errno) -> MessageSocket
    {
        let number = directory.number
        return MessageSocket(owning: try valueOrErrno { unsafe credfs_connected_socket(number, name) })
    }

    /// The other end; wraps getsockopt(SO_PEERCRED).
    package func peer() throws(Errno) -> Peer {
        let number = descriptor.number
        var (process, user): (Int32, UInt32) = (0, 0)
        try checkErrno { unsafe credfs_socket_peer(number, &process, &user) }
        return Peer(process: process, user: user)
    }
}
