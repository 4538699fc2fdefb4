// SPDX-License-Identifier: Apache-2.0

package import ArgumentParser
internal import Jobs
internal import SecretStore
internal import SecureFiles
internal import SystemCalls
internal import SystemPackage

/// The root command.
package struct Credfs: ParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "credfs",
        abstract: "Keeps secrets sealed at rest and shows them to jobs as files.",
        discussion: """
            EXAMPLES:
              credfs init               # make a store; asks what it needs to know
              credfs set API_TOKEN      # asks for the value, or reads it from a pipe
              credfs run -- sh -c 'cat "$API_TOKEN_FILE"'

            'credfs verify' checks a store in CI, 'credfs doctor' explains the host. The store is $CREDFS_STORE, else \
            credfs in $XDG_CONFIG_HOME or ~/.config. Its manifest has readable names and sealed values and is safe to \
            commit; its key file is not.
            """,
        version: "credfs 0.1.0",
        groupedSubcommands: [
            CommandGroup(
                name: "Make and change",
                subcommands: [
                    InitCommand.self, SetCommand.self, EditCommand.self, ImportCommand.self, EncryptCommand.self,
                    DeleteCommand.self,
                ]
            ),
            CommandGroup(
                name: "Use",
                subcommands: [
                    RunCommand.self, MountCommand.self, UnmountCommand.self, EnvCommand.self, ReloadCommand.self,
                    RefreshCommand.self, LockCommand.self, UnlockCommand.self, WaitCommand.self, ShowCommand.self,
                    ExportCommand.self, ServeCredentialsCommand.self,
                ]
            ),
            CommandGroup(
                name: "Look and check",
                subcommands: [
                    ListCommand.self, GetCommand.self, VerifyCommand.self, StatusCommand.self, ExplainCommand.self,
                    HealthCommand.self, DoctorCommand.self,
                ]
            ),
            CommandGroup(
                name: "Keys, policies and log",
                subcommands: [
                    KeysCommand.self, PasswordCommand.self, RotateCommand.self, PolicyCommand.self, AuditCommand.self,
                ]
            ),
        ]
    )

    package init() {}
}

/// A command that gets everything from its context.
protocol CredfsCommand: ParsableCommand {
    /// The options of the store it works on.
    var options: StoreOptions { get }
    /// Operation for the audit log.
    static var operation: OperationEvent.Operation { get }
    /// It starts processes of credfs or looks at mounts, which takes /proc.
    static var needsProc: Bool { get }
    /// These arguments are about no store.
    var hasNoStore: Bool { get }
    /// Operation of these arguments, for the audit log.
    var operation: OperationEvent.Operation { get }
    /// The secret it is about.
    var subject: String? { get }

    /// Does it.
    func run(_ context: CommandContext) throws

    /// Converts an error of it.
    func failure(of error: any Error) -> CommandError
}

extension CredfsCommand {
    static var needsProc: Bool { false }
    var hasNoStore: Bool { false }
    var operation: OperationEvent.Operation { Self.operation }

    var subject: String? { nil }

    func failure(of error: any Error) -> CommandError { advised(error) }

    /// Does it and records how it ended.
    func perform(_ context: CommandContext) throws {
        try refuseUnreadableVariables()
        try refuseUnknownWords(context)
        context.options = hasNoStore ? nil : options
        if options.quiet { context.console.verbosity = .quiet }
        if options.verbose { context.console.verbosity = .verbose }
        do {
            try configure(context)
            if Self.needsProc { try ProcFileSystem.require() }
            if Self.operation.serves { ProcFileSystem.warnOfOtherNamespace(context.console) }
            try run(context)
            reportPermissions(context)
            let isFailure = context.exitStatus != context.successStatus
            record(isFailure ? .failed : .success, context.outcome, context)
        } catch {
            reportPermissions(context)
            let cause = CommandError(anyError: error)
            let denials = [
                ExitStatus.permissions, .authentication, .incorrectPassword, .lockedOut, .refused,
            ]
            let isDenied = denials.contains(cause.status)
            record(isDenied ? .denied : .failed, cause.message, context)
            throw failure(of: error)
        }
    }

    /// The secret that an argument names.
    func reference(_ argument: String) throws -> SecretReference {
        guard let reference = SecretReference(argument) else {
            throw CommandError(.usage, "bad name of a secret", hint: SecretReference.rule)
        }
        return reference
    }

    /// Reads the configuration; `doctor` makes a finding of one that cannot be used, and whoever wants secrets to be shown
    /// no longer must not be kept from that.
    private func configure(_ context: CommandContext) throws {
        do throws(StoreError) {
            let found = try options.configuration(context)
            context.configuration = found.configuration
            context.configurationPath = found.path
        } catch {
            switch operation {
            case .doctor: break
            case .lock, .unmount: context.console.warning("the configuration is not used: \(error.message)")
            default: throw error
            }
        }
        // A process that serves connects to nothing later.
        _ = context.forwarder
    }

