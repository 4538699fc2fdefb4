// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CredfsCommands
import CredfsTestSupport
import Foundation
import Testing

/// Help and man pages: what a stranger copies from them works.
@Suite struct ExampleTests {
    /// Every command, with the words that call it.
    private static let commands = tree(Credfs.self, [])

    private static func tree(_ type: any ParsableCommand.Type, _ path: [String]) -> [(type: String, path: [String])] {
        [(type: "\(type)", path: path)] + type.configuration.subcommands.flatMap { tree($0, path + [$0._commandName]) }
    }

    @Test func everyCommandHasThreeExamplesThatTheParserTakes() async throws {
        #expect(Self.commands.count > 30)
        for command in Self.commands {
            let help = try await Sandbox().succeed(command.path + ["--help"]).outputText
            let examples = Self.examples(help)
            #expect(examples.count >= 3, "\(command.path)")
            for example in examples {
                #expect(example.count <= 78, "\(example)")
                let calls = ShellLine.calls(of: "credfs", in: example)
                #expect(calls.contains { $0.starts(with: command.path) }, "\(command.path): \(example)")
                for call in calls {
                    do {
                        let parsed = try EntryPoint.parse(call)
                        let named = Self.commands.filter { call.starts(with: $0.path) }.max {
                            $0.path.count < $1.path.count
                        }
                        #expect("\(type(of: parsed))" == named?.type, "\(example)")
                    } catch { Issue.record("\(example): \(Credfs.message(for: error))") }
                }
            }
        }
    }

    @Test func everyCommandHasAGroup() async throws {
        #expect(Credfs.configuration.ungroupedSubcommands.isEmpty)
        let help = try await Sandbox().succeed("--help").outputText
        for group in Credfs.configuration.groupedSubcommands {
            let section = help.components(separatedBy: "\n\n").first { $0.hasPrefix("\(group.name.uppercased()):\n") }
            let lines = try #require(section).split(separator: "\n")
            for command in group.subcommands {
                #expect(lines.contains { $0.hasPrefix("  \(command._commandName)") }, "\(command._commandName)")
            }
        }
    }

