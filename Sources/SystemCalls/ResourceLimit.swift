// SPDX-License-Identifier: Apache-2.0

package import SystemPackage

/// Resource limits of a process (setrlimit(2)) behind the errors of system calls.
extension Errno {
    /// Command that raises the limit of files behind this error; nil for errors of another kind.
    package var fileLimitHint: String? {
        switch self {
        case .tooManyOpenFiles: "raise the limit of open files: ulimit -n"
        case .fileTooLarge: "raise the limit of file sizes: ulimit -f"
        default: nil
        }
    }

    /// Command that raises the limit behind a process or thread that could not be started; nil for errors of another kind.
    package var startLimitHint: String? {
        // EAGAIN of fork(2) and pthread_create(3): RLIMIT_NPROC, that of a control group, or no memory for a stack.
        self == .resourceTemporarilyUnavailable || self == .noMemory
            ? "raise the limits of processes and memory: ulimit -u, ulimit -v, ulimit -d" : fileLimitHint
    }
}
