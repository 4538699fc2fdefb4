// SPDX-License-Identifier: Apache-2.0

/// The order of sections in help.
enum HelpText {
    /// The section of options that nearly every command has.
    static let storeTitle = "Store and messages"
    /// The section of options about what opens a store.
    static let keyTitle = "Key or password"

    /// Help with what people need first: arguments, the command's own options, then those of every command, and
    /// `--version` and `--help` at the end.
    static func arranged(_ help: String) -> String {
        var text = help[...]
        while text.last == "\n" { text.removeLast() }
        var sections = text.split(separator: "\n\n", omittingEmptySubsequences: false).map(String.init)
        func take(_ title: String) -> String? {
            let index = sections.firstIndex { $0.hasPrefix(title + ":\n") }
            return index.map { sections.remove(at: $0) }
        }
        var common = [keyTitle, storeTitle].compactMap { take($0.uppercased()) }
        if let options = take("OPTIONS") {
            let (own, usual) = split(options)
            if let own {
                // A section with an argument in it is about that first.
                let start = sections.lastIndex { $0.hasPrefix("USAGE:") || $0.contains(":\n  <") }.map { $0 + 1 } ?? 0
                sections.insert(own, at: start)
            }
            if common.isEmpty { common = ["OPTIONS:\n" + usual] } else { common[common.count - 1] += "\n" + usual }
        }
        sections = sections.map { $0.hasPrefix("USAGE:") ? shortened($0) : $0 }
        // Commands have options of their own.
        let end = sections.firstIndex { $0.contains("SUBCOMMANDS:\n") } ?? sections.count
        sections.insert(contentsOf: common, at: end)
        return sections.map { $0.replacing(/^(.+) SUBCOMMANDS:\n/) { "\($0.1):\n" } }.joined(separator: "\n\n")
    }

    /// The options of a section, and `--version` and `--help`, which the parser puts last in it.
    private static func split(_ section: String) -> (own: String?, usual: String) {
        var lines = section.split(separator: "\n", omittingEmptySubsequences: false)
        let index = lines.firstIndex { $0.hasPrefix("  --version ") || $0.hasPrefix("  -h, --help ") } ?? lines.count
        let usual = lines[index...].joined(separator: "\n")
        lines.removeSubrange(index...)
        return (lines.count > 1 ? lines.joined(separator: "\n") : nil, usual)
    }

    /// A usage line with `[<options>]` in place of options that may be left out, which the sections explain.
    private static func shortened(_ usage: String) -> String {
        // Of more than a dozen the parser says that they are options, and not that they may be left out.
        guard usage.contains(" [-") else { return usage.replacing(" <options>", with: " [<options>]") }
        let rest = usage.replacing(/\ \[-[^\]]*\]/, with: "")
        let words = rest.split(separator: " ", omittingEmptySubsequences: false)
        let index = words.firstIndex { $0.hasPrefix("<") || $0.hasPrefix("[") } ?? words.count
        return (words[..<index] + ["[<options>]"] + words[index...]).joined(separator: " ")
    }
}
