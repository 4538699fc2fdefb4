// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser

/// Scanner of the options of `run`, without what makes the argument parser slow at the start of every job: it looks at the
/// declarations of all options by reflection, for help and messages that are seldom wanted.
///
/// It takes what is right beyond doubt and gives up on anything else, which the parser then reads, or explains. Tests hold
/// it to the parser: every option that is declared, and thousands of argument lists.
struct OptionScanner {
    /// Reason to leave a list to the parser.
    struct GivesUp: Error {}

    /// What precedes `--`; empty where it was taken.
    private var words: [String]
    /// What follows the first `--`.
    let rest: [String]

    /// Prepares a list of arguments.
    ///
    /// - Throws: `GivesUp` where it has no `--`, or an empty argument before it.
    init(_ arguments: [String]) throws {
        guard let end = arguments.firstIndex(of: "--") else { throw GivesUp() }
        words = Array(arguments[..<end])
        rest = Array(arguments[(end + 1)...])
        guard !words.contains("") else { throw GivesUp() }
    }

    /// Takes a flag: `--name`, or a letter after one `-`.
    mutating func flag(_ name: String, short: String? = nil) -> Bool {
        let forms = ["--" + name] + (short.map { ["-" + $0] } ?? [])
        var isSet = false
        for index in words.indices where forms.contains(words[index]) {
            words[index] = ""
            isSet = true
        }
        return isSet
    }

    /// Takes every value of an option: `--name VALUE` or `--name=VALUE`.
    ///
    /// - Throws: `GivesUp` for one without a value, or with one that is empty or looks like an option.
    mutating func texts(_ name: String) throws -> [String] {
        let form = "--" + name
        var texts: [String] = []
        for index in words.indices where words[index].hasPrefix(form) {
            let tail = words[index].dropFirst(form.count)
            var text = ""
            if tail.isEmpty, index + 1 < words.count, !words[index + 1].hasPrefix("-") {
                text = words[index + 1]
                words[index + 1] = ""
            } else if tail.hasPrefix("=") {
                text = String(tail.dropFirst())
            } else if !tail.isEmpty {
                // Another option that begins with this name.
                continue
            }
            guard !text.isEmpty else { throw GivesUp() }
            texts.append(text)
            words[index] = ""
        }
        return texts
    }

    /// Takes values that their type reads.
    ///
    /// - Throws: `GivesUp` for one that it does not.
    mutating func values<Value: ExpressibleByArgument>(_ name: String) throws -> [Value] {
        var values: [Value] = []
        for text in try texts(name) {
            guard let value = Value(argument: text) else { throw GivesUp() }
            values.append(value)
        }
        return values
    }

    /// Takes the value of an option that is given once.
    ///
    /// - Throws: `GivesUp` for one that is given more often.
    mutating func value<Value: ExpressibleByArgument>(_ name: String) throws -> Value? {
        let values: [Value] = try values(name)
        guard values.count < 2 else { throw GivesUp() }
        return values.first
    }

    /// Takes the path of an option that is given once.
    ///
    /// - Throws: `GivesUp`, or what a bad path throws.
    mutating func path(_ name: String) throws -> String? {
        let text: String? = try value(name)
        return try text.map(PathArgument.parse)
    }

    /// Takes a group of options.
    ///
    /// - Throws: whatever says that the parser has to look.
    mutating func group<Group: ScannedOptions>() throws -> Group {
        var group = Group()
        try group.scan(&self)
        return group
    }

    /// Checks that nothing was left.
    ///
    /// - Throws: `GivesUp`.
    func end() throws {
        guard words.allSatisfy(\.isEmpty) else { throw GivesUp() }
    }
}

/// Options that a scanner reads, by the names of their declarations.
protocol ScannedOptions: ParsableArguments {
    /// Reads and validates them.
    ///
    /// - Throws: whatever says that the parser has to look.
    mutating func scan(_ scanner: inout OptionScanner) throws
}
