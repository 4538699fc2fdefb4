// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import SecureFiles
internal import SystemCalls

/// Paths in arguments, for which somebody may have typed `NAME=VALUE`.
enum PathArgument {
    static let rule = "a path with '=' that is not there begins with './'"

    /// Checks the argument, of which nothing is repeated.
    static func parse(_ text: String) throws -> String {
        guard !mayHoldValue(text) else { throw ValidationError(rule) }
        return text
    }

    static func mayHoldValue(_ text: String) -> Bool {
        text.contains("=") && !text.hasPrefix("/") && !text.hasPrefix(".")
            && (try? FileStatus.ofPath(text, followingLink: false)) == nil
    }
}
