// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import SecretSources
internal import SecretStore
internal import SecureJSON

/// The command `credfs explain`.
struct ExplainCommand: CredfsCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain",
        abstract: "Say which source a secret comes from, and why.",
        discussion: """
            Asks the sources of credfs.yaml and of --source as 'credfs run' does, and prints them from the top: the first that has a \
            value wins. Never prints the value. The status is 11 where no source has one, and 20 where one could not tell.

            EXAMPLES:
              credfs explain API_TOKEN
              credfs explain API_TOKEN --json
              credfs explain API_TOKEN --source dir:/run/secrets
            """
    )
    static let operation = OperationEvent.Operation.explain
    static let needsProc = true
    var hasNoStore: Bool { sources.storeless.noStore }

    @OptionGroup(title: HelpText.storeTitle) var options: StoreOptions
    @OptionGroup(title: HelpText.keyTitle) var keyOptions: KeyOptions
    @OptionGroup(title: "Sources") var sources: SourceOptions
    @Argument(help: "The name, or SERVICE/KEY.", completion: SecretNameCompletion.one)
    var name: String

    @Flag(help: "Print JSON.")
    var json = false

    var subject: String? { name }

    func run(_ context: CommandContext) throws {
        let name = try reference(name).name
        try sources.storeless.check(options, hasSources: sources.isAny(context))
        let manifest = hasNoStore ? nil : try ReadableManifest.load(options, keyOptions, context)
        let overlay = try sources.look(manifest, context)
        let inStore = manifest.map { manifest in
            manifest.index(of: name).map { manifest.secrets[$0].value != .empty } ?? false
        }
        let standings = overlay.standings(of: name, inStore: inStore)
        let winner = standings.first { [.wins, .stale].contains($0.part) }
        if json {
            try context.console.output(Self.document(name, winner, standings))
        } else {
            try context.console.output(standings.map { Self.line($0) }.joined())
        }
        guard winner == nil else { return }
        let failed = standings.first { $0.part == .failed }
        throw CommandError(
            failed == nil ? .noSuchSecret : .unavailable,
            "no source has a value of '\(name.text)'",
            hint: failed.map { "see whether \($0.source) can be reached: credfs health" }
        )
    }

    private static func line(_ standing: SourceStanding) -> String {
        let words =
            switch standing.part {
            case .wins: "has the value that counts"
            case .stale: "has the value that counts, one of before"
            case .covered: "has a value, below the one that counts"
            case .none: "has none"
            case .notAsked: "was not asked"
            case .failed: "cannot tell"
            }
        let reason = standing.reason.map { ": \($0)" } ?? ""
        return "\(Console.visible(standing.source))  \(words)\(Console.visible(reason))\n"
    }

    private static func document(
        _ name: SecretName,
        _ winner: SourceStanding?,
        _ standings: [SourceStanding]
    ) -> String {
        JSONOutput.text([
            "name": .string(name.text), "source": .string(orNull: winner?.source),
            "sources": .array(
                standings.map { standing in
                    .object([
                        "source": .string(standing.source), "part": .string(standing.part.rawValue),
                        "reason": .string(orNull: standing.reason),
                    ])
                }
            ),
        ])
    }
}
