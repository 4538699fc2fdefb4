// SPDX-License-Identifier: Apache-2.0

import Foundation

/// A command that a document shows in a fenced `console` block, with what it writes.
///
/// `$ ` begins a command and `> ` goes on with it; what follows is its output. `...` stands for anything in a line, or for
/// any lines. A comment `# exit N` at the end of a command tells its exit status, else it is 0.
struct ConsoleCommand {
    /// What a shell is given.
    private(set) var text: String
    private var output: [Substring] = []

    /// The commands of a document.
    static func all(in document: String) -> [ConsoleCommand] {
        var commands: [ConsoleCommand] = []
        var isConsole = false
        // A line before the first command of a block belongs to no command.
        var isCommand = false
        for line in document.split(separator: "\n", omittingEmptySubsequences: false) {
            if !isConsole {
                isConsole = line == "```console"
                isCommand = false
            } else if line.hasPrefix("```") {
                isConsole = false
            } else if line.hasPrefix("$ ") {
                commands.append(ConsoleCommand(text: String(line.dropFirst(2))))
                isCommand = true
            } else if isCommand {
                commands[commands.count - 1].add(line)
            }
        }
        return commands
    }

    private init(text: String) { self.text = text }

    private mutating func add(_ line: Substring) {
        if line.hasPrefix("> ") && output.isEmpty { text += "\n" + line.dropFirst(2) } else { output.append(line) }
    }

    /// The exit status that is shown.
    var status: Int32 { text.firstMatch(of: /# exit (\d+)$/).flatMap { Int32($0.1) } ?? 0 }

    /// Whether an output is the one that is shown.
    func shows(_ found: String) throws -> Bool {
        let lines = output.map { line in
            if line == "..." { return "(?:.*\n)*" }
            let pieces = line.components(separatedBy: "...").map(NSRegularExpression.escapedPattern)
            return pieces.joined(separator: ".*") + "\n"
        }
        return try Regex(lines.joined()).wholeMatch(in: found) != nil
    }
}
