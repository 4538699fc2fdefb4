// SPDX-License-Identifier: Apache-2.0

/// The messages of the argument parser in our style.
enum UsageMessage {
    /// Lower case, no full stop, on one line; without what follows the command's name, since that may be a value that
    /// somebody took for an argument.
    static func text(_ message: String, _ arguments: [String]) -> String {
        var message = message.replacing(". Please", with: ", please")
        // A short option and its value can be one argument.
        message = message.replacing(
            /^The value '.*' is invalid/.dotMatchesNewlines(),
            with: "The value '...' is invalid"
        )
        for argument in arguments.dropFirst() {
            let isLong = argument.hasPrefix("--")
            // A PEM block begins with dashes, too.
            if isLong && !looksLikeOption(argument) {
                for part in [argument[...], argument.prefix { $0 != "=" }] {
                    message = message.replacing("'\(part)'", with: "'...'").replacing(part, with: "'...'")
                }
            }
            if argument.hasPrefix("-") && !isLong {
                message = message.replacing("'\(argument)'", with: "'\(argument.prefix(2))'")
            }
            let value = isLong ? argument.split(separator: "=", maxSplits: 1).dropFirst().first : argument[...]
            guard let value, !value.isEmpty, isLong || !value.hasPrefix("-") else { continue }
            message = message.replacing("'\(value)'", with: "'...'")
        }
        var line = message.split(separator: "\n").map { $0.trimmingSpaces() }.joined(separator: " ")
        if line.hasSuffix(".") { line.removeLast() }
        guard let first = line.first else { return "bad arguments" }
        return first.lowercased() + line.dropFirst()
    }

    private static func looksLikeOption(_ argument: String) -> Bool {
        let name = argument.dropFirst(2).prefix { $0 != "=" }
        return name.first != "-" && name.utf8.allSatisfy { $0 == 0x2d || (0x61...0x7a).contains($0 | 0x20) }
    }

    /// The refusal of arguments, with the option that may be meant and where the arguments are explained.
    static func error(_ message: String, _ arguments: [String]) -> CommandError {
        let parts = message.split(separator: ". Did you mean '", maxSplits: 1)
        let text = text(parts.first.map(String.init) ?? message, arguments)
        let words = message.split(separator: "'", omittingEmptySubsequences: false)
        var hint = hint(for: arguments)
        // The parser guesses from farther away.
        if parts.count == 2, words.count > 3, let option = Spelling.nearest(to: words[1], among: [words[3]]) {
            hint = "did you mean '\(option)'? \(hint)"
        } else if arguments.first?.hasPrefix("-") == true {
            hint = "options follow the name of the command; \(hint)"
        }
        if message.hasSuffix("'-- <program> ...'") {
            hint = "the program stands behind '--': credfs run -- PROGRAM; \(hint)"
        }
        if message.contains("--linger <time>") { hint = "a time has a unit: 500ms, 5s, 10m, 1h, 1d; \(hint)" }
        if text.hasSuffix(PathArgument.rule) { hint = CommandError.wayForValue }
        return CommandError(.usage, text, hint: hint)
    }

    private static func hint(for arguments: [String]) -> String {
        guard let name = arguments.first, CommandNames.all.contains(name) else { return "see credfs --help" }
        return "see credfs \(name) --help"
    }
}

extension Substring {
    fileprivate func trimmingSpaces() -> Substring {
        var text = self
        while text.first == " " { text.removeFirst() }
        while text.last == " " { text.removeLast() }
        return text
    }
}
