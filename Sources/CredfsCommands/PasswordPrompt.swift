// SPDX-License-Identifier: Apache-2.0

internal import Sealing
internal import SecretStore
internal import SecureFiles
internal import SecureMemory
internal import SystemCalls
internal import SystemPackage

/// Questions on the terminal whose answers are not shown.
enum PasswordPrompt {
    /// There is a terminal to ask on.
    static var canAsk: Bool { Terminal.isThere }

    /// Asks once.
    ///
    /// - Parameters:
    ///   - question: shown as it is.
    ///   - limit: the longest answer in bytes.
    /// - Returns: the answer without its newline.
    /// - Throws: status 1 where there is no terminal or it goes away.
    static func ask(_ question: String, limit: Int = Store.maximumKeyFileByteCount) throws -> SecureBuffer {
        let terminal: Terminal
        do throws(Errno) {
            terminal = try Terminal()
        } catch {
            throw CommandError(
                .failed,
                "cannot ask for a password: there is no terminal",
                hint: "use --password-file, --password-fd, CREDFS_PASSWORD_FILE or CREDFS_PASSWORD_CMD"
            )
        }
        return try ask(question, on: terminal, limit: limit)
    }

    /// Asks twice and compares.
    static func askTwice(_ question: String, again: String, limit: Int) throws -> SecureBuffer {
        let first = try ask(question, limit: limit)
        let second = try ask(again, limit: limit)
        guard first.withBytes({ first in second.withBytes { ConstantTime.equal(first, $0) } }) else {
            throw CommandError(.failed, "the two answers differ", hint: "nothing was changed; try again")
        }
        return first
    }

    private static func ask(
        _ question: String,
        on terminal: borrowing Terminal,
        limit: Int
    ) throws -> SecureBuffer {
        try StoreError.wrapping("write to", "the terminal") { () throws(Errno) in try terminal.write(question) }
        // No line is longer, and little memory may be locked.
        let limit = min(limit, Terminal.longestLine)
        var answer = try StoreError.locking { () throws(SecureMemoryError) in try SecureBuffer(count: limit + 1) }
        var filled = 0
        while true {
            let event = try StoreError.wrapping("read from", "the terminal") { () throws(Errno) in try terminal.wait() }
            if case .signal(let signal) = event {
                terminal.yield(to: signal)
                // Only a stop comes back; the line typed so far went with the terminal's queue.
                try StoreError.wrapping("write to", "the terminal") { () throws(Errno) in try terminal.write(question) }
                filled = 0
                continue
            }
            let count = try StoreError.wrapping("read from", "the terminal") { () throws(Errno) in
                try answer.withMutableBytes { (bytes) throws(Errno) in
                    try terminal.read(into: &bytes, from: filled)
                }
            }
            guard count > 0 else {
                throw CommandError(.failed, "the terminal ended before an answer", hint: "nothing was changed")
            }
            filled += count
            if answer.withBytes({ $0[filled - 1] == UInt8(ascii: "\n") }) {
                guard filled <= Terminal.longestLine else {
                    throw CommandError(
                        .failed,
                        "the answer is longer than a line of a terminal, which keeps \(Terminal.longestLine - 1) bytes",
                        hint: "nothing was changed; use a pipe or a file"
                    )
                }
                answer.setCount(filled - 1)
                return answer
            }
            guard filled <= limit else { throw CommandError(.failed, "the answer is longer than \(limit) bytes") }
        }
    }
}
