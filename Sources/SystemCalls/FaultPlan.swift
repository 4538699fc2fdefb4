// SPDX-License-Identifier: Apache-2.0

#if CREDFS_FAULT_HOOK
    internal import Synchronization
    package import SystemPackage

    /// Injected failure of one system call, for tests: ENOSPC, EIO or a short write at the N-th call of a task.
    ///
    /// Debug builds only; the shipped program is compiled without it (LinkageTests looks).
    package final class FaultPlan: Sendable {
        /// Kind of the failure.
        package enum Fault: Sendable, Equatable {
            /// The call is not made and gives this error.
            case error(Errno)
            /// write(2) takes one byte only.
            case shortWrite
        }

        @TaskLocal static var current: FaultPlan?

        private let fault: Fault
        private let number: Int
        private let calls = Mutex(0)

        /// Plans a failure.
        ///
        /// - Parameters:
        ///   - fault: the failure.
        ///   - number: the call that fails, the first being 1; 0 for none.
        package init(_ fault: Fault, at number: Int) {
            self.fault = fault
            self.number = number
        }

        /// Runs an attempt without a failure, to count its calls, then once for each of them.
        ///
        /// - Parameters:
        ///   - fault: the failure.
        ///   - attempt: makes what it needs and runs one step by the plan; the number is 0 at first.
        /// - Returns: the number of calls.
        package static func atEveryCall(
            _ fault: Fault,
            _ attempt: (FaultPlan, _ number: Int) throws -> Void
        ) rethrows -> Int {
            let whole = FaultPlan(fault, at: 0)
            try attempt(whole, 0)
            for number in stride(from: 1, through: whole.callCount, by: 1) {
                try attempt(FaultPlan(fault, at: number), number)
            }
            return whole.callCount
        }

        /// Number of calls so far that could have failed in this way.
        package var callCount: Int { calls.withLock { $0 } }

        /// Runs a body whose calls follow the plan.
        ///
        /// - Returns: whether the body threw.
        package func fails(_ body: () throws -> Void) -> Bool {
            do {
                try Self.$current.withValue(self, operation: body)
                return false
            } catch { return true }
        }

        /// Error of the next call, or nil where it is to be made.
        func nextError() -> Errno? {
            guard case .error(let errno) = fault else { return nil }
            return isNext() ? errno : nil
        }

        /// Bytes that the next write may take.
        func writableByteCount(of count: Int) -> Int {
            guard fault == .shortWrite, count > 1 else { return count }
            return isNext() ? 1 : count
        }

        private func isNext() -> Bool {
            calls.withLock { calls in
                calls += 1
                return calls == number
            }
        }
    }
#endif
