// SPDX-License-Identifier: Apache-2.0

internal import AuditLog
internal import Glibc
internal import SecretFileSystem
internal import SecretStore
internal import SecureFiles
internal import SystemCalls

/// Takes the events of operations to the audit log of the store, and shows them to those who pass `--verbose`.
///
/// A log that cannot be written stops no command: that is said, and what is not recorded is counted where that is
/// possible.
final class AuditTrail: OperationRecorder {
    /// A command that holds the keys begins a log where there is none.
    var beginsLog = true
    /// The end of a log that a killed process left is repaired before an entry is written.
    var repairsLog = true
    /// The log is left as it was found, with what is wrong with it.
    var isClosed = false
    private unowned let context: CommandContext
    private lazy var user = UserDatabase.name(of: context.user)
    /// This process: it does not change while a command runs.
    private lazy var process = ProcessIdentity.of(ProcessAttributes.processID)
    /// Number of events that were not recorded.
    private(set) var unrecordedCount = 0
    /// Messages that were said: nobody wants to read them for every event.
    private var said: Set<String> = []

    init(_ context: CommandContext) {
        self.context = context
    }

    func record(_ event: OperationEvent) {
        do { try append(event) } catch { report(error) }
    }

    /// Writes the entries of an event.
    ///
    /// - Parameters:
    ///   - event: the event.
    ///   - synchronizing: whether they must be on the disk before this returns, whatever the operation.
    /// - Throws: why they could not be written; they are counted.
    func append(_ event: OperationEvent, synchronizing: Bool = false) throws {
        // Made once, so that what is shown has the time of what is recorded.
        lazy var entries = entries(of: event)
        if context.console.verbosity == .verbose { show(event, entries) }
        try append(to: event.store, synchronizing: synchronizing || !event.operation.onlyReads) { entries }
    }

    /// Writes entries, as `append` of an event does.
    ///
    /// - Parameters:
    ///   - identity: the store whose log it is.
    ///   - synchronizing: whether they must be on the disk before this returns.
    ///   - make: makes them, once, where anybody takes them.
    /// - Throws: why they could not be written; they are counted.
    func append(to identity: StoreID?, synchronizing: Bool, _ make: () -> [AuditEntry]) throws {
        lazy var entries = make()
        // Whether they can be written or not, and after that.
        defer { if let forwarder = context.forwarder { for entry in entries { forwarder.forward(entry) } } }
        do {
            guard !isClosed else { throw AuditError.unrepaired }
            guard let store = try context.options?.open(context),
                let log = try Self.log(of: store, identity, context)
            else { throw AuditError.noLog }
            for entry in entries {
                let appended = try log.append(entry, synchronizing: synchronizing, repairing: repairsLog)
                if appended.isLogShorter { say("the audit log is shorter than it was: see credfs audit verify") }
            }
        } catch {
            unrecordedCount += 1
            throw error
        }
    }

    /// Shows an event to those who pass `--verbose`: in words on a terminal, else as the lines of its entries.
    private func show(_ event: OperationEvent, _ entries: [AuditEntry]) {
        guard isatty(Console.standardError) == 1 else {
            for entry in entries { context.console.detail("event: \(entry.json)") }
            return
        }
        let names = event.subjects.secrets.isEmpty ? "" : " " + Names.abbreviated(event.subjects.secrets.map(\.text))
        let reason = event.reason.map { ", \($0)" } ?? ""
        context.console.detail("recorded: \(event.operation.rawValue)\(names): \(event.status.rawValue)\(reason)")
    }

    /// Begins the log unless there is one; for whoever has just got the keys.
    func begin(_ store: Store, _ keys: StoreKeys) {
        guard beginsLog else { return }
        do {
            let log = try Self.log(in: try store.state(for: keys.store), context)
            guard try !log.exists() else { return }
            try log.begin(sealedWith: try keys.auditKey(), store: keys.store.text)
        } catch let error as AuditError {
            report(error)
        } catch {
            detail("no audit log can be begun: \(CommandError(anyError: error).message)")
        }
    }

