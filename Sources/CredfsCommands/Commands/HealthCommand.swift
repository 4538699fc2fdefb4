// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import SecretSources
internal import SecretStore
internal import SecureJSON
internal import SystemCalls

/// The command `credfs health`.
struct HealthCommand: CredfsCommand {
    static let configuration = CommandConfiguration(
        commandName: "health",
        abstract: "Say whether each source can be reached.",
        discussion: """
            Reads or asks each source of credfs.yaml and of --source once, and the store. Prints whether it answers and lets us in, how \
            long that took, and how many values it told. The status is 20 where one does not.

            Of a live mount, which an argument names, it prints what the server knows of the sources that are asked over time: nobody \
            is asked for it. That is how many values they have told, how old the oldest is, and the last error.

            EXAMPLES:
              credfs health
              credfs health --json
              credfs health --source exec:pass?names=API_TOKEN
              credfs health /run/secrets    # of the mount at a directory
            """
    )
    static let operation = OperationEvent.Operation.health
    static let needsProc = true
    var hasNoStore: Bool { sources.storeless.noStore }

    @OptionGroup(title: HelpText.storeTitle) var options: StoreOptions
    @OptionGroup(title: HelpText.keyTitle) var keyOptions: KeyOptions
    @OptionGroup(title: "Sources") var sources: SourceOptions

    @Argument(
        help: ArgumentHelp("A live mount, by its directory or identifier.", valueName: "dir|id"),
        completion: .directory,
        transform: PathArgument.parse
    )
    var mount: String?

    @Flag(help: "Print JSON.")
    var json = false

    func run(_ context: CommandContext) throws {
        var target = MountTarget()
        target.mount = mount
        let reports = try mount == nil ? ask(context) : LiveHealth.reports(of: target.find(context), context)
        if json {
            try context.console.output(Self.document(reports))
        } else {
            try context.console.output(reports.map { Self.line($0) }.joined())
            if reports.isEmpty { context.console.note("no source of this mount is asked over time") }
        }
        if let sick = reports.first(where: { !$0.isHealthy }) {
            throw CommandError(.unavailable, "\(sick.source) is not available")
        }
    }

    /// Asks each source once.
    private func ask(_ context: CommandContext) throws -> [SourceReport] {
        try sources.storeless.check(options, hasSources: sources.isAny(context))
        let began = BootClock.milliseconds()
        var manifest: Manifest?
        var failure: StoreError?
        if !hasNoStore {
            do throws(StoreError) {
                manifest = try KeyOptions.forGuard { try ReadableManifest.load(options, keyOptions, context) }
            } catch { failure = error }
        }
        let store = SourceReport(
            "store",
            failure: failure,
            latency: BootClock.milliseconds() - began,
            valueCount: manifest?.secrets.count { $0.value != .empty } ?? 0
        )
        return try sources.look(manifest, context).reports + (hasNoStore ? [] : [store])
    }

    private static func line(_ report: SourceReport) -> String {
        var words = [report.isReachable ? (report.isAuthenticated ? "ok" : "denied") : "unreachable"]
        words.append(Console.visible(report.source))
        words.append(Count.pluralized(report.valueCount, "value"))
        if report.staleCount > 0 { words.append("\(report.staleCount) of before") }
        if let latency = report.latency { words.append("\(latency) ms") }
        if let age = report.age { words.append("\(age / 1000) s old") }
        return words.joined(separator: "  ") + (report.error.map { ": \(Console.visible($0))" } ?? "") + "\n"
    }

    private static func document(_ reports: [SourceReport]) -> String {
        JSONOutput.text([
            "sources": .array(
                reports.map { report in
                    .object([
                        "source": .string(report.source), "reachable": .boolean(report.isReachable),
                        "authenticated": .boolean(report.isAuthenticated),
                        "latencyMilliseconds": .integer(report.latency), "cached": .integer(report.valueCount),
                        "stale": .integer(report.staleCount), "ageSeconds": .integer(report.age.map { $0 / 1000 }),
                        "lastError": .string(orNull: report.error),
                    ])
                }
            )
        ])
    }
}
