// SPDX-License-Identifier: Apache-2.0

/// The order of sections in help.
enum HelpText {
    /// The section of options that nearly every command has.
    static let storeTitle = "Store and messages"
    /// The section of options about what opens a store.
    static let keyTitle = "Key or password"

    /// Help with the command's own options first, which the parser puts last, and those of every command at the end.
    static func arranged(_ help: String) -> String {
        var text = help[...]
        while text.last == "\n" { text.removeLast() }
        var sections = text.split(separator: "\n\n", omittingEmptySubsequences: false)
        func take(_ title: String) -> Substring? {
            let index = sections.firstIndex { $0.hasPrefix(title + ":\n") }
            return index.map { sections.remove(at: $0) }
        }
        let common = [keyTitle, storeTitle].compactMap { take($0.uppercased()) }
        let own = [take("OPTIONS")].compactMap(\.self)
        let start = sections.lastIndex { $0.hasPrefix("ARGUMENTS:\n") || $0.hasPrefix("USAGE:") }.map { $0 + 1 } ?? 0
        sections.insert(contentsOf: own, at: start)
        // Commands have options of their own.
        let end = sections.firstIndex { $0.hasPrefix("SUBCOMMANDS:\n") } ?? sections.count
        sections.insert(contentsOf: common, at: end)
        return sections.joined(separator: "\n\n")
    }
}