    /// Reseals the log for new keys beside the old ones: the step of `rotate` before the new manifest is written.
    ///
    /// - Throws: `CommandError`; then nothing was changed, and the manifest should not be either.
    func reseal(_ store: Store, from old: StoreKeys, to new: StoreKeys) throws {
        try Self.withLog(of: store, new.store, context) { log in
            try log.reseal(from: try old.auditKey(), to: try new.auditKey(), store: new.store.text)
        }
    }

    /// Shuts the old keys out: the step of `rotate` after the new manifest was written.
    ///
    /// - Throws: `CommandError`; then the old keys still open the log, too.
    func finishResealing(_ store: Store, with new: StoreKeys) throws {
        try Self.withLog(of: store, new.store, context) { log in
            try log.finishResealing(with: try new.auditKey(), store: new.store.text)
        }
    }

    /// The log of a store, or nil where there is no directory for one.
    ///
    /// The directory is not checked: a refusal because of its mode is worth an entry, too. The log checks its own files.
    static func log(of store: Store, _ identity: StoreID?, _ context: CommandContext) throws -> sending AuditLog? {
        guard let state = try store.existingState(for: identity) else { return nil }
        return try log(in: state, context)
    }

    private static func log(in state: StoreDirectory, _ context: CommandContext) throws -> sending AuditLog {
        AuditLog(
            AuditDirectory(
                try state.reopened(),
                path: state.path,
                user: context.user,
                isStrict: context.checker.isStrict
            )
        )
    }

    private static func withLog(
        of store: Store,
        _ identity: StoreID,
        _ context: CommandContext,
        _ body: (AuditLog) throws -> Bool
    ) throws {
        do {
            guard let log = try log(of: store, identity, context) else { return }
            _ = try body(log)
        } catch let error as AuditError { throw CommandError(error) }
    }

    /// The entry of an event, or several where it has more secrets than fit in one.
    private func entries(of event: OperationEvent) -> [AuditEntry] {
        var entry = AuditEntry(
            timestamp: AuditTime.now(),
            operation: event.operation.rawValue,
            status: event.status.rawValue
        )
        entry.service = event.service
        entry.reason = event.reason
        entry.uid = Int64(context.user)
        entry.user = user
        entry.identify(process)
        entry.mount = event.subjects.mount
        entry.store = event.store?.text
        entry.slots = event.subjects.slots
        entry.authMode = event.subjects.authMode
        entry.authReason = event.subjects.authReason
        entry.exitStatus = event.subjects.exitStatus.map(Int64.init)
        entry.labels = event.subjects.labels
        return entry.naming(event.subjects.secrets.map(\.text))
    }

    /// Reports that something was not recorded.
    func report(_ error: any Error) {
        guard let error = error as? AuditError else {
            return detail("not recorded in the audit log: \(CommandError(anyError: error).message)")
        }
        if error == .noLog {
            detail("not recorded: there is no audit log yet, and no key to begin one")
        } else if error.isReadOnly || error == .unrepaired {
            detail("not recorded: \(error.message)")
        } else {
            say("not recorded in the audit log: \(error.message)")
        }
    }

    private func say(_ message: String) {
        if said.insert(message).inserted { context.console.warning(message) }
    }

    private func detail(_ message: String) {
        if said.insert(message).inserted { context.console.detail(message) }
    }
}

extension OperationEvent.Operation {
    /// An entry may be lost with the power of the machine, which makes it cost microseconds.
    ///
    /// Permissions are followed by the entry of the command, and synchronized with it.
    fileprivate var onlyReads: Bool {
        switch self {
        case .permissions, .get, .show, .export, .list, .verify, .auditShow, .auditVerify, .auditHead, .auditReport:
            true
        case .run, .job, .mount, .unmount, .reload, .lock, .environment, .serveCredentials, .status, .doctor: true
        default: false
        }
    }
}

extension CommandError {
    init(_ error: AuditError) {
        switch error {
        case .noLog:
            self.init(.failed, error.message, hint: "it is begun by the next command that opens the store with its key")
        case .file(let error): self.init(StoreError(error))
        case .damaged: self.init(.authentication, error.message)
        case .busy, .overdue, .unwatched, .unrepaired, .sealing: self.init(.failed, error.message)
        }
    }
}
