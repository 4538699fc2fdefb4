// SPDX-License-Identifier: Apache-2.0

package import ProcessHardening

/// What the editing process is told: nothing of it is secret.
package struct EditingRequest: Sendable, Equatable {
    /// The directory that memory is mounted over.
    package var directory: String
    /// The editor as a shell takes it, arguments and all.
    package var editor: String
    /// The environment of the editor, byte by byte.
    package var environment: [[UInt8]]
    /// What credfs was started with, for the editor to have it back.
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

    /// The words of a record, as arguments of a process have them.
    static func words(of inherited: ProcessHardening.Inherited) -> [String] {
        let signals = inherited.ignoredSignals.map { String($0) }.joined(separator: ",")
        return [signals, String(inherited.softCoreLimit), String(inherited.hardCoreLimit)]
    }

    /// Reads what `words` wrote.
    static func inherited(_ words: ArraySlice<String>) -> ProcessHardening.Inherited? {
        let words = Array(words)
        guard words.count == 3, let soft = UInt(words[1]), let hard = UInt(words[2]) else { return nil }
        let signals = words[0].split(separator: ",").compactMap { Int32($0) }
        return ProcessHardening.Inherited(ignoredSignals: signals, softCoreLimit: soft, hardCoreLimit: hard)
    }

    /// The parts, none of which can hold a zero byte, each ended by one.
    var bytes: [UInt8] {
        let words = [directory, editor] + Self.words(of: inherited)
        return (words.map { Array($0.utf8) } + environment).flatMap { $0 + [0] }
    }

    init?(_ bytes: [UInt8]) {
        let parts = bytes.split(separator: 0, omittingEmptySubsequences: false).dropLast()
        let words = parts.prefix(5).map { String(decoding: $0, as: UTF8.self) }
        guard words.count == 5, let inherited = Self.inherited(words[2...]) else { return nil }
        self.init(
            directory: words[0],
            editor: words[1],
            environment: parts.dropFirst(5).map { Array($0) },
            inherited: inherited
        )
    }
}
