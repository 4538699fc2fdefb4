// SPDX-License-Identifier: Apache-2.0

internal import AuditLog
internal import Jobs
internal import ProcessControl
internal import SecretStore
internal import SecureFiles
internal import SecureMemory
internal import SystemCalls

/// Everything a command gets from outside itself.
final class CommandContext {
    /// Secret variables, taken out of the environment block at start.
    let secrets: SecretVariables
    /// The value of a variable.
    let environment: (String) -> String?
    /// The present time.
    let now: () -> Timestamp
    /// The effective user.
    let user: UInt32
    /// Checker of files: one for the whole command, which reports what it let pass.
    private(set) lazy var checker = PermissionChecker(isStrict: Self.isStrict(environment), user: user)
    /// The arguments of the process, byte by byte.
    let arguments: [[UInt8]]
    /// Signals and limits that the process was started with and gave up.
    let inherited: ProcessHardening.Inherited
    /// The exit status of a command that did not fail: that of a job.
    var exitStatus = ExitStatus.done.code
    /// Exit status that says that all went as it was asked to.
    var successStatus = ExitStatus.done.code
    /// Note on the outcome to be recorded beside the status.
    var outcome: String?
    /// Console for messages.
    var console = Console()
    /// The store at hand, once it is known; for the audit log.
    var store: StoreID?
    /// Subjects of the command, filled in as they become known; for the audit log.
    var subjects = OperationEvent.Subjects()
    /// Number of secrets that a run or mount shows.
    var servedCount = 0
    /// Time when the command began.
    let started = ContinuousClock.now
    /// Time when the store was accepted or rejected.
    var decided: ContinuousClock.Instant?
    /// The options that say where the store is.
    var options: StoreOptions?
    /// The directory that relative paths are meant in, where this process has left it.
    var directoryAtStart: String?
    /// What was recorded before it was done.
    var disclosure: OperationEvent?
    /// The file of age identities that an option named.
    var identityFile: String?
    /// Settings of this machine or user.
    var configuration = Configuration()
    /// The file that they are from; nil where there is none.
    var configurationPath: String?
    /// Takes copies of entries of the audit log; nil where nobody asked for them.
    private(set) lazy var forwarder = makeForwarder()
    /// The audit log of the store at hand.
    private(set) lazy var audit = AuditTrail(self)
    /// Takes the events of operations.
    var recorder: any OperationRecorder { audit }

    init(
        secrets: SecretVariables,
        arguments: [[UInt8]],
        inherited: ProcessHardening.Inherited,
        environment: @escaping (String) -> String? = EnvironmentVariables.value,
        now: @escaping () -> Timestamp = Timestamp.now,
        user: UInt32 = ProcessAttributes.effectiveUser
    ) {
        self.secrets = secrets
        self.arguments = arguments
        self.inherited = inherited
        self.environment = environment
        self.now = now
        self.user = user
    }

    private func makeForwarder() -> AuditForwarder? {
        let destination: AuditForwarder.Destination
        switch configuration.forwarding {
        case .none: return nil
        case .journald: destination = .journal
        case .syslog: destination = .syslog
        case .stderr: destination = .standardError
        }
        return AuditForwarder(to: destination) { [console] in console.warningWithoutWaiting($0) }
    }

    /// Tells that another command holds the lock.
    func noteWaiting() {
        console.detail("waiting for another command")
    }

    /// Records a password that was wrong or came during a lockout.
    func recordDenial(_ error: StoreError, _ store: StoreID) {
        guard error.code == .incorrectPassword || error.code == .lockedOut else { return }
        recorder.record(OperationEvent(.unlock, status: .denied, reason: error.message, store: store))
        guard error.beginsLockout else { return }
        console.warning("alert: a lockout begins: passwords are guessed, or one is forgotten")
        recorder.record(OperationEvent(.alert, status: .denied, reason: "a lockout begins", store: store))
    }

