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

    /// Command that raises the limit behind a process that could not be started; nil for errors of another kind.
    package var startLimitHint: String? {
        // EAGAIN of fork(2): RLIMIT_NPROC, or that of a control group.
        self == .resourceTemporarilyUnavailable ? "raise the limit of processes: ulimit -u" : fileLimitHint
    }
}
