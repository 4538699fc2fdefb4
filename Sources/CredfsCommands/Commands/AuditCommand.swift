// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import AuditLog
internal import SecretStore
internal import SecureJSON
internal import SystemCalls

/// The command `credfs audit`.
struct AuditCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit",
        abstract: "Show and check the log of who did what with the secrets.",
        discussion: """
            Every operation is an entry in state/audit.log. An entry cannot be changed, removed or inserted later \
            without 'credfs audit verify' finding it.

            EXAMPLES:
              credfs audit show --secret API_TOKEN
              credfs audit verify
              credfs audit head >>/mnt/elsewhere/heads
            """,
        subcommands: [
            AuditShowCommand.self, AuditVerifyCommand.self, AuditReportCommand.self, AuditHeadCommand.self,
        ]
    )
}

/// The command `credfs audit show`.
struct AuditShowCommand: CredfsCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Print the entries of the log.",
        discussion: """
            They are printed as they stand there; 'credfs audit verify' tells whether they are authentic.

            EXAMPLES:
              credfs audit show --since 2099-01-01T00:00:00Z
              credfs audit show --secret billing/API_KEY
              credfs audit show --follow --json | jq .operation
            """
    )
    static let operation = OperationEvent.Operation.auditShow

    @OptionGroup(title: HelpText.storeTitle) var options: StoreOptions

    @Flag(help: "Go on with entries as they are written.")
    var follow = false

    @Option(help: ArgumentHelp("Leave out what happened before a time.", valueName: "time"))
    var since: String?

    @Option(
        help: ArgumentHelp("Print what concerns one secret: NAME or SERVICE/KEY.", valueName: "name"),
        completion: SecretNameCompletion.one
    )
    var secret: String?

    @Flag(help: "Print each entry as its line of JSON.")
    var json = false

    func run(_ context: CommandContext) throws {
        let filter = EntryFilter(since: try since.map(Self.time), secret: try secret.map { try reference($0) })
        let store = try options.open(context)
        context.store = (try? LoadedManifest(store))?.manifest.store
        do {
            guard let log = try AuditTrail.log(of: store, context.store, context) else { throw AuditError.noLog }
            let tail = try log.tail(isFollowing: follow)
            repeat {
                while let item = try tail.next() { try print(item, filter, context) }
                if follow { Pause.sleep(microseconds: 200_000) }
            } while follow
        } catch let error as AuditError { throw CommandError(error) }
    }

    private func print(_ item: AuditTail.Item, _ filter: EntryFilter, _ context: CommandContext) throws {
        switch item {
        case .malformed(let file, let line):
            context.console.warning("\(file) line \(line) is not an entry")
        case .entry(let line, let text):
            guard filter.admits(line.entry) else { return }
            try context.console.output(
                (json ? JSONOutput.entry(text) : Console.visible("\(line.entry.timestamp) \(line.entry.summary)"))
                    + "\n"
            )
        }
    }

    /// A time with milliseconds, as entries have it: such texts are ordered as the times are.
    static func time(_ text: String) throws -> String {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        if parts.count == 1, Timestamp(text) != nil { return text.dropLast() + ".000Z" }
        if parts.count == 2, Timestamp(parts[0] + "Z") != nil, parts[1].utf8.count == 4, parts[1].hasSuffix("Z"),
            parts[1].dropLast().utf8.allSatisfy({ (0x30...0x39).contains($0) })
        {
            return text
        }
        throw CommandError(
            .usage,
            "--since takes a time",
            hint: "times are RFC 3339 in UTC, such as 2027-01-31T00:00:00Z"
        )
    }
}

/// Filter of entries.
private struct EntryFilter {
    let since: String?
    let secret: SecretReference?

    func admits(_ entry: AuditEntry) -> Bool {
        if let since, entry.timestamp < since { return false }
        guard let secret else { return true }
        return entry.concerns(secret.name.text) && (secret.service == nil || entry.service == secret.service)
    }
}

