// SPDX-License-Identifier: Apache-2.0

/// Repair of the end of a log that a killed process or somebody else left: made by the next append, which records it.
struct AuditRepair: Equatable {
    /// Number of entries that were written while the key was not, and are taken over.
    var adoptedCount: UInt64 = 0
    /// Size in bytes of an entry that was not finished, which is cut off.
    var cutByteCount = 0
    /// Size in bytes of what nobody wrote with the keys of the log, which is left for `verify` to find.
    var foreignByteCount = 0
    /// Size in bytes of what is not there any more.
    var missingByteCount: UInt64 = 0
    /// A last line that lost its newline.
    var endsInLine = false

    var isNeeded: Bool { self != AuditRepair() }
    /// Whether no kill explains it.
    var isLoss: Bool { foreignByteCount > 0 || missingByteCount > 0 }

    /// What was done, in words.
    var message: String {
        var parts: [String] = []
        if adoptedCount > 0 {
            parts.append("\(adoptedCount == 1 ? "an entry" : "\(adoptedCount) entries") of a killed process adopted")
        }
        if cutByteCount > 0 { parts.append("\(Self.bytes(cutByteCount)) of an unfinished entry cut off") }
        if foreignByteCount > 0 {
            parts.append("\(Self.bytes(foreignByteCount)) that do not authenticate left in place")
        }
        if missingByteCount > 0 {
            parts.append("\(Self.bytes(Int(clamping: missingByteCount))) are missing at the end")
        }
        if endsInLine { parts.append("a newline put behind a line that was cut") }
        return parts.joined(separator: ", ")
    }

    private static func bytes(_ count: Int) -> String { count == 1 ? "1 byte" : "\(count) bytes" }
}
