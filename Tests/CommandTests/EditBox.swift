// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

/// A store whose secrets an editor is let at, and pipes by which the editor and the test wait for each other.
final class EditBox: Sendable {
    let box: JobBox
    /// What the editor tells, line by line: it can write nothing else outside of its memory.
    private let news: Fifo
    /// What the editor is told.
    private let orders: Fifo

    init(_ secrets: [String: String]) async throws {
        box = try await JobBox(secrets)
        news = try Fifo(box.sandbox.directory.path("news"))
        orders = try Fifo(box.sandbox.directory.path("orders"))
    }

    var sandbox: Sandbox { box.sandbox }

    /// The environment of credfs, with an editor.
    func environment(_ editor: String) -> [String: String] {
        box.environment.merging(
            ["CREDFS_EDITOR": editor, "NEWS": news.path, "ORDERS": orders.path, "TERM": "xterm"]
        ) { $1 }
    }

    /// An editor that is a shell script; the document is `$1`.
    func script(_ text: String, name: String = "editor") throws -> String {
        try sandbox.directory.write(Array("set -eu\n\(text)\n".utf8), to: name)
        return "/bin/sh \(sandbox.directory.path(name))"
    }

    /// Edits without a terminal.
    func edit(
        _ editor: String,
        _ arguments: String...,
        adding variables: [String: String] = [:]
    ) async throws -> ChildProcess.Outcome {
        try await ChildProcess.run(
            credfs,
            ["edit"] + arguments,
            environment: environment(editor).merging(variables) { $1 }
        )
    }

    /// Edits with a shell script.
    func editScript(_ text: String) async throws -> ChildProcess.Outcome {
        try await edit(try script(text))
    }

    /// Starts an edit without a terminal.
    func start(_ editor: String) throws -> ChildProcess.Running {
        try ChildProcess.Running(credfs, ["edit"], environment: environment(editor))
    }

    /// Starts an edit on a terminal.
    func startOnTerminal(_ editor: String) throws -> PseudoTerminal {
        let terminal = try PseudoTerminal()
        try terminal.start(credfs, ["edit"], environment: environment(editor))
        return terminal
    }

    /// The next line that the editor writes to `$NEWS`.
    func nextLine() async throws -> String { try await news.line() }

    /// Lets the editor read a line from `$ORDERS`.
    func order(_ line: String = "go") { orders.write(line + "\n") }

    /// Expects that nothing of an edit is left: no directory, mount or process.
    func expectNothingLeft(at location: SourceLocation = #_sourceLocation) throws {
        try box.expectNothingLeft(at: location)
    }
}

/// A named pipe that a test holds open at both ends.
final class Fifo: Sendable {
    let path: String
    private let number: Int32

    init(_ path: String) throws {
        try #require(unsafe mkfifo(path, 0o600) == 0)
        self.path = path
        number = unsafe open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC)
        try #require(number >= 0)
    }

    deinit { close(number) }

    /// Waits for a line.
    func line() async throws -> String {
        var line: [UInt8] = []
        try await Eventually.holds("a line in \(path)", within: .seconds(30)) {
            var byte: UInt8 = 0
            while unsafe read(number, &byte, 1) == 1 {
                if byte == UInt8(ascii: "\n") { return true }
                line.append(byte)
            }
            return false
        }
        return String(decoding: line, as: UTF8.self)
    }

    func write(_ text: String) {
        let bytes = Array(text.utf8)
        precondition(unsafe Glibc.write(number, bytes, bytes.count) == bytes.count, "a pipe has room for a line")
    }
}
