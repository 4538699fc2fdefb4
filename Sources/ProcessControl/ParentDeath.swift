// SPDX-License-Identifier: Apache-2.0

internal import SystemCalls
package import SystemPackage

/// Parent-death signal of a helper process (PR_SET_PDEATHSIG of prctl(2)).
package enum ParentDeath {
    /// Follows the end of the parent.
    ///
    /// - Parameters:
    ///   - parent: the process that started this one.
    ///   - signal: what the end of the parent sends.
    /// - Returns: false where the parent has ended before.
    /// - Throws: the error of prctl(2).
    package static func follow(_ parent: Int32, with signal: Int32) throws(Errno) -> Bool {
        try ProcessAttributes.setParentDeathSignal(signal)
        return ProcessAttributes.parentProcessID == parent
    }
}
