// SPDX-License-Identifier: Apache-2.0

/// Result of a verification.
package struct AuditReport: Sendable, Equatable {
    /// The ways in which a log can be wrong.
    package enum Kind: String, Sendable {
        /// A line that is no entry.
        case malformed
        /// An entry that does not authenticate.
        case changed
        /// Entries that are not there.
        case missing
        /// An entry that stands behind later ones.
        case moved
        /// An entry that stands there again, or that nobody wrote.
        case inserted
        /// An entry that authenticates but does not follow the one before it.
        case spliced
        /// Entries that are not there at the end.
        case truncated
        /// `audit.key` or `audit.root` is missing or belongs to another log.
        case key
        /// The entry of the head is not there or another one.
        case head
    }

    /// One thing that is wrong.
    package struct Problem: Sendable, Equatable {
        package let kind: Kind
        /// The file and line where it shows, counted from 1.
        package let file: String?
        package let line: Int?
        /// The entry, or the first of several.
        package let sequence: UInt64?
        package let message: String
    }

    /// Beyond this number nothing is examined any more.
    package static let maximumProblemCount = 1000

    /// Problems in the order of the log.
    package internal(set) var problems: [Problem] = []
    /// The first entry that authenticates.
    package internal(set) var first: UInt64?
    /// The last entry that authenticates.
    package internal(set) var last: UInt64?
    /// Number of entries that authenticate.
    package internal(set) var entryCount: UInt64 = 0
    package internal(set) var fileCount = 0
    /// Number of events that could not be recorded, as the log says.
    package internal(set) var lost: UInt64 = 0

    /// Number of entries at the end that `audit.key` does not know yet: the process was killed that wrote them.
    package internal(set) var pending: UInt64 = 0

    /// Absence of problems.
    package var isIntact: Bool { problems.isEmpty }
}
