// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import Glibc
internal import Sealing
internal import SecretFileSystem
internal import SecretStore
internal import SystemCalls
internal import SystemPackage

/// Keys of the policy of a secret, as `set` and `policy set` take them.
///
/// A list that is given takes the place of the old one.
struct PolicyOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("Let this executable read (repeatable, or with commas).", valueName: "path"),
        completion: .file()
    )
    var allowExe: [String] = []

    @Option(
        help: ArgumentHelp(
            "The same by the SHA-256 of its content, which holds in containers, too.",
            valueName: "path"
        ),
        completion: .file()
    )
    var allowExeSha256: [String] = []

    @Option(help: ArgumentHelp("Let this user read, by name or number (repeatable).", valueName: "user"))
    var allowUid: [String] = []

    @Option(
        help: ArgumentHelp("Let this systemd unit or container read (repeatable).", valueName: "unit")
    )
    var allowUnit: [String] = []

    @Option(
        help: ArgumentHelp("Let only the job's processes, or the owner's, or any.", valueName: "who"),
        completion: .list(ReadPolicy.Callers.allCases.map(\.rawValue))
    )
    var allowCallers: String?

    @Option(help: ArgumentHelp("Grant so many opens for each mount and value.", valueName: "count"))
    var maxReads: UInt64?

    @Option(help: ArgumentHelp("Refuse before a time.", valueName: "time"))
    var notBefore: String?

    @Option(help: ArgumentHelp("Refuse from a time on.", valueName: "time"))
    var notAfter: String?

    @Flag(inversion: .prefixedNo, help: "Tell callers who are refused that there is no such secret.")
    var hidden: Bool?

    @Flag(inversion: .prefixedNo, help: "Let callers who are refused read credfs-placeholder:NAME.")
    var placeholder: Bool?

    @Flag(inversion: .prefixedNo, help: "Raise an alert at every open.")
    var decoy: Bool?

    @Flag(help: "Remove the policy before anything else is set.")
    var noPolicy = false

    /// Nothing is asked for.
    var isEmpty: Bool {
        allowExe.isEmpty && allowExeSha256.isEmpty && allowUid.isEmpty && allowUnit.isEmpty && allowCallers == nil
            && maxReads == nil && notBefore == nil && notAfter == nil && hidden == nil && placeholder == nil
            && decoy == nil && !noPolicy
    }

    /// A change of a policy, made before anything is locked.
    ///
    /// - Parameter warn: is told of executables that nobody can read by now.
    /// - Returns: the change.
    /// - Throws: class `usage` for what no policy can have.
    func change(warn: (String) -> Void) throws -> (inout ReadPolicy?) -> Void {
        let executables = try executables()
        let uids = try ArgumentList.items(allowUid).map(Self.uid)
        let units = try ArgumentList.items(allowUnit)
        guard units.allSatisfy(ReadPolicy.isUnit) else {
            throw CommandError(.usage, "--allow-unit takes the name of a unit or container", hint: ReadPolicy.unitRule)
        }
        let callers = try allowCallers.map { text in
            guard let callers = ReadPolicy.Callers(rawValue: text) else {
                throw CommandError(.usage, "--allow-callers takes job, owner or any")
            }
            return callers
        }
        guard maxReads != 0 else { throw CommandError(.usage, "--max-reads must be at least 1") }
        let (start, end) = (try Self.time(notBefore, "--not-before"), try Self.time(notAfter, "--not-after"))
        if hidden == true, placeholder == true {
            throw CommandError(.usage, "--hidden and --placeholder exclude each other")
        }
        for executable in executables where executable.sha256 == nil {
            if let warning = Self.warning(ofExecutable: executable.path) { warn(warning) }
        }
        return { policy in
            if noPolicy { policy = nil }
            var rules = policy ?? ReadPolicy()
            if !executables.isEmpty { rules.executables = executables }
            if !uids.isEmpty { rules.uids = uids }
            if !units.isEmpty { rules.units = units }
            rules.callers = callers ?? rules.callers
            rules.maxReads = maxReads ?? rules.maxReads
            rules.notBefore = start ?? rules.notBefore
            rules.notAfter = end ?? rules.notAfter
            rules.hidden = hidden ?? (rules.hidden && placeholder != true)
            rules.placeholder = placeholder ?? (rules.placeholder && hidden != true)
            rules.decoy = decoy ?? rules.decoy
            policy = rules == ReadPolicy() ? nil : rules
        }
    }

    private func executables() throws -> [ReadPolicy.Executable] {
        let plain = try Self.paths(allowExe).map { path in
            try Self.checkPath(path, "--allow-exe")
            return ReadPolicy.Executable(path: path)
        }
        let pinned = try Self.paths(allowExeSha256).map { path in
            try Self.checkPath(path, "--allow-exe-sha256")
            return ReadPolicy.Executable(path: path, sha256: try Self.digest(path))
        }
        return plain + pinned
    }

    private static func checkPath(_ path: String, _ option: String) throws {
        guard path.hasPrefix("/") else {
            throw CommandError(.usage, "\(option) takes an absolute path", hint: "find it with: command -v PROGRAM")
        }
        guard ReadPolicy.isPath(path) else {
            throw CommandError(
                .usage,
                "\(option) takes a path without line breaks, control characters and what reorders text",
                hint: "give the program another name"
            )
        }
    }

    private static func digest(_ path: String) throws -> String {
        do {
            return Base16.text(try ExecutableDigest.ofFile(path))
        } catch {
            let message = (error as? Errno)?.message ?? "unexpected failure"
            throw CommandError(.usage, "cannot read \(quoted(path)): \(message)")
        }
    }

    static func uid(_ text: String) throws -> UInt32 {
        if let number = UInt32(text), String(number) == text, number != .max { return number }
        guard let user = Accounts().user(text) else {
            throw CommandError(
                .usage,
                "/etc/passwd has no such user",
                hint: "give the number that this prints: id -u NAME"
            )
        }
        return user.id
    }

    private static func time(_ text: String?, _ option: String) throws -> Timestamp? {
        guard let text else { return nil }
        guard let time = Timestamp(text) else {
            throw CommandError(
                .usage,
                "\(option) takes a time",
                hint: "times are RFC 3339 in UTC, such as 2027-01-31T00:00:00Z"
            )
        }
        return time
    }
}

extension ReadPolicy {
    /// The keys and what they say, a line each, for people.
    var lines: [(key: String, text: String)] {
        var lines: [(String, String?)] = executables.map { program in
            ("executables", program.path + (program.sha256.map { " sha256:\($0)" } ?? ""))
        }
        lines += [
            ("uids", uids.isEmpty ? nil : uids.map(String.init).joined(separator: ", ")),
            ("units", units.isEmpty ? nil : units.joined(separator: ", ")),
            ("callers", callers?.rawValue),
            ("max_reads", maxReads.map(String.init)),
            ("not_before", notBefore?.text),
            ("not_after", notAfter?.text),
            ("refused callers", hidden ? "see no such secret" : placeholder ? "read a placeholder" : nil),
            ("decoy", decoy ? "any open raises an alert" : nil),
        ]
        return lines.compactMap { key, text in text.map { (key, $0) } }
    }
}
