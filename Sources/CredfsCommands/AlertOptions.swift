// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import Jobs
internal import SecretFileSystem
internal import SecretSources
internal import SecretStore
internal import SecureJSON
internal import SystemCalls

/// Options for alerts and metrics of a mount.
struct AlertOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Alert where so many opens are denied, or secrets read by one process tree, within a time: denials=5/1m, secrets=20/10s (repeatable).",
            valueName: "pattern"
        )
    )
    var alert: [AlertPattern] = []

    @Option(
        help: ArgumentHelp(
            "Run a command for each alert, decoys included, with JSON on its standard input, for 10 seconds at most.",
            valueName: "command"
        )
    )
    var onAlert: String?

    @Option(
        help: ArgumentHelp("Keep counters in a file for the textfile collector of Prometheus.", valueName: "file"),
        completion: .file(),
        transform: PathArgument.parse
    )
    var metrics: String?

    @Flag(help: "Count opens for each secret, too, which tells its name to readers of the metrics.")
    var metricsNames = false

    func validate() throws {
        if metricsNames && metrics == nil { throw ValidationError("--metrics-names needs --metrics.") }
        for kind in [AlertPattern.Kind.denials, .secrets] where alert.count(where: { $0.kind == kind }) > 1 {
            throw ValidationError("--alert \(kind.rawValue) is given twice.")
        }
    }

    /// Observer of a mount with all that it takes.
    struct Observing {
        let monitor: OpenMonitor
        let helper: AlertHelper?
        let file: MetricsFile?

        /// Ends what was begun.
        func end() {
            file?.end()
            helper?.end()
        }
    }

    /// Begins to observe a mount.
    ///
    /// - Throws: class `failed` where the process for the command cannot be started, or the metrics cannot be written.
    func begin(
        _ admitted: Admission,
        _ sources: AskedSources?,
        _ context: CommandContext
    ) throws -> Observing {
        var settings = AlertDetector.Settings()
        for pattern in alert {
            switch pattern.kind {
            case .denials: settings.denials = pattern.threshold
            case .secrets: settings.secrets = pattern.threshold
            }
        }
        let helper = try onAlert.map { (command) throws(MountError) in
            try AlertHelper(command, environment: SecretVariables.environmentForChildren())
        }
        let counters = metrics == nil ? nil : OpenMetrics(countsNames: metricsNames)
        let console = context.console
        let monitor = OpenMonitor(detector: AlertDetector(settings), metrics: counters) { alert, process in
            console.warningWithoutWaiting("alert: \(alert.text)")
            guard let helper, !helper.tell(Self.json(alert, process)) else { return }
            console.warningWithoutWaiting("the command of --on-alert does not keep up: an alert was dropped")
        }
        do {
            return Observing(monitor: monitor, helper: helper, file: try file(counters, admitted, sources, context))
        } catch {
            helper?.end()
            throw error
        }
    }

    private func file(
        _ counters: OpenMetrics?,
        _ admitted: Admission,
        _ sources: AskedSources?,
        _ context: CommandContext
    ) throws -> MetricsFile? {
        guard let metrics, let counters else { return nil }
        let facts = MetricsFile.Facts(
            authMode: admitted.auth.text,
            expiries: admitted.entries.compactMap { entry in entry.expires.map { (entry.name.text, $0) } },
            namesSecrets: metricsNames,
            forwarder: context.forwarder,
            sources: sources
        )
        return try MetricsFile(metrics, counters, facts)
    }

    private static func json(_ alert: AccessAlert, _ process: ProcessIdentity) -> String {
        JSONValue.object([
            "schemaVersion": JSONOutput.schemaVersion,
            "time": .string(AuditTime.now()),
            "kind": .string(alert.kind.rawValue),
            "message": .string(alert.text),
            "secret": .string(alert.secret.text),
            "count": .integer(alert.count),
            "pid": .integer(Int(process.process)),
            "executable": .string(orNull: process.executable?.path),
            "unit": .string(orNull: process.group.unit),
        ]).text(.line)
    }
}

/// Pattern of an alert in an argument: `KIND=COUNT/TIME`.
struct AlertPattern: ExpressibleByArgument {
    enum Kind: String {
        case denials
        case secrets
    }

    let kind: Kind
    let threshold: AlertDetector.Threshold

    init?(argument: String) {
        let parts = argument.split(separator: "=", omittingEmptySubsequences: false).map(String.init)
        let numbers = parts.last?.split(separator: "/", omittingEmptySubsequences: false).map(String.init) ?? []
        guard parts.count == 2, numbers.count == 2, let kind = Kind(rawValue: parts[0]), let count = Int(numbers[0]),
            (1...10_000).contains(count), let time = DurationArgument(argument: numbers[1])?.duration, time > .zero
        else { return nil }
        self.kind = kind
        threshold = AlertDetector.Threshold(count: count, time: time)
    }
}

extension AlertOptions: ScannedOptions {
    mutating func scan(_ scanner: inout OptionScanner) throws {
        alert = try scanner.values("alert")
        onAlert = try scanner.value("on-alert")
        metrics = try scanner.path("metrics")
        metricsNames = scanner.flag("metrics-names")
        try validate()
    }
}
