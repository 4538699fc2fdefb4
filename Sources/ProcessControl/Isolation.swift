// SPDX-License-Identifier: Apache-2.0

/// Isolation of a mount from processes that are none of the job's.
package enum Isolation: String, Sendable, CaseIterable {
    /// A mount namespace of the job.
    case mount
    /// A mount namespace in a user namespace of the job.
    case user
    /// Only the kernel's check of the user.
    case none
}
