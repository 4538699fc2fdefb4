// SPDX-License-Identifier: Apache-2.0

/// Helper processes that are credfs itself: one program on the disk, and the one that runs, whatever replaced it there.
package enum OwnProgram {
    /// Path of the program that runs (proc(5)).
    package static let path = "/proc/self/exe"

    /// Arguments that make it a helper process.
    ///
    /// - Parameters:
    ///   - mode: the first argument, which names the helper.
    ///   - words: the others.
    /// - Returns: all of them, the name of the program first.
    package static func arguments(_ mode: String, _ words: [String] = []) -> [String] {
        ["credfs", mode] + words
    }
}
