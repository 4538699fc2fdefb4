// SPDX-License-Identifier: Apache-2.0

/// Finding of one check.
package struct Finding: Sendable, Equatable {
    /// The checks, in the order of a report.
    package enum Check: String, Sendable, CaseIterable {
        case fuseDevice = "fuse-device"
        case helper = "fusermount3"
        case capability
        case userNamespaces = "user-namespaces"
        case isolation
        case lockedMemory = "memlock"
        case secretMemory = "secret-memory"
        case swap
        case corePattern = "core-pattern"
        case processes = "proc"
        case runtimeDirectory = "runtime"
        case staleMounts = "mounts"
        case environment
        case store
        case permissions
        case auditLog = "audit-log"
        case manifest
        case configuration
        case clock
        case expiry
        case git
        case leftovers
    }

    /// Status of a finding.
    package enum Status: String, Sendable {
        /// Nothing to do.
        case ok
        /// Works, but less well or less safely than it could.
        case warning
        /// Does not work, or is not safe.
        case problem
    }

    package let check: Check
    package let status: Status
    /// Message: names and paths, never a value.
    package let message: String
    /// Fix: a command where there is one.
    package let fix: String?

    private init(_ check: Check, _ status: Status, _ message: String, fix: String?) {
        self.check = check
        self.status = status
        self.message = message
        self.fix = fix
    }

    /// Nothing to do.
    package static func ok(_ check: Check, _ message: String, fix: String? = nil) -> Finding {
        Finding(check, .ok, message, fix: fix)
    }

    /// Works, but.
    package static func warning(_ check: Check, _ message: String, fix: String? = nil) -> Finding {
        Finding(check, .warning, message, fix: fix)
    }

    /// Finding of a check that cannot be made without procfs.
    static func unknown(_ check: Check, _ host: HostView) -> Finding {
        .warning(check, "cannot be told without /proc", fix: host.wayToProc)
    }

    /// Does not work, or is not safe.
    package static func problem(_ check: Check, _ message: String, fix: String? = nil) -> Finding {
        Finding(check, .problem, message, fix: fix)
    }
}
