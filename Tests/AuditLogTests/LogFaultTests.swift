// SPDX-License-Identifier: Apache-2.0

#if CREDFS_FAULT_HOOK
    import SystemCalls
    import SystemPackage
    import Testing

    /// ENOSPC, EIO and a short write at every system call with which an entry is written.
    struct LogFaultTests {
        @Test(arguments: [FaultPlan.Fault.error(.noSpace), .error(.ioError), .shortWrite], [false, true])
        func anEntryIsThereOrNotAndTheLogHoldsWhateverFails(_ fault: FaultPlan.Fault, _ isSynchronizing: Bool) throws {
            let count = try FaultPlan.atEveryCall(fault) { plan, number in
                let what: Comment = "\(fault) at call \(number)"
                let fixture = try LogFixture(2)
                let failed = plan.fails { try fixture.append(synchronizing: isSynchronizing) }
                #expect(!failed || number > 0 && fault != .shortWrite, what)
                #expect(try fixture.problems() == [], what)
                #expect(try fixture.lines().count >= (failed ? 2 : 3), what)
                try fixture.append()
                #expect(try fixture.problems() == [], what)
            }
            #expect(count >= (fault == .shortWrite ? 1 : 5))
        }
    }
#endif
