// SPDX-License-Identifier: Apache-2.0

internal import CLinux
internal import Glibc
package import SystemPackage

/// The calls that SecureMemory is made of.
package enum Memory {
    /// The size of a page in bytes.
    package static let pageSize = Int(sysconf(Int32(_SC_PAGESIZE)))

    /// Returns freed memory to the system; wraps malloc_trim(3).
    package static func returnUnused() {
        _ = malloc_trim(0)
    }

    /// Gives back the pages of code and constants that come from files, which are read again where they are needed.
    package static func dropProgramPages() {
        _ = credfs_drop_program_pages()
    }

    /// Reserves address space that nothing can touch until it is replaced or opened.
    package static func reserve(byteCount: Int) throws(Errno) -> UnsafeMutableRawPointer {
        try unsafe map(nil, byteCount, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1)
    }

    /// Opens reserved private memory for reading and writing.
    package static func open(_ address: UnsafeMutableRawPointer, byteCount: Int) throws(Errno) {
        try checkErrno { unsafe mprotect(address, byteCount, PROT_READ | PROT_WRITE) }
    }

    /// Puts the pages of a memory file over a reserved range.
    package static func place(
        _ file: borrowing OwnedDescriptor,
        at address: UnsafeMutableRawPointer,
        byteCount: Int
    ) throws(Errno) {
        _ = try unsafe map(address, byteCount, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file.number)
    }

    /// A file of secret memory, in no other mapping of the kernel; wraps memfd_secret(2) and ftruncate(2).
    package static func secretFile(byteCount: Int) throws(Errno) -> OwnedDescriptor {
        let file = OwnedDescriptor(owning: try valueOrErrno { credfs_memfd_secret(UInt32(O_CLOEXEC)) })
        try checkErrno { ftruncate(file.number, off_t(byteCount)) }
        return file
    }

    /// An empty file of ordinary memory that other processes can be handed; wraps memfd_create(2).
    ///
    /// - Parameter name: what /proc calls it.
    /// - Returns: the file, close-on-exec.
    /// - Throws: the error of memfd_create(2).
    package static func sharedFile(_ name: String) throws(Errno) -> OwnedDescriptor {
        // MFD_CLOEXEC of linux/memfd.h, and never a program (MFD_NOEXEC_SEAL, which kernels before 6.3 refuse).
        let (closeOnExec, noProgram): (UInt32, UInt32) = (1, 8)
        do throws(Errno) {
            return OwnedDescriptor(owning: try valueOrErrno { unsafe memfd_create(name, closeOnExec | noProgram) })
        } catch {
            guard error == .invalidArgument else { throw error }
            return OwnedDescriptor(owning: try valueOrErrno { unsafe memfd_create(name, closeOnExec) })
        }
    }

    /// Maps a file that all who map it write to, also beyond its end, where nothing may be touched; wraps mmap(2).
    package static func share(
        _ file: borrowing OwnedDescriptor,
        byteCount: Int
    ) throws(Errno) -> UnsafeMutableRawPointer {
        try unsafe map(nil, byteCount, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file.number)
    }

    /// Keeps pages out of swap; wraps mlock(2).
    package static func lock(_ address: UnsafeMutableRawPointer, byteCount: Int) throws(Errno) {
        try checkErrno { unsafe mlock(address, byteCount) }
    }

    /// Keeps pages out of swap from the moment on when they are first touched; wraps mlock2(2) with MLOCK_ONFAULT.
    package static func lockOnFault(_ address: UnsafeMutableRawPointer, byteCount: Int) throws(Errno) {
        try checkErrno { unsafe mlock2(address, byteCount, UInt32(MLOCK_ONFAULT)) }
    }

    /// Advice that keeps pages out of core dumps, zero in a forked child, or absent from it; wraps madvise(2).
    package enum Advice: Sendable {
        case dontDump
        case wipeOnFork
        case dontFork

        var value: Int32 {
            switch self {
            case .dontDump: 16
            case .wipeOnFork: 18
            case .dontFork: 10
            }
        }
    }

    /// Wraps madvise(2).
    package static func advise(
        _ address: UnsafeMutableRawPointer,
        byteCount: Int,
        _ advice: Advice
    ) throws(Errno) {
        try checkErrno { unsafe madvise(address, byteCount, advice.value) }
    }

    /// Overwrites bytes with zeros in a way that the optimizer keeps; wraps explicit_bzero(3).
    package static func wipe(_ address: UnsafeMutableRawPointer, byteCount: Int) {
        unsafe explicit_bzero(address, byteCount)
    }

    /// Wraps munmap(2); fails only for arguments that no caller here can make.
    package static func unmap(_ address: UnsafeMutableRawPointer, byteCount: Int) {
        unsafe munmap(address, byteCount)
    }

    /// Keeps every present and future page of the process out of swap; wraps mlockall(2).
    package static func lockEverything() throws(Errno) {
        try checkErrno { mlockall(MCL_CURRENT | MCL_FUTURE) }
    }

    private static func map(
        _ address: UnsafeMutableRawPointer?,
        _ byteCount: Int,
        _ protection: Int32,
        _ flags: Int32,
        _ file: Int32
    ) throws(Errno) -> UnsafeMutableRawPointer {
        let result = unsafe mmap(address, byteCount, protection, flags, file, 0)
        guard let result = unsafe result, unsafe result != MAP_FAILED else { throw Errno(rawValue: errno) }
        return unsafe result
    }
}
