// SPDX-License-Identifier: Apache-2.0

internal import CLinux
internal import Glibc
package import SystemPackage

/// Listening stream socket that a service manager made and handed to this process (sd_listen_fds(3)).
package struct ActivatedSocket: ~Copyable, Sendable {
    /// The number of the first descriptor that is handed over.
    private static let first: Int32 = 3

    /// The descriptor: it can be read when somebody has connected.
    package let descriptor: OwnedDescriptor

    /// Takes over the one socket that the variables tell of, close-on-exec and non-blocking.
    ///
    /// Makes nothing where this process was started with none, with several, or with something else.
    ///
    /// - Parameter environment: the values of LISTEN_PID and LISTEN_FDS.
    /// - Throws: the error of fcntl(2).
    package init?(environment: (String) -> String?) throws(Errno) {
        guard environment("LISTEN_PID").flatMap({ Int32($0) }) == getpid(), environment("LISTEN_FDS") == "1",
            credfs_is_listening_stream(Self.first) == 1
        else { return nil }
        let descriptor = OwnedDescriptor(owning: Self.first)
        try descriptor.closeOnExec()
        try descriptor.makeNonBlocking()
        self.descriptor = descriptor
    }

    /// Accepts a connection if one waits; wraps accept4(2).
    ///
    /// - Returns: it; nil where nobody waits any more.
    /// - Throws: the error of accept4(2).
    package func accept() throws(Errno) -> StreamConnection? {
        let number = descriptor.number
        do throws(Errno) {
            return StreamConnection(owning: try valueOrErrno { credfs_accept(number) })
        } catch {
            guard error == .wouldBlock || error == .connectionAbort else { throw error }
            return nil
        }
    }
}

/// Accepted connection of a local stream socket, which an answer is written to.
package struct StreamConnection: ~Copyable, Sendable {
    /// The longest name of a socket (unix(7)).
    private static let longestName = 108

    private let descriptor: OwnedDescriptor

    init(owning number: Int32) {
        descriptor = OwnedDescriptor(owning: number)
    }

    /// The other end when it connected; wraps getsockopt(SO_PEERCRED).
    package func peer() throws(Errno) -> MessageSocket.Peer {
        let number = descriptor.number
        var (process, user): (Int32, UInt32) = (0, 0)
        try checkErrno { unsafe credfs_socket_peer(number, &process, &user) }
        return MessageSocket.Peer(process: process, user: user)
    }

    /// Name that the other end is bound to; wraps getpeername(2).
    ///
    /// - Returns: its bytes; an abstract name begins with a zero byte, and no name has none.
    /// - Throws: the error of getpeername(2).
    package func peerName() throws(Errno) -> [UInt8] {
        let number = descriptor.number
        var bytes = [UInt8](repeating: 0, count: Self.longestName)
        let count = try valueOrErrno {
            unsafe bytes.withUnsafeMutableBytes { unsafe credfs_socket_peer_name(number, $0.baseAddress, $0.count) }
        }
        bytes.removeLast(bytes.count - count)
        return bytes
    }

    /// Writes every byte, and waits for the other end to read until a time.
    ///
    /// - Throws: ETIMEDOUT where the time was over first, EPIPE where nobody reads; the error of send(2) or poll(2).
    package func writeAll(_ bytes: Span<UInt8>, until deadline: ContinuousClock.Instant) throws(Errno) {
        let number = descriptor.number
        unsafe try bytes.withUnsafeBufferPointer { (buffer) throws(Errno) in
            var written = 0
            while written < buffer.count {
                do throws(Errno) {
                    written += try valueOrErrno {
                        unsafe credfs_send_now(
                            number,
                            buffer.baseAddress?.advanced(by: written),
                            buffer.count - written
                        )
                    }
                } catch {
                    guard error == .wouldBlock || error == .resourceTemporarilyUnavailable else { throw error }
                    try Self.waitForRoom(number, until: deadline)
                }
            }
        }
    }

    private static func waitForRoom(_ number: Int32, until deadline: ContinuousClock.Instant) throws(Errno) {
        let rest = (deadline - .now).components
        guard rest.seconds >= 0, rest.attoseconds >= 0 else { throw .timedOut }
        var entry = pollfd(fd: number, events: Int16(POLLOUT), revents: 0)
        let milliseconds = Int32(clamping: rest.seconds &* 1000 &+ rest.attoseconds / 1_000_000_000_000_000 &+ 1)
        try checkErrno { unsafe poll(&entry, 1, milliseconds) }
    }
}
