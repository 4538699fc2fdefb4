// SPDX-License-Identifier: Apache-2.0

internal import SecureJSON

/// Answer of the process that serves a mount: one line of JSON with counts and texts, or with an error.
package struct ControlAnswer: Sendable, Equatable {
    /// Error that a request ended with.
    package struct Failure: Error, Sendable, Equatable {
        /// The exit status of the command that asked.
        package let status: Int32
        /// Message: lower case, no full stop.
        package let message: String
        /// Next step, in the same style.
        package let hint: String?

        /// Makes an error.
        package init(status: Int32, message: String, hint: String? = nil) {
            self.status = status
            self.message = message
            self.hint = hint
        }
    }

    /// The longest text of an error in characters, so that every answer fits into a message.
    private static let longestText = 600

    /// The error; nil where what was asked for is done.
    package let failure: Failure?
    /// Numbers by their names, such as `generation`.
    package let counts: [String: UInt64]

    /// Texts by their names, at most two, which may be cut.
    package let texts: [String: String]

    /// Makes an answer to what was done.
    package init(counts: [String: UInt64] = [:], texts: [String: String] = [:]) {
        failure = nil
        self.counts = counts
        self.texts = texts
    }

    /// Makes an answer to what was not done.
    package init(_ failure: Failure) {
        self.failure = failure
        counts = [:]
        texts = [:]
    }

    /// Reads an answer.
    ///
    /// - Returns: nil for anything else.
    package init?(_ text: Span<UInt8>) {
        guard let members = JSONValue.members(text, maximumDepth: 1) else { return nil }
        if let message = members["error"]?.text, let status: Int32 = members["status"]?.integer() {
            self.init(Failure(status: status, message: message, hint: members["hint"]?.text))
            return
        }
        self.init(
            counts: members.compactMapValues { $0.integer(UInt64.self) },
            texts: members.compactMapValues { $0.text }
        )
    }

    /// The text.
    package var text: String {
        guard let failure else {
            let members = counts.mapValues { JSONValue.integer($0) }
            return JSONValue.object(members.merging(texts.mapValues { .string(Self.shortened($0)) }) { $1 }).text(.line)
        }
        return JSONValue.object([
            "error": .string(Self.shortened(failure.message)), "status": .integer(failure.status),
            "hint": .string(orNull: failure.hint.map(Self.shortened)),
        ]).text(.line)
    }

    private static func shortened(_ text: String) -> String {
        // A character of JSON takes six bytes at most.
        text.utf8.count <= longestText / 2 ? text : String(text.unicodeScalars.prefix(longestText / 2)) + "..."
    }
}
