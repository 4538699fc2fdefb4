// SPDX-License-Identifier: Apache-2.0

internal import SystemCalls
internal import SystemPackage

/// Console for messages: always standard error, lower case, no full stop; data goes to standard output and nowhere
/// else.
struct Console: Sendable {
    /// Level of detail.
    enum Verbosity: Int, Sendable {
        case quiet
        case normal
        case verbose
    }

    static let standardOutput: Int32 = 1
    static let standardError: Int32 = 2

    var verbosity = Verbosity.normal

    /// Tells why the command failed and what to do next.
    func error(_ error: CommandError) {
        say("error", error.message)
        if let hint = error.hint { say("hint", hint) }
    }

    /// Warns of something that is not as it should be.
    func warning(_ message: String) {
        say("warning", message)
    }

    /// Warns where nobody may be kept waiting, such as on a thread that answers readers; lost where standard error has no
    /// room now.
    func warningWithoutWaiting(_ message: String) {
        let text = "credfs: warning: \(Self.visible(message))\n"
        // There is no other place to say that standard error cannot be written.
        _ = try? OutputWithoutWaiting(Self.standardError).write(Array(text.utf8))
    }

    /// Tells what was done.
    func note(_ message: String) {
        if verbosity != .quiet { write(message) }
    }

    /// Tells what only somebody who asked wants to know.
    func detail(_ message: String) {
        if verbosity == .verbose { write(message) }
    }

    /// Asks a question on the terminal that standard input is; anything but yes is no.
    func confirms(_ question: String) -> Bool {
        ["y", "yes"].contains(ask("\(question) [y/N]")?.lowercased() ?? "")
    }

    /// Asks a question on the terminal that standard input is.
    ///
    /// - Returns: the answer, shown as it is typed; nil where the terminal ends.
    func ask(_ question: String) -> String? {
        try? writeAll(Self.standardError, "\(Self.visible(question)) ".utf8.span)
        return readLine()
    }

    /// Writes data.
    ///
    /// - Throws: status 1 if standard output cannot take it.
    func output(_ text: String) throws {
        try output(text.utf8.span)
    }

    /// Writes data.
    func output(_ bytes: Span<UInt8>) throws {
        do throws(Errno) {
            try writeAll(Self.standardOutput, bytes)
        } catch {
            throw CommandError(.failed, "cannot write to standard output: \(error.message)")
        }
    }

    private func say(_ kind: String, _ message: String) {
        write("\(kind): \(message)")
    }

    private func write(_ message: String) {
        let text = "credfs: \(Self.visible(message))\n"
        // There is no other place to say that standard error cannot be written.
        try? writeAll(Self.standardError, text.utf8.span)
    }

    /// The message with what would move a cursor, begin a line, turn the direction of text or not be seen written as
    /// `\u{1b}`: paths can hold anything.
    static func visible(_ message: String) -> String {
        var text = ""
        for scalar in message.unicodeScalars {
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator:
                text += "\\u{\(String(scalar.value, radix: 16))}"
            default: text.unicodeScalars.append(scalar)
            }
        }
        return text
    }
}
