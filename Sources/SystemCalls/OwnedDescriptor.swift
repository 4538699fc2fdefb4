// SPDX-License-Identifier: Apache-2.0

internal import CLinux
internal import Glibc
package import SystemPackage

/// A file descriptor with one owner, closed when the owner ends.
///
/// Every descriptor is opened close-on-exec; a child gets one only by being handed it (`Spawn`).
package struct OwnedDescriptor: ~Copyable, Sendable {
    /// The number, valid as long as this value lives.
    package let number: Int32

    /// Takes over a descriptor that nobody else will close.
    package init(owning number: Int32) {
        self.number = number
    }

    deinit {
        // EINTR from close(2) means closed on Linux: never retried.
        close(number)
    }

    /// Hands the descriptor to a new owner.
    package consuming func release() -> Int32 {
        let released = number
        discard self
        return released
    }

    /// A second descriptor for the same open file.
    package func duplicate() throws(Errno) -> OwnedDescriptor {
        OwnedDescriptor(owning: try valueOrErrno { fcntl(number, F_DUPFD_CLOEXEC, 3) })
    }

    /// Makes another number stand for the same open file, until this process runs another program.
    package func take(place other: Int32) throws(Errno) {
        try checkErrno { dup3(number, other, O_CLOEXEC) }
    }

    /// A pipe: what is written to `write` can be read from `read`.
    package static func pipe() throws(Errno) -> Pipe {
        var readEnd: Int32 = -1
        var writeEnd: Int32 = -1
        try checkErrno { unsafe credfs_pipe(&readEnd, &writeEnd, O_CLOEXEC) }
        return Pipe(read: OwnedDescriptor(owning: readEnd), write: OwnedDescriptor(owning: writeEnd))
    }

    /// Both ends of a pipe.
    package struct Pipe: ~Copyable {
        package let read: OwnedDescriptor
        package let write: OwnedDescriptor

        /// Splits the pair into its ends.
        package consuming func ends<R: ~Copyable, E: Error>(
            _ body: (consuming OwnedDescriptor, consuming OwnedDescriptor) throws(E) -> R
        ) throws(E) -> R {
            try body(read, write)
        }
    }
}