/// The command `credfs audit verify`.
struct AuditVerifyCommand: CredfsCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Check that the log is as it was written.",
        discussion: """
            Needs a key of the store. Prints a line for everything that is wrong: entries that were changed, removed, \
            inserted or moved, and a log that was cut or replaced by an older copy. Only with --head, a value that \
            'credfs audit head' printed and that was kept elsewhere, is it found out if the whole state directory was \
            replaced.

            EXAMPLES:
              credfs audit verify
              credfs audit verify --head "$(tail -n 1 /mnt/elsewhere/heads)"
              credfs audit verify --json
            """
    )
    static let operation = OperationEvent.Operation.auditVerify

    @OptionGroup(title: HelpText.storeTitle) var options: StoreOptions
    @OptionGroup(title: HelpText.keyTitle) var keyOptions: KeyOptions

    @Option(help: ArgumentHelp("An earlier end of the log.", valueName: "value"))
    var head: String?

    @Flag(help: "Print JSON.")
    var json = false

    func run(_ context: CommandContext) throws {
        // A log that is missing must not be there when it is looked for.
        context.audit.beginsLog = false
        context.audit.repairsLog = false
        let head = try head.map(Self.head)
        let (store, loaded) = try options.load(context)
        let keys = try keyOptions.unlock(store, loaded.manifest, context)
        let report = try report(store, keys, head, context)
        if !report.isIntact { context.audit.isClosed = true }
        try print(report, context)
        guard !report.isIntact else { return }
        throw CommandError(
            .authentication,
            "the audit log is not as it was written: \(Count.pluralized(report.problems.count, "problem"))",
            hint: "keep a copy of the state directory, and find out who could write there"
        )
    }

    private func report(
        _ store: Store,
        _ keys: StoreKeys,
        _ head: AuditHead?,
        _ context: CommandContext
    ) throws -> AuditReport {
        do {
            guard let log = try AuditTrail.log(of: store, keys.store, context) else { throw AuditError.noLog }
            return try log.verify(unsealedWith: try keys.auditKey(), store: keys.store.text, head: head)
        } catch let error as AuditError {
            guard error == .noLog, head != nil else { throw CommandError(error) }
            throw CommandError(.authentication, "there is no audit log, but a head of one")
        }
    }

    private func print(_ report: AuditReport, _ context: CommandContext) throws {
        if json { return try context.console.output(JSONOutput.verification(report)) }
        var lines = report.problems.map { "\($0.kind.rawValue): \($0.message)" }
        if report.lost > 0 {
            lines.append("warning: \(Count.pluralized(Int(clamping: report.lost), "event")) could not be recorded")
        }
        if report.pending > 0 {
            let count = report.pending == 1 ? "an entry was" : "\(report.pending) entries were"
            lines.append(
                "warning: \(count) written by a process that was killed: the next command that records something "
                    + "adopts that and says so"
            )
        }
        if report.isIntact, !options.quiet, let first = report.first, let last = report.last {
            lines.append("ok: entries \(first) to \(last) are as they were written")
        }
        try context.console.output(lines.map { Console.visible($0) + "\n" }.joined())
    }

    private static func head(_ text: String) throws -> AuditHead {
        guard let head = AuditHead(text) else {
            throw CommandError(.usage, "--head takes a value that 'credfs audit head' printed")
        }
        return head
    }
}

extension JSONOutput {
    /// The document of `audit verify --json`.
    fileprivate static func verification(_ report: AuditReport) -> String {
        let problems: [JSONValue] = report.problems.map { problem in
            .object([
                "kind": .string(problem.kind.rawValue), "file": .string(orNull: problem.file),
                "line": .integer(problem.line), "sequence": .integer(problem.sequence),
                "message": .string(problem.message),
            ])
        }
        return text([
            "intact": .boolean(report.isIntact), "first": .integer(report.first), "last": .integer(report.last),
            "entries": .integer(report.entryCount), "files": .integer(report.fileCount),
            "lost": .integer(report.lost), "pending": .integer(report.pending), "problems": .array(problems),
        ])
    }

    /// The object of a line of the log, with the version as its first member: what its code covers stays as it was written.
    fileprivate static func entry(_ line: String) -> String {
        "{\"schemaVersion\":\(schemaVersion.text(.line)),\(line.dropFirst())"
    }
}

/// The command `credfs audit head`.
struct AuditHeadCommand: CredfsCommand {
    static let configuration = CommandConfiguration(
        commandName: "head",
        abstract: "Print the end of the log, to be kept elsewhere.",
        discussion: """
            Later, 'credfs audit verify --head VALUE' finds out if the whole log was replaced by an older one.

            EXAMPLES:
              credfs audit head
              credfs audit head >>/mnt/elsewhere/heads
              credfs audit verify --head "$(credfs audit head)"
            """
    )
    static let operation = OperationEvent.Operation.auditHead

    @OptionGroup(title: HelpText.storeTitle) var options: StoreOptions

    func run(_ context: CommandContext) throws {
        let store = try options.open(context)
        context.store = (try? LoadedManifest(store))?.manifest.store
        do {
            guard let log = try AuditTrail.log(of: store, context.store, context) else { throw AuditError.noLog }
            try context.console.output(log.head().text + "\n")
        } catch let error as AuditError { throw CommandError(error) }
    }
}
