// SPDX-License-Identifier: Apache-2.0

internal import AuditLog
internal import Jobs
internal import SecretFileSystem
internal import SecretStore
internal import SystemPackage

/// Recording of the opens of a mount in the audit log of the store.
struct OpenRecorder {
    /// Rule of `--audit` and `CREDFS_AUDIT`.
    enum Rule: String, CaseIterable {
        /// An entry is on the disk before the open is answered.
        case sync
        /// An open that cannot be recorded is refused.
        case required
    }

    private let options: StoreOptions
    private let store: StoreID
    private let context: CommandContext
    private let settings: AuditWriter.Settings
    private let metrics: OpenMetrics?

    /// Reads the rules of a text such as `sync,required`; nil where there are others.
    static func settings(_ text: String) -> AuditWriter.Settings? {
        var settings = AuditWriter.Settings()
        for word in text.split(separator: ",", omittingEmptySubsequences: false) where word != "default" {
            switch Rule(rawValue: String(word)) {
            case .sync: settings.synchronizes = true
            case .required: settings.isRequired = true
            case nil: return nil
            }
        }
        return settings
    }

    /// Prepares the recording of opens of secrets of a store.
    init(
        _ options: StoreOptions,
        _ store: StoreID,
        _ rules: [String],
        _ metrics: OpenMetrics?,
        _ context: CommandContext
    ) throws {
        self.metrics = metrics
        self.options = options
        self.store = store
        self.context = context
        settings = try Self.settings(rules, context)
    }

    /// Makes one for what is admitted.
    ///
    /// - Returns: nil where there is no store to record in.
    /// - Throws: status 64 where opens must be recorded all the same.
    static func make(
        _ options: StoreOptions,
        _ admitted: Admission,
        _ rules: [String],
        _ metrics: OpenMetrics?,
        _ context: CommandContext
    ) throws -> OpenRecorder? {
        guard context.options != nil else {
            guard try !settings(rules, context).isRequired else {
                throw CommandError(.usage, "without a store nothing is recorded", hint: "leave out --audit required")
            }
            return nil
        }
        return try admitted.manifest.map { try OpenRecorder(options, $0.store, rules, metrics, context) }
    }

    /// The rules that were given, else those of the variable.
    static func settings(_ rules: [String], _ context: CommandContext) throws -> AuditWriter.Settings {
        let texts = [rules.joined(separator: ","), context.variable("AUDIT") ?? ""]
        guard let settings = settings(texts.first { !$0.isEmpty } ?? "default") else {
            throw CommandError(.usage, "CREDFS_AUDIT takes default, sync or required")
        }
        return settings
    }

    /// Starts the writer of a mount; where there is no log, entries are only forwarded.
    ///
    /// - Throws: class `failed` where there is no log, or no thread, and opens must be recorded.
    func begin(mount: String) throws(MountError) -> OpenAudit? {
        do {
            let hasLog = try hasLog()
            guard hasLog || context.forwarder != nil else { return nil }
            let console = context.console
            let writer = try AuditWriter(
                hasLog ? try AuditTrail.log(of: try options.open(context), store, context) : nil,
                settings,
                forwarder: context.forwarder,
                onLoss: { [metrics] in metrics?.countLost() },
                report: { error in
                    // Said already.
                    guard error != .noLog else { return }
                    let message = "opens are not recorded in the audit log: \(error.message)"
                    if error.isReadOnly { console.detail(message) } else { console.warningWithoutWaiting(message) }
                }
            )
            return OpenAudit(writer, mount: mount, store: store.text)
        } catch {
            guard settings.isRequired else { return unrecorded(error) }
            throw Self.refusal("opens", Self.message(of: error))
        }
    }

    /// Looks for the log; false where there is none and need not be.
    private func hasLog() throws -> Bool {
        do {
            guard try AuditTrail.log(of: try options.open(context), store, context)?.exists() == true else {
                throw AuditError.noLog
            }
            return true
        } catch {
            guard !settings.isRequired else { throw error }
            return unrecorded(error) ?? false
        }
    }

    private func unrecorded<Nothing>(_ error: any Error) -> Nothing? {
        context.console.detail("opens are not recorded: \(Self.message(of: error))")
        return nil
    }

    private static func message(of error: any Error) -> String {
        (error as? AuditError)?.message ?? CommandError(anyError: error).message
    }

    /// Records that secrets are given, before they are.
    ///
    /// - Throws: class `failed` where that must be recorded and cannot be.
    func record(_ event: OperationEvent) throws(MountError) {
        do { try context.audit.append(event, synchronizing: settings.synchronizes) } catch {
            guard settings.isRequired else { return context.audit.report(error) }
            throw Self.refusal("a \(event.operation.rawValue)", Self.message(of: error))
        }
    }

    private static func refusal(_ subject: String, _ message: String) -> MountError {
        MountError(
            .failed,
            "\(subject) must be recorded and cannot be: \(message)",
            hint: "see credfs doctor, or leave out --audit required"
        )
    }
}
