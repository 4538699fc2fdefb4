// SPDX-License-Identifier: Apache-2.0

internal import Synchronization

/// Count of granted opens of one value (`max_reads`); in the ledger of a mount, where it has one.
@safe
final class ReadCount: Sendable {
    // SAFETY: memory of this object, or of the ledger that it keeps mapped.
    private nonisolated(unsafe) let count: UnsafeMutablePointer<Atomic<UInt64>>
    private let ledger: MountLedger?

    /// Makes a count from 0 on.
    init() {
        unsafe count = .allocate(capacity: 1)
        unsafe count.initialize(to: Atomic(0))
        ledger = nil
    }

    /// Makes one that goes on with a number in a ledger.
    init(_ count: UnsafeMutablePointer<Atomic<UInt64>>, in ledger: MountLedger) {
        unsafe self.count = unsafe count
        self.ledger = ledger
    }

    deinit {
        guard ledger == nil else { return }
        unsafe count.deinitialize(count: 1)
        unsafe count.deallocate()
    }

    func isSpent(_ limit: UInt64) -> Bool { unsafe count.pointee.load(ordering: .acquiring) >= limit }

    func giveBack() { unsafe count.pointee.subtract(1, ordering: .acquiringAndReleasing) }

    func take(_ limit: UInt64) -> Bool {
        var current = unsafe count.pointee.load(ordering: .acquiring)
        while current < limit {
            let (done, original) = unsafe count.pointee.compareExchange(
                expected: current,
                desired: current + 1,
                ordering: .acquiringAndReleasing
            )
            if done { return true }
            current = original
        }
        return false
    }
}
