// SPDX-License-Identifier: Apache-2.0

internal import CLinux
internal import Glibc
package import SystemPackage

/// Descriptor of somebody else, such as standard error, which is written as far as that needs no waiting.
///
/// Whoever should read a pipe, a terminal or a socket may never do so. The descriptor itself stays as it is: its flags
/// belong to everybody who has it.
package struct OutputWithoutWaiting: ~Copyable, Sendable {
    private enum Way: ~Copyable {
        /// Socket: each send(2) says that it does not wait.
        case socket
        /// Pipe or terminal that was opened once more, for itself.
        case reopened(OwnedDescriptor)
        /// Anything else: it is asked first, and takes what is sure to fit.
        case asked
    }

    /// A pipe that can be written has room for so much (pipe(7), PIPE_BUF).
    private static let sureByteCount = 4096

    private let number: Int32
    private let way: Way

    /// Prepares to write to a descriptor.
    package init(_ number: Int32) {
        self.number = number
        let kind = (try? FileStatus.ofDescriptor(number))?.kind
        switch kind {
        case .socket: way = .socket
        case .fifo, .characterDevice:
            let path = "/proc/self/fd/\(number)"
            do throws(Errno) { way = .reopened(try .open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY)) } catch {
                way = .asked
            }
        // A file that is opened once more has a position of its own, and is overwritten.
        default: way = .asked
        }
    }

    /// Writes what can be written now.
    ///
    /// - Returns: the number of bytes written.
    /// - Throws: the error of write(2) or send(2): `resourceTemporarilyUnavailable` where there is no room.
    package func write(_ bytes: [UInt8]) throws(Errno) -> Int {
        switch way {
        case .socket:
            return try valueOrErrno {
                unsafe bytes.withUnsafeBytes { unsafe credfs_send_now(number, $0.baseAddress, $0.count) }
            }
        case .reopened(let own): return try Self.write(bytes, own.number, count: bytes.count)
        case .asked:
            var entry = pollfd(fd: number, events: Int16(POLLOUT), revents: 0)
            guard try valueOrErrno({ unsafe poll(&entry, 1, 0) }) > 0 else {
                throw .resourceTemporarilyUnavailable
            }
            return try Self.write(bytes, number, count: min(bytes.count, Self.sureByteCount))
        }
    }

    private static func write(_ bytes: [UInt8], _ number: Int32, count: Int) throws(Errno) -> Int {
        try valueOrErrno { unsafe bytes.withUnsafeBytes { unsafe Glibc.write(number, $0.baseAddress, count) } }
    }
}