    /// Records an event of a mount or job as its opens are recorded, where they are.
    ///
    /// - Throws: class `failed` where that must be recorded and cannot be.
    func record(_ event: OperationEvent, by recorder: OpenRecorder?) throws(MountError) {
        if let recorder { try recorder.record(event) } else { self.recorder.record(event) }
    }

    /// The path by which a file is found that was named at the start of this process.
    func located(_ path: String) -> String {
        guard let directoryAtStart, !path.hasPrefix("/") else { return path }
        return "\(directoryAtStart)/\(path)"
    }

    /// The value of a `CREDFS_` variable, or of its older `CLAMP_` name.
    func variable(_ name: String) -> String? { Self.variable(name, environment) }

    private static func variable(_ name: String, _ environment: (String) -> String?) -> String? {
        environment("CREDFS_" + name) ?? environment("CLAMP_" + name)
    }

    /// Words that switch a variable on.
    static let yes = ["1", "true", "yes"]
    /// Words that switch a variable off.
    static let no = ["0", "false", "no"]

    /// Decides by the variables whether modes, owners and link counts of files count.
    static func isStrict(_ environment: (String) -> String?) -> Bool {
        !no.contains(variable("PERMISSIONS_STRICT", environment)?.lowercased() ?? "")
    }

    /// The name of the variable that switches secrets off, if one does.
    var ignoringVariable: String? {
        for name in ["CREDFS_IGNORE_SECRETS", "CLAMP_IGNORE_SECRETS"] {
            guard let value = environment(name) else { continue }
            return Self.yes.contains(value.lowercased()) ? name : nil
        }
        return nil
    }
}

extension CommandContext: KeySources {
    func path(_ name: String) -> String? {
        environment(name).flatMap { $0.isEmpty ? nil : $0 }
    }

    func hasSecret(_ name: String) -> Bool { secrets.has(name) }

    func takeSecret(_ name: String) throws -> SecureBuffer {
        guard let text = secrets.take(name) else {
            throw CommandError(.failed, "the variable \(name) was used already")
        }
        return text
    }

    var asksForPassword: Bool { !PasswordOptions.isGivenByVariable(self) }

    func password(for store: StoreLocation) throws -> SecureBuffer {
        try PasswordOptions.givenByVariableOrAsked(self, store)
    }
}

/// Keys and passwords that came in variables: copied to secure memory and overwritten where the kernel shows them.
final class SecretVariables {
    private static let names = ["CREDFS_KEY", "CREDFS_PASSWORD", "CREDFS_AGE_KEY", "SOPS_AGE_KEY"]

    private var values: [String: NewValue] = [:]

    /// Takes the variables; the first thing a credfs process does with its environment.
    init() throws(SecureMemoryError) {
        for name in Self.names { values[name] = try Self.take(name) }
    }

    /// Detects a variable that was given, and not handed out yet.
    func has(_ name: String) -> Bool { values[name] != nil }

    /// Hands out the value of a variable, once.
    func take(_ name: String) -> SecureBuffer? { try? values.removeValue(forKey: name)?.take() }

    /// Overwrites the variables without keeping anything of them.
    static func forget() {
        for name in names { EnvironmentVariables.take(name) { _ in } }
    }

    /// The environment of a command that runs for the user: everything but what could open a store.
    static func environmentForChildren() -> [String] {
        let prefixes = ["CREDFS_KEY", "CREDFS_PASSWORD", "CREDFS_AGE_KEY", "SOPS_AGE_KEY"]
        return EnvironmentVariables.entries { name in prefixes.contains { name.hasPrefix($0) } }
    }

    private static func take(_ name: String) throws(SecureMemoryError) -> NewValue? {
        try EnvironmentVariables.take(name) { (value) throws(SecureMemoryError) in
            var copy = try SecureBuffer(count: value.count)
            copy.withMutableBytes { target in
                for index in value.indices { target[index] = value[index] }
            }
            return NewValue(copy)
        }
    }
}