    /// A place that cannot be read must not be taken for one that was not named.
    private func refuseUnreadableVariables() throws {
        let names = [
            "STORE", "MANIFEST", "STATE", "CONFIG", "KEY_FILE", "PASSWORD_FILE", "PASSWORD_CMD", "AGE_KEY_FILE",
        ]
        .map { "CREDFS_\($0)" }
        for name in names + ["SOPS_AGE_KEY_FILE", "HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"]
        where EnvironmentVariables.secureValue(name) == .notUTF8 {
            throw CommandError(.usage, "the variable \(name) is not UTF-8", hint: "set it to another path, or unset it")
        }
    }

    /// A word that says neither must not be taken for one that says no.
    private func refuseUnknownWords(_ context: CommandContext) throws {
        for word in ["IGNORE_SECRETS", "PERMISSIONS_STRICT"] {
            // The older name counts only where the newer one is not set.
            let names = ["CREDFS_\(word)", "CLAMP_\(word)"]
            guard let name = names.first(where: { context.environment($0) != nil }) else { continue }
            let value = context.environment(name)?.lowercased() ?? ""
            guard value.isEmpty || (CommandContext.yes + CommandContext.no).contains(value) else {
                throw CommandError(.usage, "\(name) takes 1, true, yes, 0, false or no")
            }
        }
        // Whoever wants everything recorded would not have it with another word.
        _ = try OpenRecorder.settings([], context)
        guard ["", "fail", "unauthenticated"].contains(context.variable("ON_REJECT") ?? "") else {
            throw CommandError(.usage, "CREDFS_ON_REJECT takes fail or unauthenticated")
        }
    }

    /// Reports and records what was accepted as it was delivered, and what only the reduced mode accepted.
    private func reportPermissions(_ context: CommandContext) {
        for delivery in context.checker.deliveries {
            context.console.detail(delivery)
            context.recorder.record(
                OperationEvent(.permissions, status: .success, reason: delivery, store: context.store)
            )
        }
        for warning in context.checker.warnings {
            context.console.warning(warning)
            context.recorder.record(
                OperationEvent(.permissions, status: .success, reason: warning, store: context.store)
            )
        }
    }

    /// What is to be recorded of this command, as far as it came.
    func event(
        _ status: OperationEvent.Status,
        _ reason: String?,
        _ context: CommandContext
    ) -> OperationEvent {
        var subjects = context.subjects
        var reference = subject.flatMap(SecretReference.init)
        if status != .success, reference?.mayHoldValue == true { reference = nil }
        // What may be a value is not kept.
        if status != .success { subjects.secrets.removeAll { SecretReference($0.text)?.mayHoldValue == true } }
        if let reference, subjects.secrets.isEmpty { subjects.secrets = [reference.name] }
        return OperationEvent(
            operation,
            subjects,
            service: reference?.service,
            status: status,
            reason: reason,
            store: context.store
        )
    }

    private func record(_ status: OperationEvent.Status, _ reason: String?, _ context: CommandContext) {
        if operation.serves, context.subjects.authMode == nil {
            // It ended before anybody asked the store.
            context.subjects.authMode = AuthMode.unauthenticated(reason: "").text
        }
        let event = event(status, reason, context)
        if event != context.disclosure { context.recorder.record(event) }
        Telemetry.write(operation, status, context)
    }
}

/// The file system /proc (proc(5)), which a plain chroot lacks.
enum ProcFileSystem {
    /// Checks that it is mounted and shows this process.
    ///
    /// - Throws: status 1 with what to do.
    static func require() throws {
        do throws(Errno) {
            _ = try OwnedDescriptor.openPath("/proc/self/exe")
            return
        } catch {
            if let hint = error.fileLimitHint {
                throw CommandError(.failed, "cannot open /proc/self/exe: \(error.message)", hint: hint)
            }
        }
        throw CommandError(
            .failed,
            "/proc is not mounted, which this command needs",
            hint: "mount it first: mount -t proc proc /proc"
        )
    }
}

extension ProcFileSystem {
    /// Warns where /proc shows the processes of another pid namespace than that of this one: who reads cannot be told then.
    static func warnOfOtherNamespace(_ console: Console) {
        guard ProcessAttributes.processIDInProc != ProcessAttributes.processID else { return }
        console.warning(
            "/proc shows another pid namespace: who reads is not known, reads are refused where a rule asks, and the log "
                + "names wrong processes; mount its own: mount -t proc proc /proc"
        )
    }
}

extension CommandError {
    /// Converts any error of a command.
    init(anyError error: any Error) {
        self =
            switch error {
            case let error as CommandError: error
            case let error as StoreError: CommandError(error)
            case let error as MountError: CommandError(error)
            // Other errors could describe what they choked on; their kind is all that may be said.
            default: CommandError(.failed, "unexpected failure (\(type(of: error)))")
            }
    }
}
