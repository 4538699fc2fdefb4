// SPDX-License-Identifier: Apache-2.0

internal import CLinux
internal import Glibc
package import SystemPackage

/// One end of a pair of local sockets that carry messages and descriptors between two processes.
package struct MessageSocket: ~Copyable, Sendable {
    /// A message as it arrived.
    package struct Message: ~Copyable {
        /// Its bytes; none where the other end is closed.
        package let bytes: [UInt8]
        /// The descriptor that came with it, or -1; owned by whoever takes the message apart.
        package let descriptor: Int32
    }

    /// The longest message in bytes.
    package static let longestMessage = 4096

    /// The descriptor.
    package let descriptor: OwnedDescriptor

    /// Takes over one end.
    package init(owning number: Int32) {
        descriptor = OwnedDescriptor(owning: number)
    }

    /// Kind of socket.
    package enum Kind: Sendable {
        /// The kernel keeps them apart.
        case messages
        /// A stream, as fusermount3 wants it.
        case stream
    }

    /// Makes a pair.
    ///
    /// - Parameters:
    ///   - kind: how messages are told apart.
    ///   - body: takes the two ends.
    /// - Returns: what the function returns.
    /// - Throws: the error of socketpair(2), or of the function.
    package static func pair<R: ~Copyable>(
        _ kind: Kind = .messages,
        _ body: (consuming MessageSocket, consuming MessageSocket) throws(Errno) -> R
    ) throws(Errno) -> R {
        var (one, other): (Int32, Int32) = (-1, -1)
        switch kind {
        case .messages: try checkErrno { unsafe credfs_message_sockets(&one, &other) }
        case .stream: try checkErrno { unsafe credfs_stream_sockets(&one, &other) }
        }
        return try body(MessageSocket(owning: one), MessageSocket(owning: other))
    }

    /// Sends a message, with a copy of a descriptor if one is named.
    package func send(_ bytes: [UInt8], descriptor other: Int32 = -1) throws(Errno) {
        precondition(bytes.count <= Self.longestMessage, "a message has a longest length")
        let number = descriptor.number
        try checkErrno {
            unsafe bytes.withUnsafeBytes { unsafe credfs_send_message(number, $0.baseAddress, $0.count, other) }
        }
    }

    /// Waits for a message.
    ///
    /// - Returns: it; without bytes where the other end is closed.
    package func receive() throws(Errno) -> Message {
        var bytes = [UInt8](repeating: 0, count: Self.longestMessage)
        var received: Int32 = -1
        let number = descriptor.number
        let count = try valueOrErrno {
            unsafe bytes.withUnsafeMutableBytes {
                unsafe credfs_receive_message(number, $0.baseAddress, $0.count, &received)
            }
        }
        bytes.removeLast(bytes.count - count)
        return Message(bytes: bytes, descriptor: received)
    }
}
