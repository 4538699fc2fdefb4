// SPDX-License-Identifier: Apache-2.0

internal import CLinux
internal import Glibc

/// Variables that decide which file is trusted.
extension EnvironmentVariables {
    /// Value of a variable.
    package enum Value: Sendable, Equatable {
        case unset
        case text(String)
        /// Bytes that no Swift string can stand for.
        case notUTF8
    }

    /// The value of a variable, unset in a program that runs with more rights than its caller; wraps secure_getenv(3).
    package static func secureValue(_ name: String) -> Value {
        guard let text = unsafe secure_getenv(name) else { return .unset }
        guard let value = unsafe String(validatingCString: text) else { return .notUTF8 }
        return .text(value)
    }
}