    @Test func helpBeginsWithWhatPeopleNeedFirst() async throws {
        func titles(_ command: String) async throws -> [String] {
            try await Sandbox().succeed(command, "--help").outputText.split(separator: "\n")
                .filter { $0.first?.isUppercase == true && $0.hasSuffix(":") }.map(String.init)
        }
        let usual = ["KEY OR PASSWORD:", "STORE AND MESSAGES:"]
        #expect(
            try await titles("run") == [
                "EXAMPLES:", "ARGUMENTS:", "SECRETS:", "VARIABLES:", "PROGRAM:", "MOUNT:", "ALERTS AND METRICS:",
            ]
                + usual
        )
        #expect(try await titles("import") == ["EXAMPLES:", "SOURCE:", "OPTIONS:", "NAMES:"] + usual)
        #expect(try await titles("edit") == ["EXAMPLES:"] + usual)
        for command in ["run", "edit", "status", "init"] {
            let help = try await Sandbox().succeed(command, "--help").outputText
            #expect(help.hasSuffix("  -h, --help              Show help information.\n"), "\(command)")
            #expect(help.contains("USAGE: credfs \(command) [<options>]"))
        }
    }

    @Test func everyManPageHasTheExamplesAndTheVariablesOfItsCommand() async throws {
        let sandbox = try Sandbox()
        let script = """
            cd '\(PackageDirectory.root)' && "$@" --experimental-dump-help |
                python3 scripts/render-manual.py 1.2.3 scripts/exit-status.roff '\(sandbox.directory.path)'
            """
        let outcome = try await sandbox.shell(script, [], adding: ["PATH": "/usr/local/bin:/usr/bin:/bin"])
        #expect(outcome.errorText == "")
        for command in Self.commands {
            let help = try await sandbox.succeed(command.path + ["--help"]).outputText
            let name = (["credfs"] + command.path).joined(separator: "-")
            let page = String(decoding: try sandbox.directory.read("\(name).1"), as: UTF8.self)
            let shown = page.replacing("\\-", with: "-").replacing("\\(aq", with: "'").replacing("\\e", with: "\\")
            for example in Self.examples(help) { #expect(shown.contains("\n\(example)\n"), "\(name): \(example)") }
            let sections = page.components(separatedBy: ".SH ")
            let environment = try #require(sections.first { $0.hasPrefix("ENVIRONMENT\n") }, "\(name)")
            for variable in help.matches(of: /\((CREDFS_[A-Z_]+)\)/) {
                #expect(environment.contains("fB\(variable.1)\\fR"), "\(name) reads \(variable.1)")
            }
        }
        let list = String(decoding: try sandbox.directory.read("credfs-list.1"), as: UTF8.self)
        #expect(!list.contains("EDITOR") && !list.contains("NOTIFY_SOCKET") && !list.contains("CREDFS_AUDIT"))
    }

    @Test func everyCommandIsInTheTableOfTheInterface() throws {
        let document = String(decoding: try Files.read(PackageDirectory.root + "docs/cli-abi.md"), as: UTF8.self)
        let table = document.components(separatedBy: "\n## ").first { $0.hasPrefix("Commands\n") } ?? ""
        let leaves = Self.commands.filter { command in
            !Self.commands.contains { $0.path.count > command.path.count && $0.path.starts(with: command.path) }
        }
        for command in leaves {
            let words = NSRegularExpression.escapedPattern(for: "| `credfs " + command.path.joined(separator: " "))
            #expect(table.firstMatch(of: try Regex("\n" + words + "[ `]")) != nil, "\(command.path)")
        }
    }

    @Test func everyVariableThatIsReadIsInTheInterface() throws {
        let document = String(decoding: try Files.read(PackageDirectory.root + "docs/cli-abi.md"), as: UTF8.self)
        let sources = PackageDirectory.root + "Sources"
        var names: Set<String> = []
        for file in try FileManager.default.subpathsOfDirectory(atPath: sources)
        where file.hasSuffix(".swift") && !file.hasPrefix("CredfsTestSupport/") {
            let text = String(decoding: try Files.read("\(sources)/\(file)"), as: UTF8.self)
            names.formUnion(text.matches(of: /"((?:CREDFS|XDG|SOPS)_[A-Z_]+[A-Z])"/).map { String($0.1) })
            names.formUnion(text.matches(of: /context\.variable\("([A-Z_]+)"\)/).map { "CREDFS_\($0.1)" })
        }
        // What editors are given, and a prefix of what jobs never inherit.
        names.subtract(["XDG_CACHE_HOME", "SOPS_AGE_KEY"])
        #expect(names.count > 15)
        for name in names.sorted() { #expect(document.contains("`\(name)`"), "\(name)") }
    }

    /// The lines of the section, without their margin.
    private static func examples(_ help: String) -> [String] {
        let sections = help.components(separatedBy: "\n\n")
        let section = sections.first { $0.contains("EXAMPLES:\n") } ?? ""
        return section.components(separatedBy: "EXAMPLES:\n").last?.split(separator: "\n")
            .filter { $0.hasPrefix("  ") }.map { String($0.dropFirst(2)) } ?? []
    }
}

/// A line of a shell as far as examples need it: words, quotes, pipes, redirections and `$(...)`.
private enum ShellLine {
    /// The arguments of every call of a program, inner ones first.
    static func calls(of program: String, in line: String) -> [[String]] {
        var rest = Substring(line)
        return commands(&rest, until: nil).compactMap { words in
            let words = words.drop { $0.contains("=") && $0.first?.isLetter == true }
            return words.first == program ? Array(words.dropFirst()) : nil
        }
    }

    private static func commands(_ rest: inout Substring, until end: Character?) -> [[String]] {
        var all: [[String]] = []
        var words: [String] = []
        var word: String?
        func closeWord() {
            if let open = word { words.append(open) }
            word = nil
        }
        func closeCommand() {
            closeWord()
            all.append(words)
            words = []
        }
        func quoted(_ quote: Character) {
            word = word ?? ""
            while let next = rest.popFirst(), next != quote {
                if quote == "\"", next == "$", rest.first == "(" { substitute() } else { word?.append(next) }
            }
        }
        func substitute() {
            rest.removeFirst()
            all += commands(&rest, until: ")")
            word = (word ?? "") + "VALUE"
        }
        while let next = rest.popFirst(), next != end {
            switch next {
            case "'", "\"": quoted(next)
            case "$" where rest.first == "(": substitute()
            case " ": closeWord()
            case "|", ";", "&", "<", ">": closeCommand()
            case "#" where word == nil: rest = ""
            default: word = (word ?? "") + String(next)
            }
        }
        closeCommand()
        return all
    }
}
