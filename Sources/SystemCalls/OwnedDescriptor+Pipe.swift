// SPDX-License-Identifier: Apache-2.0

internal import CLinux
internal import Glibc
package import SystemPackage

extension OwnedDescriptor {
    /// Reads once from a pipe that another process made, without trusting it; wraps read(2).
    ///
    /// - Parameters:
    ///   - bytes: filled from its start.
    ///   - timeout: how long that process has to write.
    /// - Returns: the number of bytes read, 0 where its other end is closed.
    /// - Throws: EINVAL where it is no pipe, ETIMEDOUT where nothing came, EAGAIN where somebody else reads it.
    package func readPipe(into bytes: inout MutableSpan<UInt8>, within timeout: Duration) throws(Errno) -> Int {
        let number = number
        guard credfs_is_pipe(number) != 0 else { throw .invalidArgument }
        try makeNonBlocking()
        guard try Readiness.wait(for: [number], timeout: timeout) == [true] else { throw .timedOut }
        return unsafe try bytes.withUnsafeMutableBufferPointer { (buffer) throws(Errno) in
            try valueOrErrno { unsafe Glibc.read(number, buffer.baseAddress, buffer.count) }
        }
    }
}
