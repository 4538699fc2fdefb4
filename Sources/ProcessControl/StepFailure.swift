// SPDX-License-Identifier: Apache-2.0

package import SystemPackage

/// Failure of one step of a process: the step and the error number, which cross to other processes as two words.
package struct StepFailure<Step: RawRepresentable & Sendable & Equatable>: Error, Sendable, Equatable
where Step.RawValue == String {
    /// Step that failed; its raw value has no space.
    package let step: Step
    /// Error number of its system call.
    package let errno: Errno

    /// Makes a failure.
    package init(_ step: Step, _ errno: Errno) {
        self.step = step
        self.errno = errno
    }

    /// Performs a step.
    ///
    /// - Returns: the result of the function.
    /// - Throws: the failure, for the error of the function.
    package static func attempt<R: ~Copyable>(_ step: Step, _ body: () throws(Errno) -> R) throws(Self) -> R {
        do throws(Errno) { return try body() } catch { throw Self(step, error) }
    }

    /// Text of the failure in a message to another process.
    package var words: String { "\(step.rawValue) \(errno.rawValue)" }

    /// Reads what `words` gave; nil for anything else.
    package init?(words: some StringProtocol) {
        let words = words.split(separator: " ", omittingEmptySubsequences: false)
        guard words.count == 2, let step = Step(rawValue: String(words[0])), let number = Int32(words[1]) else {
            return nil
        }
        self.init(step, Errno(rawValue: number))
    }
}
