// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import Glibc
internal import SecretStore

/// The command `credfs list`.
struct ListCommand: CredfsCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "Print the names of the secrets, never a value.",
        discussion: """
            On a terminal with their state; elsewhere one name a line.

            EXAMPLES:
              credfs list
              credfs list billing                        # of one service
              credfs list --json
            """,
        aliases: ["ls"]
    )
    static let operation = OperationEvent.Operation.list

    @OptionGroup(title: HelpText.storeTitle) var options: StoreOptions
    @OptionGroup(title: HelpText.keyTitle) var keyOptions: KeyOptions

    @Argument(
        help: ArgumentHelp("Only the secrets of this service.", valueName: "service"),
        completion: SecretNameCompletion.service
    )
    var service: String?

    @Flag(help: "Print JSON.")
    var json = false

    func run(_ context: CommandContext) throws {
        let manifest = try ReadableManifest.load(options, keyOptions, context)
        let secrets = try chosen(manifest.secrets).sorted { $0.name < $1.name }
        if json {
            try context.console.output(JSONOutput.secrets(secrets))
        } else if isatty(Console.standardOutput) == 1 {
            try context.console.output(Self.table(secrets))
        } else {
            try context.console.output(secrets.map { $0.name.text + "\n" }.joined())
        }
    }

    private func chosen(_ secrets: [SecretEntry]) throws -> [SecretEntry] {
        guard let service else { return secrets }
        let name = service.hasSuffix("/") ? String(service.dropLast()) : service
        let chosen = secrets.filter { $0.service == name }
        guard chosen.isEmpty else { return chosen }
        let services = Set(secrets.compactMap(\.service)).sorted()
        let list = services.isEmpty ? "no secret has a service" : "services are \(Names.abbreviated(services))"
        let guess = Spelling.nearest(to: name, among: services).map { "did you mean '\($0)'? " } ?? ""
        throw CommandError(.noSuchSecret, "no secret is of that service", hint: guess + list)
    }

    private static func content(_ secret: SecretEntry) -> String {
        switch secret.value {
        case .empty: "none"
        case .sealed, .unsealed: "sealed"
        case .template: "template"
        }
    }

    private static func table(_ secrets: [SecretEntry]) -> String {
        let rows =
            [["NAME", "VALUE", "REQUIRED", "EXPIRES"]]
            + secrets.map { secret in
                [
                    secret.name.text, content(secret), secret.required ? "yes" : "no",
                    secret.expires?.text ?? "never",
                ]
            }
        return Table.text(rows)
    }
}

/// Columns for people.
enum Table {
    /// Rows of as many cells each, aligned.
    static func text(_ rows: [[String]]) -> String {
        let none = [Int](repeating: 0, count: rows.first?.count ?? 0)
        let widths = rows.reduce(none) { widths, row in zip(widths, row).map { max($0, $1.utf8.count) } }
        return rows.map { row in
            let cells = zip(row, widths).map { cell, width in
                cell + String(repeating: " ", count: width - cell.utf8.count)
            }
            var line = cells.joined(separator: "  ")
            while line.last == " " { line.removeLast() }
            return line + "\n"
        }.joined()
    }
}
