// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import Glibc
internal import Jobs
internal import SecretStore
internal import SecureMemory
internal import SystemCalls
internal import SystemPackage

/// The command `credfs env`.
struct EnvCommand: CredfsCommand {
    static let configuration = CommandConfiguration(
        commandName: "env",
        abstract: "Print the variables that lead to the secrets of a mount.",
        discussion: """
            The variables hold paths, no values. Use it as eval "$(credfs env)" in a shell, or as \
            credfs env --format github >>"$GITHUB_ENV" in a workflow.
            """
    )
    static let operation = OperationEvent.Operation.environment
    static let needsProc = true

    /// Who is to read the variables.
    enum Format: String, ExpressibleByArgument, CaseIterable {
        case shell
        case dotenv
        case github
        case gitlab
        case systemd
    }

    /// Whose logs are to hide the values.
    enum Mask: String, ExpressibleByArgument, CaseIterable {
        case github
    }

    @OptionGroup var options: StoreOptions

    @Option(help: "Who reads them: shell, dotenv, github, gitlab or systemd.")
    var format = Format.shell

    @Option(
        help: ArgumentHelp("Print, before the variables, what hides the values in the log: github.", valueName: "log")
    )
    var mask: Mask?

    @Option(
        help: ArgumentHelp("Name the variable that has the path of a secret (repeatable).", valueName: "name=var")
    )
    var fileVar: [String] = []

    @Argument(
        help: ArgumentHelp("The mounted directory; not needed where there is only one.", valueName: "dir"),
        completion: .directory
    )
    var directory: String?

    func run(_ context: CommandContext) throws {
        let chosen = try fileVar.map { try VariableAssignment.parse($0, option: "--file-var", usual: nil) }
        let path = try directory ?? onlyMount(context)
        let folder = try MountedDirectory(path)
        let variables = try FileVariables(
            try folder.names(),
            chosen: Dictionary(chosen.map { ($0.secret, $0.variable) }) { $1 }
        )
        if mask == .github {
            for name in variables.pairs.map(\.secret) { try WorkflowMask.write(folder.read(name), context.console) }
        }
        var lines = [line("CREDENTIALS_DIRECTORY", folder.path)]
        lines += variables.pairs.map { line($0.variable.text, "\(folder.path)/\($0.secret.text)") }
        try context.console.output(lines.joined())
    }

    private func onlyMount(_ context: CommandContext) throws -> String {
        let runtime = try RuntimeDirectory(user: context.user, environment: context.environment)
        let mounts = FoundMount.all(in: runtime).filter { $0.isLive && $0.mount.kind == .mount }.map(\.mount.path)
        guard let path = mounts.first else {
            throw CommandError(.mountPoint, "nothing is mounted", hint: "mount a store with: credfs mount")
        }
        guard mounts.count == 1 else {
            throw CommandError(
                .usage,
                "there is more than one mount",
                hint: "name one of \(mounts.joined(separator: ", "))"
            )
        }
        return path
    }

    private func line(_ name: String, _ value: String) -> String {
        switch format {
        case .shell: "export \(name)=\(Quoting.shell(value))\n"
        case .dotenv: "\(name)=\(Quoting.double(value))\n"
        // Paths of ours have no newline; one in a directory that somebody named is refused when it is opened.
        case .github, .gitlab: "\(name)=\(value)\n"
        case .systemd: "\(name)=\(Quoting.double(value))\n"
        }
    }
}

/// Words that another program reads as one.
enum Quoting {
    /// For sh(1).
    static func shell(_ text: String) -> String {
        "'" + text.replacing("'", with: "'\\''") + "'"
    }

    /// For dotenv files and systemd.exec(5).
    static func double(_ text: String) -> String {
        var quoted = "\""
        for character in text {
            if ["\"", "\\", "$", "`"].contains(character) { quoted += "\\" }
            quoted.append(character)
        }
        return quoted + "\""
    }
}

/// A directory of ours that is mounted.
struct MountedDirectory {
    /// Its path, absolute and without links.
    let path: String

    init(_ directory: String) throws {
        let place: OwnedDescriptor
        // Without asking whoever serves it, who may have been stopped.
        do throws(Errno) { place = try OwnedDescriptor.startOfWalk(file: directory) } catch {
            throw CommandError(.mountPoint, "cannot open \(directory): \(error.message)")
        }
        let path = try? place.resolvedPath()
        guard let path, !path.contains("\n"), MountTable.entries().contains(where: { $0.path == path }) else {
            throw CommandError(
                .mountPoint,
                "nothing of credfs is mounted at \(directory)",
                hint: "see what is with: credfs status"
            )
        }
        self.path = path
    }

    /// The names of its secrets, in order.
    func names() throws -> [SecretName] {
        let names = try StoreError.wrapping("list", path) { () throws(Errno) in
            try OwnedDescriptor.open(path, O_RDONLY | O_DIRECTORY).entryNames()
        }
        return names.compactMap(SecretName.init).sorted()
    }

    /// The value of a secret.
    func read(_ name: SecretName) throws -> SecureBuffer {
        let file = try StoreError.wrapping("open", "\(path)/\(name.text)") { () throws(Errno) in
            try OwnedDescriptor.open("\(path)/\(name.text)", O_RDONLY | O_NOFOLLOW)
        }
        return try SecureBuffer.collecting(
            limit: Manifest.maximumSecretByteCount,
            orThrow: { StoreError.memory($0) },
            { (bytes, start) throws(StoreError) in
                do throws(Errno) { return try file.read(into: &bytes, from: start) } catch {
                    throw .system("read", name.text, error)
                }
            }
        )
    }
}

/// Workflow commands that hide a value in the logs of GitHub Actions.
enum WorkflowMask {
    private static let command = "::add-mask::"

    /// Writes a command for every line of a value that is not empty.
    static func write(_ value: borrowing SecureBuffer, _ console: Console) throws {
        try value.withBytes { (bytes) throws in
            var start = 0
            for index in 0...bytes.count where index == bytes.count || bytes[index] == UInt8(ascii: "\n") {
                var end = index
                if end > start && bytes[end - 1] == UInt8(ascii: "\r") { end -= 1 }
                if end > start {
                    try console.output(command)
                    try escaped(bytes.extracting(start..<end), console)
                    try console.output("\n")
                }
                start = index + 1
            }
        }
    }

    // A percent sign begins an escape in a workflow command.
    private static func escaped(_ line: Span<UInt8>, _ console: Console) throws {
        var start = 0
        for index in line.indices {
            let escape: String
            switch line[index] {
            case UInt8(ascii: "%"): escape = "%25"
            case UInt8(ascii: "\r"): escape = "%0D"
            default: continue
            }
            try console.output(line.extracting(start..<index))
            try console.output(escape)
            start = index + 1
        }
        try console.output(line.extracting(start..<line.count))
    }
}
