// SPDX-License-Identifier: Apache-2.0

internal import Synchronization

/// Counts of the opens of a mount, kept by its workers without a lock.
package final class OpenCounts: Sendable {
    /// Numbers at one moment.
    package struct Reading: Sendable, Equatable {
        /// Opens that were granted.
        package let granted: UInt64
        /// Opens that a policy or the rule of the mount refused, placeholders among them.
        package let denied: UInt64
        /// Opens that failed: expired or damaged secrets, a locked mount.
        package let failed: UInt64
        /// Secrets that are open.
        package let handles: UInt64
    }

    private let granted = Atomic<UInt64>(0)
    private let denied = Atomic<UInt64>(0)
    private let failed = Atomic<UInt64>(0)
    private let handles = Atomic<UInt64>(0)

    /// The numbers now.
    package var reading: Reading {
        Reading(
            granted: granted.load(ordering: .relaxed),
            denied: denied.load(ordering: .relaxed),
            failed: failed.load(ordering: .relaxed),
            handles: handles.load(ordering: .relaxed)
        )
    }

    func grant() { granted.add(1, ordering: .relaxed) }
    func deny() { denied.add(1, ordering: .relaxed) }
    func fail() { failed.add(1, ordering: .relaxed) }
    func open() { handles.add(1, ordering: .relaxed) }
    func close() { handles.subtract(1, ordering: .relaxed) }
}
