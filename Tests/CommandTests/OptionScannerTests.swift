// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CredfsCommands
import Testing

/// The scanner of the options of `run` against the parser, whose declarations are the only ones.
@Suite struct OptionScannerTests {
    /// An option or flag as the parser tells of it.
    private struct Declared {
        let name: String
        let takesValue: Bool
    }

    /// Values that some option takes, and some that none does.
    private static let values = [
        "/tmp/x", "A", "A,B", "7", "-1", "2m", "0s", "error", "warn", "fail", "unauthenticated", "ramfs", "fuse",
        "required",
        "sync", "enforce", "observe", "job", "any", "root", "root:root", "all", "none", "denials=5/1m",
        "secrets=20/10s", "key=value",
        "hup", "KILL", "2999-01-01T00:00:00Z", "dir:/tmp", "x=y", "", "--", "-", "--quiet", "\u{fc}", "99999999999",
    ]

    private static func declared() throws -> [Declared] {
        let help = try runType().helpMessage(includeHidden: true, columns: 400)
        return help.split(separator: "\n").compactMap { line in
            let words = line.drop { $0 == " " }
            guard line.hasPrefix("  "), words.hasPrefix("-"), let start = words.firstRange(of: "--") else { return nil }
            let rest = words[start.upperBound...]
            let name = rest.prefix { $0.isLetter || $0 == "-" }
            return Declared(name: String(name), takesValue: rest.dropFirst(name.count).hasPrefix(" <"))
        }
    }

    /// Properties by their paths, as far as they are there.
    private static func dump(_ value: Any, _ path: String = "", into lines: inout [String]) {
        let mirror = Mirror(reflecting: value)
        guard !mirror.children.isEmpty else {
            lines.append("\(path)=\(value)")
            return
        }
        for (index, child) in mirror.children.enumerated() {
            dump(child.value, "\(path).\(child.label ?? "\(index)")", into: &lines)
        }
    }

    private static func lines(_ command: any ParsableCommand) -> [String] {
        var lines: [String] = []
        dump(command, into: &lines)
        // A group forgets what only help needs when it is decoded.
        return lines.filter { !$0.contains("isibility") && !$0.contains(".title=") }
    }

    private static func runType() throws -> any ParsableCommand.Type {
        type(of: try #require(EntryPoint.scan(["run", "--", "true"])))
    }

    private static func scanned(_ list: [String]) -> (any ParsableCommand)? { EntryPoint.scan(["run"] + list) }

    private static func parsed(_ list: [String]) throws -> any ParsableCommand {
        try runType().parse(list)
    }

    @Test func everyOptionIsRead() throws {
        for option in try Self.declared() where !["help", "version"].contains(option.name) {
            let lists: [[String]] =
                option.takesValue
                ? Self.values.shuffled().flatMap {
                    [["--\(option.name)", $0, "--", "true"], ["--\(option.name)=\($0)", "--", "true"]]
                }
                : [["--\(option.name)", "--", "true"], ["--metrics", "/tmp/m", "--\(option.name)", "--", "true"]]
            var count = 0
            for list in lists {
                // The parser takes long: a few lists for each option.
                guard count < 2, let scanned = Self.scanned(list) else { continue }
                count += 1
                let parsed = try Self.parsed(list)
                #expect(Self.lines(scanned) == Self.lines(parsed), "\(list)")
            }
            #expect(count > 0, "the scanner does not know --\(option.name)")
        }
    }

    /// Whatever the scanner takes means the same to the parser, which is asked about no other list.
    @Test func generatedListsMeanTheSame() throws {
        var random = SystemRandomNumberGenerator()
        let declared = try Self.declared()
        var words =
            declared.map { "--\($0.name)" } + [
                "-q", "-v", "-qv", "-h", "stray", "--unknown", "--store=", "-q=1", "--quiet=yes",
            ]
        words += declared.filter(\.takesValue).flatMap { option in Self.values.map { "--\(option.name)=\($0)" } }
        var taken = 0
        while taken < 80 {
            var list: [String] = []
            for _ in 0..<Int.random(in: 0...5, using: &random) {
                let option = declared.randomElement(using: &random)
                let value = Self.values.randomElement(using: &random) ?? ""
                switch Int.random(in: 0..<4, using: &random) {
                case 0: list.append(words.randomElement(using: &random) ?? "")
                case 1: list.append(value)
                default:
                    guard let option else { continue }
                    list += option.takesValue ? ["--\(option.name)", value] : ["--\(option.name)"]
                }
            }
            list +=
                [["--", "true"], ["--", "sh", "-c", "--", "--quiet"], [], ["--"]].randomElement(using: &random) ?? []
            guard let scanned = Self.scanned(list) else { continue }
            taken += 1
            let parsed = try Self.parsed(list)
            #expect(Self.lines(scanned) == Self.lines(parsed), "\(list)")
        }
    }

    @Test(arguments: [
        [], ["--"], ["true"], ["--store"], ["--store", "--", "true"], ["--store", "-q", "--", "true"],
        ["--store", "a", "--store", "b", "--", "true"], ["--help", "--", "true"], ["--only", "", "--", "true"],
        ["-qv", "--", "true"], ["--quiet", "--verbose", "--", "true"], ["--max-size", "0", "--", "true"],
    ])
    func whatIsNotPlainIsLeftToTheParser(arguments: [String]) {
        #expect(Self.scanned(arguments) == nil)
    }
}
