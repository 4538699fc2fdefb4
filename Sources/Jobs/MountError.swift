// SPDX-License-Identifier: Apache-2.0

internal import SystemCalls
internal import SystemPackage

/// Failure to show secrets: a class that decides the exit status, a message and perhaps a hint.
///
/// Messages hold names and paths; never a byte of a value, a key or a password.
package struct MountError: Error, Sendable, Equatable {
    /// The classes of failure.
    package enum Code: Sendable, Equatable {
        /// The place cannot be used, or nothing of ours is mounted there.
        case place
        /// Mounting failed.
        case mount
        /// The names of variables clash.
        case variables
        /// A policy cannot be held to.
        case policy
        /// Arguments that cannot be meant.
        case usage
        /// No better class.
        case failed
    }

    /// The class.
    package let code: Code
    /// Message: lower case, no full stop.
    package let message: String
    /// Next step, in the same style.
    package let hint: String?

    /// Makes an error.
    package init(_ code: Code, _ message: String, hint: String? = nil) {
        self.code = code
        self.message = message
        self.hint = hint
    }

    /// Runs a system call about something.
    static func wrapping<R: ~Copyable>(
        _ code: Code,
        _ action: String,
        _ body: () throws(Errno) -> R
    ) throws(MountError) -> R {
        do throws(Errno) { return try body() } catch {
            throw .system(code, action, error)
        }
    }

    /// The error of a system call.
    static func system(_ code: Code, _ action: String, _ errno: Errno) -> MountError {
        let isStart = ["start ", "run ", "serve "].contains { action.hasPrefix($0) }
        let hint = isStart ? errno.startLimitHint : errno.fileLimitHint
        return MountError(code, "cannot \(action): \(errno.message)", hint: hint)
    }
}
