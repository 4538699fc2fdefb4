// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import SecretStore

/// The attributes of a secret that `set` can change beside its value.
struct EntryOptions: ParsableArguments {
    @Option(help: ArgumentHelp("One line for people.", valueName: "text"))
    var description: String?

    @Flag(inversion: .prefixedNo, help: "Whether a store without this value is rejected.")
    var required: Bool?

    @Option(
        help: ArgumentHelp("The form of the content: text, json, hex32, pem, base64 or any.", valueName: "format"),
        completion: .list(SecretEntry.Format.allCases.map(\.rawValue) + ["any"])
    )
    var format: String?

    @Option(help: ArgumentHelp("When it stops being accepted: a time, or never.", valueName: "time"))
    var expires: String?

    @Option(
        help: ArgumentHelp("A newline at the end: exact, strip or ensure.", valueName: "policy"),
        completion: .list(SecretEntry.Newline.allCases.map(\.rawValue))
    )
    var trailingNewline: String?

    func apply(to entry: inout SecretEntry) throws {
        if let description { entry.description = try Self.line(description) }
        if let required { entry.required = required }
        if let format {
            entry.format = format == "any" ? nil : try Self.word(format, "--format", SecretEntry.Format.self)
        }
        if let expires {
            entry.expires = expires == "never" ? nil : try Self.time(expires)
        }
        if let trailingNewline {
            entry.newline = try Self.word(trailingNewline, "--trailing-newline", SecretEntry.Newline.self)
        }
    }

    /// Refuses a value that would count as expired at once.
    func refusePast(now: Timestamp) throws(CommandError) {
        guard let expires = expires.flatMap(Timestamp.init), expires <= now else { return }
        throw CommandError(
            .usage,
            "--expires is in the past: \(expires.text)",
            hint: "give a time to come, or never"
        )
    }

    private static func time(_ text: String) throws -> Timestamp {
        guard let time = Timestamp(text) else {
            throw CommandError(
                .usage,
                "--expires takes a time or never",
                hint: "times are RFC 3339 in UTC, such as 2027-01-31T00:00:00Z"
            )
        }
        return time
    }

    private static func line(_ text: String) throws -> String? {
        if text.isEmpty { return nil }
        guard SecretEntry.isDescription(text) else {
            throw CommandError(.usage, "a description is one line without control characters")
        }
        return text
    }

    private static func word<Word: RawRepresentable & CaseIterable>(
        _ text: String,
        _ option: String,
        _ type: Word.Type
    ) throws -> Word where Word.RawValue == String {
        guard let word = Word(rawValue: text) else {
            let words = type.allCases.map(\.rawValue).joined(separator: ", ")
            throw CommandError(.usage, "\(option) takes one of \(words)")
        }
        return word
    }
}
