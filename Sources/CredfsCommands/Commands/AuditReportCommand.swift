// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import AuditLog
internal import SecretStore
internal import SecureFiles

/// The command `credfs audit report`.
struct AuditReportCommand: CredfsCommand {
    static let configuration = CommandConfiguration(
        commandName: "report",
        abstract: "Print who read which secret, and what is new since the last report.",
        discussion: """
            For each secret the programs that opened it, with their units, users and jobs, how often, and who was \
            refused. Then secrets that nobody read, and those that only a shell read. Entries count as they stand in \
            the log; 'credfs audit verify' tells whether they are authentic.

            EXAMPLES:
              credfs audit report
              credfs audit report --since 2099-01-01T00:00:00Z --json
              credfs audit report --html report.html
            """
    )
    static let operation = OperationEvent.Operation.auditReport

    @OptionGroup(title: HelpText.storeTitle) var options: StoreOptions

    @Option(help: ArgumentHelp("Leave out what happened before a time.", valueName: "time"))
    var since: String?

    @Option(
        help: ArgumentHelp(
            "Write one page of HTML, readable by its owner only; '-' is standard output.",
            valueName: "file"
        ),
        completion: .file(),
        transform: PathArgument.parse
    )
    var html: String?

    @Flag(help: "Print JSON.")
    var json = false

    func validate() throws {
        if json, html == "-" { throw ValidationError("--json and --html - both write to standard output.") }
    }

    func run(_ context: CommandContext) throws {
        let since = try since.map(AuditShowCommand.time)
        let store = try options.open(context)
        let manifest = try? LoadedManifest(store).manifest
        context.store = manifest?.store
        let report: AccessReport
        do {
            guard let log = try AuditTrail.log(of: store, context.store, context) else { throw AuditError.noLog }
            let tail = try log.tail(isFollowing: false)
            var builder = AccessReport.Builder(since: since)
            while let item = try tail.next() {
                switch item {
                case .entry(let line, _): builder.add(line.entry)
                case .malformed: builder.addMalformed()
                }
            }
            report = builder.report(names: manifest?.secrets.map(\.name.text) ?? [])
        } catch let error as AuditError { throw CommandError(error) }
        if report.malformedCount > 0 {
            let lines = Count.pluralized(report.malformedCount, "line")
            context.console.warning("\(lines) of the log are no entries: see credfs audit verify")
        }
        try print(report, context)
    }

    private func print(_ report: AccessReport, _ context: CommandContext) throws {
        if let html {
            let page = AccessReportPage(report, at: context.now()).text
            if html == "-" { return try context.console.output(page) }
            let (directory, name) = try Store.place(ofNew: html)
            try directory.refuseReplacing(name, unlessItBeginsWith: AccessReportPage.beginning, as: "a report")
            try directory.replace(name, with: page.utf8.span)
            guard json else { return context.console.note("wrote \(html)") }
        }
        try context.console.output(json ? AccessReportText.json(report) : AccessReportText.plain(report))
    }
}
