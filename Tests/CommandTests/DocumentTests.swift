// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

/// The commands that the documents show (`ConsoleCommand`): a file is a session in an empty home directory.
///
/// What credfs mounts for them lies in a runtime directory of the session, so that `credfs unmount --all` is about no other.
@Suite(
    .enabled(if: FileManager.default.isWritableFile(atPath: "/dev/fuse"), "needs /dev/fuse"),
    .timeLimit(.minutes(20))
)
struct DocumentTests {
    /// The Markdown files of the tree that show a command.
    private static func documents() async throws -> [String] {
        let listing = try await ChildProcess.run(
            "/usr/bin/env",
            [
                "git", "-C", PackageDirectory.root, "ls-files", "-z", "--cached", "--others", "--exclude-standard",
                "*.md",
            ],
            environment: ProcessInfo.processInfo.environment.filter { $0.key == "HOME" }
        )
        try #require(listing.status == .exited(0), "\(listing.errorText)")
        return try listing.outputText.split(separator: "\0").map(String.init).filter { name in
            // What was deleted and not committed yet is still listed.
            try Files.exists(PackageDirectory.root + name) && !commands(of: name).isEmpty
        }
    }

    private static func commands(of document: String) throws -> [ConsoleCommand] {
        ConsoleCommand.all(in: String(decoding: try Files.read(PackageDirectory.root + document), as: UTF8.self))
    }

    @Test(arguments: try await documents()) func everyCommandDoesWhatIsShown(_ document: String) async throws {
        let session = try ConsoleSession()
        for command in try Self.commands(of: document) {
            let (status, output) = try await session.run(command.text)
            #expect(status == .exited(command.status), "$ \(command.text)\n\(output)")
            #expect(try command.shows(output), "$ \(command.text)\n\(output)")
        }
        try session.box.expectNothingLeft()
        if try !session.box.leftovers.isEmpty { _ = try await session.run("credfs unmount --all") }
    }

    @Test func documentsShowCommands() async throws {
        #expect(try await Self.documents().contains("README.md"))
    }

    @Test(arguments: [
        ("one\ntwo\n", true), ("one\n", false), ("one\ntwo", false), ("one\ntwo\nthree\n", false), ("", false),
        ("one\n\ntwo\n", false), ("onE\ntwo\n", false),
    ])
    func theWholeOutputIsShown(_ output: String, _ isShown: Bool) throws {
        let command = try #require(ConsoleCommand.all(in: "```console\n$ x\none\ntwo\n```\n").first)
        #expect(try command.shows(output) == isShown)
    }

    @Test(arguments: [
        ("a.c 1 e\nlast\n", true), ("a.c  e\nx\ny\nlast\n", true), ("abc 1 e\nlast\n", false),
        ("a.c 1\n e\nlast\n", false),
        ("a.c 1 e\nx\n", false),
    ])
    func dotsStandForAnything(_ output: String, _ isShown: Bool) throws {
        let command = try #require(ConsoleCommand.all(in: "```console\n$ x\na.c ... e\n...\nlast\n```\n").first)
        #expect(try command.shows(output) == isShown)
    }

    @Test func onlyConsoleBlocksHaveCommands() throws {
        let text = "```\n$ no\n```\n```console\nlost\n$ one\n> two # exit 12\n> out\n$ three # exit 1 # 2\n```\n$ no\n"
        let commands = ConsoleCommand.all(in: text)
        #expect(commands.map(\.text) == ["one\ntwo # exit 12\nout", "three # exit 1 # 2"])
        #expect(commands.map(\.status) == [0, 0])
        let other = ConsoleCommand.all(in: "```console\n$ one\n> two # exit 12\nout\n> out\n```\n")
        #expect(other.map(\.text) == ["one\ntwo # exit 12"])
        #expect(other.map(\.status) == [12])
        #expect(try other.map { try $0.shows("out\n> out\n") } == [true])
    }
}

/// A home directory, and a shell in it for each command.
private struct ConsoleSession {
    let box: JobBox
    private let environment: [String: String]
    private let home: String

    init() throws {
        box = try JobBox()
        let directory = box.sandbox.directory.path
        home = directory + "/home"
        try Files.setMode(0o700, home)
        try FileManager.default.createDirectory(atPath: "\(directory)/bin", withIntermediateDirectories: false)
        let program = URL(filePath: credfs, directoryHint: .notDirectory).resolvingSymlinksInPath()
        try FileManager.default.createSymbolicLink(
            atPath: "\(directory)/bin/credfs",
            withDestinationPath: program.path(percentEncoded: false)
        )
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
        environment = [
            "PATH": "\(directory)/bin:\(path)", "HOME": home, "LC_ALL": "C", "XDG_RUNTIME_DIR": box.runtime,
        ]
    }

    /// Runs a command without a terminal.
    ///
    /// - Returns: its exit and what it and its children wrote, with the home directory as `~`.
    func run(_ command: String) async throws -> (status: ChildProcess.Outcome.Status, output: String) {
        // Both outputs in their order; cat ends when nobody can write any more.
        let script = #"setsid --wait bash -c "$1" </dev/null 2>&1 | cat; exit "${PIPESTATUS[0]}""#
        let outcome = try await ChildProcess.run(
            "/usr/bin/env",
            ["--chdir", home, "bash", "-c", script, "bash", command],
            environment: environment,
            timeout: .seconds(120)
        )
        var output = outcome.outputText.replacingOccurrences(of: home, with: "~")
        if !output.isEmpty && !output.hasSuffix("\n") { output += "\n" }
        return (outcome.status, output)
    }
}
