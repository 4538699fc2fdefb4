// SPDX-License-Identifier: Apache-2.0

internal import CTestCalls
internal import Glibc

/// Changes to the running process that cannot be taken back: for exit tests only.
package enum ProcessLimits {
    /// Allows no further memory to be mapped.
    package static func forbidMappings() {
        precondition(credfs_test_limit_mappings(1) == 0, "a limit can always be lowered")
    }

    /// Allows no memory to be locked, also where the process is root's.
    package static func forbidLocking() { limitLocking(toByteCount: 0) }

    /// Allows so much memory to be locked and no more, also where the process is root's.
    package static func limitLocking(toByteCount byteCount: Int) {
        precondition(credfs_test_limit_locking(UInt(byteCount)) == 0, "a limit can always be lowered")
        // CAP_IPC_LOCK overrides the limit and goes with the last root id.
        if geteuid() == 0 {
            precondition(setuid(65534) == 0, "root can become anybody")
        }
    }
}

/// Forked child that looks at this process's memory.
package enum ForkedChild {
    /// The end of a child that looked at some bytes.
    package enum Finding: Sendable, Equatable {
        case zeros
        case otherBytes
        /// The child was ended by a signal when it looked.
        case signal(Int32)
    }

    /// Does something in a forked child.
    ///
    /// - Returns: the status that `work` returned there; 255 where the child could not be made or was killed.
    package static func status(of work: () -> Int32) -> Int32 {
        let child = credfs_test_fork()
        if child == 0 { _exit(work()) }
        var status: Int32 = -1
        while unsafe waitpid(child, &status, 0) == -1 && errno == EINTR {}
        return status & 0x7f == 0 ? status >> 8 : 255
    }

    /// Looks at bytes in a forked child.
    package static func looks(at address: UInt, byteCount: Int) -> Finding {
        let bytes = unsafe UnsafePointer<UInt8>(bitPattern: address)
        let status = unsafe credfs_test_forked_child_finds_bytes(bytes, byteCount)
        if status & 0x7f != 0 { return .signal(status & 0x7f) }
        return status >> 8 == 0 ? .zeros : .otherBytes
    }
}
