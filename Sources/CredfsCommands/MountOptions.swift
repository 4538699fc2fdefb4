// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import Glibc
internal import Jobs
internal import SecretFileSystem
internal import SecretSources
internal import SecretStore
internal import SecureFiles
internal import SystemCalls
internal import SystemPackage

/// Options for owner, callers, policy and audit of a mount.
struct MountOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Give the files to another user (root only), and those of mode 0440 to members of a group.",
            valueName: "user[:group]"
        )
    )
    var owner: String?

    @Flag(help: "Allow access by other users; the rules still apply (allow_other).")
    var allowOther = false

    @Option(
        help: ArgumentHelp(
            "Processes that may open secrets: those of the job, of the owner, or any.",
            valueName: "who"
        ),
        completion: .list(["job", "owner", "any"])
    )
    var callers: String?

    @Option(
        help: ArgumentHelp(
            "How opens are recorded: default, sync (on the disk before the answer), required (else refused), or both with a comma (CREDFS_AUDIT).",
            valueName: "how"
        ),
        completion: .list(["default", "sync", "required"])
    )
    var audit: [String] = []

    @Option(
        help: ArgumentHelp(
            "What policies of secrets do: enforce, or observe, which refuses nobody and records who would be.",
            valueName: "mode"
        ),
        completion: .list(["enforce", "observe"])
    )
    var policy: String?

    @Option(
        help: ArgumentHelp("End the mount by itself after a time, in which the machine may sleep.", valueName: "time")
    )
    var ttl: DurationArgument?

    @Option(
        help: ArgumentHelp("End the mount by itself at a time (RFC 3339: 2030-01-31T12:00:00Z).", valueName: "time")
    )
    var notAfter: String?

    @Flag(help: "Show what the manifest and directories of sources hold whenever they change.")
    var watch = false

    @Option(
        help: ArgumentHelp(
            "Run a command with /bin/sh when readers see another generation, or send the job a signal such as HUP.",
            valueName: "command|signal"
        )
    )
    var onChange: String?

    /// Signals that can be named, without SIG.
    private static let signals = [
        "HUP": SIGHUP, "INT": SIGINT, "QUIT": SIGQUIT, "TERM": SIGTERM, "USR1": SIGUSR1, "USR2": SIGUSR2,
        "WINCH": SIGWINCH,
    ]

    /// Reaction to another generation.
    var changeAction: ChangeHook.Action? {
        onChange.map { text in Self.signals[Self.signalName(text)].map { .signal($0) } ?? .command(text) }
    }

    /// A name of a signal as `signals` has it; of any other text something that is none.
    private static func signalName(_ text: String) -> String {
        text.hasPrefix("SIG") ? String(text.dropFirst(3)) : text
    }

    /// Refuses what is neither a signal that can be sent nor meant as a command.
    private func checkOnChange() throws {
        guard let onChange else { return }
        guard onChange.contains(where: { !$0.isWhitespace }) else {
            throw ValidationError("--on-change takes a command or a signal.")
        }
        let known = Self.signals.keys.sorted().joined(separator: ", ")
        let upper = onChange.uppercased()
        let isKnown = Self.signals[Self.signalName(onChange)] != nil
        guard isKnown || !(Self.signals[Self.signalName(upper)] != nil || Self.isSignalWord(upper)) else {
            throw ValidationError("--on-change takes a command or one of the signals \(known).")
        }
    }

    /// Detects what looks like a signal: a number, a word after SIG, or the name of one that is not sent.
    private static func isSignalWord(_ text: String) -> Bool {
        UInt8(text) != nil || ["KILL", "STOP", "CONT", "ALRM", "PIPE", "CHLD", "TSTP", "ABRT"].contains(text)
            || text.hasPrefix("SIG") && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber) }
    }

    /// The options of the mount while it lives; before its manifest is read.
    func live(
        _ options: StoreOptions,
        hasStore: Bool,
        _ sources: SourceOverlay,
        _ context: CommandContext
    ) throws -> LiveOptions {
        let now = context.now()
        var live = LiveOptions()
        if watch {
            if hasStore { live.watched = [try Self.manifest(options, context)] }
            live.watched += sources.directories.map { WatchedPlace(directory: $0) }
        }
        live.onChange = changeAction
        live.hookEnvironment = SecretVariables.environmentForChildren()
        live.timeToLive = ttl?.duration
        live.notAfter = notAfter.flatMap { Timestamp($0) }
        if let time = live.notAfter, time <= now {
            throw CommandError(.usage, "the time in --not-after is over", hint: "name one after \(now.text)")
        }
        return live
    }

    func validate() throws {
        try checkOnChange()
        if let ttl, ttl.duration <= .zero { throw ValidationError("--ttl takes a time longer than none.") }
        if let notAfter, Timestamp(notAfter) == nil {
            throw ValidationError("--not-after takes a time such as 2030-01-31T12:00:00Z.")
        }
        if let policy, !["enforce", "observe"].contains(policy) {
            throw ValidationError("--policy takes enforce or observe.")
        }
        if !audit.allSatisfy({ OpenRecorder.settings($0) != nil }) {
            throw ValidationError("--audit takes default, sync or required.")
        }
        if let callers, ReadPolicy.Callers(rawValue: callers) == nil {
            throw ValidationError("--callers takes job, owner or any.")
        }
        if let owner, UserArgument(owner) == nil {
            throw ValidationError("--owner takes a user, or a user and a group with a colon between.")
        }
    }

    /// The rules of the mount.
    func rules(_ context: CommandContext, group: UInt32) throws -> MountRules {
        var rules = MountRules(ownership: Ownership(user: context.user, group: group))
        if let owner, let argument = UserArgument(owner) {
            let (user, group, namesGroup) = try argument.owner(usualGroup: group, "--owner")
            let ownership = Ownership(user: user, group: group, admitsGroup: namesGroup)
            guard context.user == 0 || ownership.user == context.user else {
                throw CommandError(.usage, "only root can give secrets to another user")
            }
            rules.ownership = ownership
            // An ordinary user's group has to be let in by --allow-other, which a host may forbid.
            rules.allowsOther = ownership.user != context.user || (context.user == 0 && ownership.admitsGroup)
        }
        rules.allowsOther = rules.allowsOther || allowOther
        rules.callers = callers.flatMap(ReadPolicy.Callers.init)
        rules.observes = policy == "observe"
        return rules
    }

    /// Warns where the user that the files are given to cannot get to them.
    func warn(ofWayTo path: String, _ rules: MountRules, _ context: CommandContext) {
        guard rules.ownership.user != context.user, let closed = rules.closedDirectory(above: path) else { return }
        context.console.warning(
            "uid \(rules.ownership.user) cannot reach its secrets: it may not search \(Console.visible(closed)); "
                + "unset XDG_RUNTIME_DIR, or mount at a directory that it can reach"
        )
    }

    private static func manifest(_ options: StoreOptions, _ context: CommandContext) throws -> WatchedPlace {
        let location = try options.location(context)
        let path = location.manifest ?? "\(location.directory)/\(StoreLocation.manifestName)"
        return WatchedPlace(file: try AbsolutePath.of(path))
    }
}

/// A length of time in an argument: an integer and ms, s, m, h, d or w.
struct DurationArgument: ExpressibleByArgument {
    let duration: Duration

    init?(argument: String) {
        guard let milliseconds = RotationRule.milliseconds(argument) else { return nil }
        duration = .milliseconds(milliseconds)
    }
}

extension MountOptions: ScannedOptions {
    mutating func scan(_ scanner: inout OptionScanner) throws {
        owner = try scanner.value("owner")
        allowOther = scanner.flag("allow-other")
        callers = try scanner.value("callers")
        audit = try scanner.values("audit")
        policy = try scanner.value("policy")
        ttl = try scanner.value("ttl")
        notAfter = try scanner.value("not-after")
        watch = scanner.flag("watch")
        onChange = try scanner.value("on-change")
        try validate()
    }
}
