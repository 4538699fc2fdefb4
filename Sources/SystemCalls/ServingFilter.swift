// SPDX-License-Identifier: Apache-2.0

internal import CLinux
internal import Glibc
package import SystemPackage

/// What a process gives up once all it has left to do is to serve.
package enum ServingFilter {
    /// Forbids this thread and those it starts to gain rights by running a program, and the system calls that serving
    /// has no use for (Sources/CLinux/shim.h); they fail with EPERM.
    ///
    /// Wraps prctl(PR_SET_NO_NEW_PRIVS) and seccomp(2). It cannot be taken back.
    package static func install() throws(Errno) {
        try checkErrno { credfs_prctl(PR_SET_NO_NEW_PRIVS, 1) }
        try checkErrno { credfs_install_filter() }
    }
}
