// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import Jobs
internal import SecretStore
internal import SystemCalls

/// The variables of a job.
struct JobVariableOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Put the value of a secret into the environment, where many can read it (repeatable, or with commas).",
            valueName: "name[=var]"
        ),
        completion: SecretNameCompletion.list
    )
    var env: [String] = []

    @OptionGroup var file: FileVariableOptions

    @Flag(help: "Remove inherited variables that are named like a secret.")
    var unsetPlain = false

    @Flag(help: "Start with an empty environment.")
    var pristine = false
}

/// Options for the program of a job and for how long its secrets stay.
struct JobOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Keep the secrets for processes that outlive the program, at most so long.",
            valueName: "time"
        )
    )
    var linger: DurationArgument?

    @Flag(help: "Let the program see the store and the key files.")
    var keepStore = false

    @Flag(help: "Allow core files of the program.")
    var allowCore = false

    @Option(
        help: ArgumentHelp(
            "Run the program as another user, with its groups and HOME (root only); the secrets are for that user alone.",
            valueName: "user[:group]"
        )
    )
    var user: String?

    @OptionGroup var labels: LabelOptions

    func validate() throws {
        if let user, UserArgument(user) == nil {
            throw ValidationError("--user takes a user, or a user and a group with a colon between.")
        }
    }

    /// The user that the program runs as; nil for the one of credfs.
    ///
    /// - Throws: status 64 where that cannot be, or the machine has no such user or group.
    func account(_ context: CommandContext) throws -> JobUser? {
        guard let user, let argument = UserArgument(user) else { return nil }
        guard context.user == 0 else {
            throw CommandError(
                .usage,
                "only root can run a program as another user",
                hint: "run credfs as root, with sudo for example"
            )
        }
        return JobUser(try argument.login("--user"))
    }
}

/// Options for the mount of a job.
struct JobMountOptions: ParsableArguments {
    @Flag(help: "Mount where other processes can see it, such as a container engine.")
    var shared = false

    @Option(
        help: ArgumentHelp("What shows the secrets: fuse, or the weaker ramfs, tmpfs and shm.", valueName: "backend"),
        completion: .list(["fuse", "ramfs", "tmpfs", "shm"])
    )
    var backend: String?

    func validate() throws {
        if let backend, [nil, Backend.none].contains(Backend(rawValue: backend)) {
            throw ValidationError("--backend takes fuse, ramfs, tmpfs or shm.")
        }
    }
}

extension JobVariableOptions: ScannedOptions {
    mutating func scan(_ scanner: inout OptionScanner) throws {
        env = try scanner.values("env")
        file = try scanner.group()
        unsetPlain = scanner.flag("unset-plain")
        pristine = scanner.flag("pristine")
    }
}

extension JobOptions: ScannedOptions {
    mutating func scan(_ scanner: inout OptionScanner) throws {
        linger = try scanner.value("linger")
        user = try scanner.value("user")
        keepStore = scanner.flag("keep-store")
        allowCore = scanner.flag("allow-core")
        labels = try scanner.group()
        try validate()
    }
}

extension JobMountOptions: ScannedOptions {
    mutating func scan(_ scanner: inout OptionScanner) throws {
        shared = scanner.flag("shared")
        backend = try scanner.value("backend")
        try validate()
    }
}
