// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser

/// Names of commands as they are typed.
enum CommandNames {
    /// The name of every command and its aliases.
    static var all: [String] {
        Credfs.configuration.subcommands.flatMap { [$0._commandName] + $0.configuration.aliases }
    }

    /// The arguments with the command's own name instead of an alias, which other programs use for the same.
    static func withoutAlias(_ arguments: [[UInt8]]) -> [[UInt8]] {
        guard arguments.count > 1 else { return arguments }
        let name =
            switch String(decoding: arguments[1], as: UTF8.self) {
            case "ls": "list"
            case "rm": "delete"
            case "umount": "unmount"
            case "exec": "run"
            case "check": "verify"
            case "passwd": "password"
            default: ""
            }
        guard !name.isEmpty else { return withGeneratedByteCount(arguments) }
        return [arguments[0], Array(name.utf8)] + arguments[2...]
    }

    /// The arguments of `set` with a number behind a bare `--generate`, whose next word is the name of a secret.
    private static func withGeneratedByteCount(_ arguments: [[UInt8]]) -> [[UInt8]] {
        guard arguments[1] == Array(SetCommand._commandName.utf8) else { return arguments }
        let bare = Array("--generate".utf8)
        let end = arguments.firstIndex(of: Array("--".utf8)) ?? arguments.count
        return arguments[..<end].map { $0 == bare ? bare + Array("=\(ValueInput.usualGeneratedByteCount)".utf8) : $0 }
            + arguments[end...]
    }

    /// Checks that there is a command of the name that comes first, and one of the name that follows where it has
    /// commands of its own.
    ///
    /// - Throws: status 64 with the nearest name. What is no word is not repeated: it may be a secret.
    static func check(_ arguments: [String]) throws {
        let isHelp = arguments.first == "help"
        var commands = Credfs.configuration.subcommands
        for name in arguments.dropFirst(isHelp ? 1 : 0) {
            guard !commands.isEmpty, !name.hasPrefix("-") else { return }
            let found = commands.first { $0._commandName == name || $0.configuration.aliases.contains(name) }
            if let found {
                commands = found.configuration.subcommands
                continue
            }
            if name == "help" { return }
            let isWord = name.utf8.count < 20 && name.utf8.allSatisfy { (0x61...0x7a).contains($0) || $0 == 0x2d }
            let names = commands.flatMap { [$0._commandName] + $0.configuration.aliases }
            let guess = Spelling.nearest(to: name, among: names).map { "did you mean '\($0)'? " } ?? ""
            throw CommandError(
                .usage,
                isWord ? "there is no command '\(name)'" : "there is no such command",
                hint: "\(guess)see credfs --help"
            )
        }
    }
}

/// Guesses at what a misspelled word was to be.
enum Spelling {
    /// The candidate that takes the fewest edits, at most two and fewer than the word has characters.
    static func nearest<Word: StringProtocol>(to word: some StringProtocol, among candidates: [Word]) -> Word? {
        let limit = min(2, word.count - 1)
        let rated = candidates.map { (distance: distance(word, $0), candidate: $0) }
        return rated.filter { $0.distance <= limit }.min { $0.distance < $1.distance }?.candidate
    }

    /// The number of insertions, deletions, substitutions and swaps of neighbours between two words (optimal string
    /// alignment).
    static func distance(_ first: some StringProtocol, _ second: some StringProtocol) -> Int {
        let (first, second) = (Array(first), Array(second))
        // The rows for one character less and two less.
        var (before, last) = ([Int](), Array(0...second.count))
        for row in first.indices {
            var next = [row + 1]
            for column in second.indices {
                let isSame = first[row] == second[column]
                var best = min(last[column + 1] + 1, next[column] + 1, last[column] + (isSame ? 0 : 1))
                if row > 0, column > 0, first[row] == second[column - 1], first[row - 1] == second[column] {
                    best = min(best, before[column - 1] + 1)
                }
                next.append(best)
            }
            (before, last) = (last, next)
        }
        return last[second.count]
    }
}
