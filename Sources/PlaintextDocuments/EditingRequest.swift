// SPDX-License-Identifier: Apache-2.0

package import ProcessControl

/// Request to the editing process; nothing of it is secret.
package struct EditingRequest: Sendable, Equatable {
    /// The directory that memory is mounted over.
    package var directory: String
    /// The editor as a shell takes it, arguments and all.
    package var editor: String
    /// The environment of the editor, byte by byte.
    package var environment: [[UInt8]]
    /// Signals and limits that credfs was started with, for the editor.
    package var inherited: ProcessHardening.Inherited

    /// Makes a request.
    package init(
        directory: String,
        editor: String,
        environment: [[UInt8]],
        inherited: ProcessHardening.Inherited
    ) {
        self.directory = directory
        self.editor = editor
        self.environment = environment
        self.inherited = inherited
    }

    /// The parts, none of which can hold a zero byte, each ended by one.
    var bytes: [UInt8] {
        let words = [directory, editor] + inherited.words
        return (words.map { Array($0.utf8) } + environment).flatMap { $0 + [0] }
    }

    init?(_ bytes: [UInt8]) {
        let parts = bytes.split(separator: 0, omittingEmptySubsequences: false).dropLast()
        let words = parts.prefix(5).map { String(decoding: $0, as: UTF8.self) }
        guard words.count == 5, let inherited = ProcessHardening.Inherited(words: words[2...]) else { return nil }
        self.init(
            directory: words[0],
            editor: words[1],
            environment: parts.dropFirst(5).map { Array($0) },
            inherited: inherited
        )
    }
}
