// SPDX-License-Identifier: Apache-2.0

internal import CTestCalls
internal import Glibc

/// A second hold on pages of memory, through which their bytes can be read after the first owner has unmapped them.
@safe
package struct PageWitness: ~Copyable {
    @unsafe
    private enum Hold {
        /// A pipe that refers to private pages without copying them; see vmsplice(2).
        case pipe(read: Int32, write: Int32)
        /// A second mapping of shared pages, for secret memory, which a pipe cannot hold.
        case mapping(UnsafeMutableRawPointer)
    }

    /// The system call that failed.
    package struct Failure: Error {
        package let call: String
        package let errno: Int32
    }

    private let hold: Hold
    private let byteCount: Int

    private init(_ hold: Hold, byteCount: Int) {
        unsafe self.hold = unsafe hold
        self.byteCount = byteCount
    }

    /// Holds private pages.
    ///
    /// - Parameters:
    ///   - address: a byte of theirs.
    ///   - byteCount: how many from there on, up to 64 KiB.
    /// - Returns: the witness.
    /// - Throws: `Failure`.
    package static func ofPrivatePages(
        at address: UInt,
        byteCount: Int
    ) throws(Failure) -> PageWitness {
        var ends: [Int32] = [-1, -1]
        guard unsafe pipe(&ends) == 0 else { throw Failure(call: "pipe", errno: errno) }
        let witness = unsafe PageWitness(.pipe(read: ends[0], write: ends[1]), byteCount: byteCount)
        var piece = unsafe iovec(iov_base: UnsafeMutableRawPointer(bitPattern: address), iov_len: byteCount)
        guard unsafe vmsplice(ends[1], &piece, 1, 0) == byteCount else { throw Failure(call: "vmsplice", errno: errno) }
        return witness
    }

    /// Holds whole shared pages.
    ///
    /// - Parameters:
    ///   - address: where they begin.
    ///   - byteCount: a multiple of the page size.
    /// - Returns: the witness.
    /// - Throws: `Failure`.
    package static func ofSharedPages(at address: UInt, byteCount: Int) throws(Failure) -> PageWitness {
        let again = unsafe credfs_test_map_again(UnsafeMutableRawPointer(bitPattern: address), byteCount)
        guard let again = unsafe again, unsafe again != MAP_FAILED else { throw Failure(call: "mremap", errno: errno) }
        return unsafe PageWitness(.mapping(again), byteCount: byteCount)
    }

    deinit {
        switch unsafe hold {
        case .pipe(let read, let write):
            close(read)
            close(write)
        case .mapping(let address):
            unsafe munmap(address, byteCount)
        }
    }

    /// Bytes of the pages now.
    ///
    /// Once only for private pages.
    package func bytes() -> [UInt8] {
        var bytes = [UInt8](repeating: 0xff, count: byteCount)
        switch unsafe hold {
        case .pipe(let read, _):
            let count = unsafe Glibc.read(read, &bytes, byteCount)
            precondition(count == byteCount, "a pipe gives back what was put in")
        case .mapping(let address):
            unsafe bytes.withUnsafeMutableBytes { target in
                unsafe target.copyMemory(from: UnsafeRawBufferPointer(start: address, count: byteCount))
            }
        }
        return bytes
    }
}
