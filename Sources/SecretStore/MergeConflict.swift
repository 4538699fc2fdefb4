// SPDX-License-Identifier: Apache-2.0

/// Conflict markers of git (git-merge(1), "How conflicts are presented").
enum MergeConflict {
    /// Seven signs and a space begin the part of one side; inside a manifest every line of a value is indented.
    private static let opening = "<<<<<<< "

    /// Looks for a conflict in a text that cannot be read.
    ///
    /// - Parameter text: the text of a manifest.
    /// - Returns: an error that explains how to resolve it, or nil where there is none.
    static func error(in text: Span<UInt8>) -> StoreError? {
        var line = 1
        var start = 0
        while start < text.count {
            if text.extracting(start..<text.count).starts(with: opening) {
                return StoreError(
                    .invalid,
                    "conflict of a merge at line \(line)",
                    hint: "keep the secrets of both sides, remove the marks and every signature, then: credfs encrypt"
                )
            }
            while start < text.count, text[start] != UInt8(ascii: "\n") { start += 1 }
            start += 1
            line += 1
        }
        return nil
    }
}
