// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import AuditLog
internal import Glibc
internal import Jobs
internal import SecretStore
internal import SecureFiles
internal import SecureJSON
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

            EXAMPLES:
              eval "$(credfs env)"
              credfs env --format github >>"$GITHUB_ENV"
              credfs env /run/app/secrets --json
            """
    )
    static let operation = OperationEvent.Operation.environment
    static let needsProc = true

    /// Log in which values are to be masked.
    enum Mask: String, ExpressibleByArgument, CaseIterable {
        case github
    }

    @OptionGroup(title: HelpText.storeTitle) var options: StoreOptions

    @Option(help: "Who reads them: shell (the default), dotenv, docker, github, gitlab or systemd.")
    var format: VariableSyntax?

    @Option(
        help: ArgumentHelp("Print on standard error what hides the values in the log: github.", valueName: "log")
    )
    var mask: Mask?

    @OptionGroup(title: "Variables") var fileVariables: FileVariableOptions

    @Flag(help: "Print JSON.")
    var json = false

    @Argument(
        help: ArgumentHelp("The mounted directory; not needed where there is only one.", valueName: "dir"),
        completion: .directory,
        transform: PathArgument.parse
    )
    var directory: String?

    /// Operation for the audit log: masking values shows them to whoever reads the output.
    var operation: OperationEvent.Operation { mask == nil ? .environment : .show }

    func validate() throws {
        if json && format != nil { throw ValidationError("--json and --format exclude each other.") }
    }

    func run(_ context: CommandContext) throws {
        let path = try directory ?? onlyMount(context)
        let folder = try MountedDirectory(path)
        note(folder, context)
        let names = try folder.names()
        let chosen = try fileVariables.chosen(names.contains)
        let variables = try fileVariables.variables(names, chosen) { context.console.warning($0) }
        var lines = [(name: "CREDENTIALS_DIRECTORY", path: folder.path, secret: SecretName?.none)]
        lines += variables.pairs.map { ($0.variable.text, "\(folder.path)/\($0.secret.text)", $0.secret) }
        let format = format ?? .shell
        if !json {
            for line in lines { try requireNoObstacle(format, line.name, line.path) }
        }
        if mask == .github {
            context.subjects.secrets = names
            context.outcome = AccessReport.masking
            try recordDisclosure(context, AccessReport.masking)
            // Not on standard output: that is what people append to $GITHUB_ENV. The runner reads commands from both.
            let writer = try PlaintextWriter(Console.standardError, "standard error")
            for name in names { try WorkflowMask.write(folder.read(name), to: writer) }
            try writer.flush()
        }
        let writer = try PlaintextWriter(Console.standardOutput, "standard output")
        if json {
            try writer.write(JSONOutput.variables(lines))
        } else {
            for line in lines { try format.write(line.name, line.path.utf8.span, to: writer) }
        }
        try writer.flush()
    }

    private func requireNoObstacle(_ format: VariableSyntax, _ name: String, _ path: String) throws {
        guard let obstacle = format.obstacle(name, path.utf8.span) else { return }
        throw CommandError(
            .invalid,
            "\(format.rawValue) cannot hold the path for \(name), which has \(obstacle): \(path)",
            hint: "--format shell can"
        )
    }

    /// Notes which mount this is, and of which store, as far as its record says it.
    private func note(_ folder: MountedDirectory, _ context: CommandContext) {
        guard let runtime = try? RuntimeDirectory(user: context.user, environment: context.environment),
            let mount = FoundMount.all(in: runtime).first(where: { $0.mount.path == folder.path })?.mount
        else { return }
        context.store = mount.store.flatMap(StoreID.init)
        context.subjects.mount = mount.id
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
}

extension JSONOutput {
    /// The document of `env --json`.
    fileprivate static func variables(_ variables: [(name: String, path: String, secret: SecretName?)]) -> String {
        text([
            "variables": .array(
                variables.map { variable in
                    .object([
                        "name": .string(variable.name), "path": .string(variable.path),
                        "secret": .string(orNull: variable.secret?.text),
                    ])
                }
            )
        ])
    }
}

/// A directory of ours that is mounted.
struct MountedDirectory {
    /// Its path, absolute and without links.
    let path: String

    init(_ directory: String) throws {
        let place: OwnedDescriptor
        // Without asking whoever serves it, who may have been stopped.
        do throws(Errno) { place = try OwnedDescriptor.openPath(directory) } catch {
            throw CommandError(.mountPoint, "cannot open \(directory): \(error.message)")
        }
        let path = try? place.resolvedPath()
        guard let path, MountTable.entries().contains(where: { $0.path == path }) else {
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
    /// Writes a command for every line of a value that is not blank: a log is hidden line by line, and the runner warns of a
    /// command for a blank one.
    static func write(_ value: borrowing SecureBuffer, to writer: PlaintextWriter) throws(StoreError) {
        try value.withBytes { (bytes) throws(StoreError) in
            var start = 0
            var isBlank = true
            for index in 0...bytes.count {
                let byte = index == bytes.count ? UInt8(ascii: "\n") : bytes[index]
                guard byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r") else {
                    isBlank = isBlank && (byte == 0x20 || (0x09...0x0c).contains(byte))
                    continue
                }
                if !isBlank {
                    try writer.write("::add-mask::")
                    // A percent sign begins an escape.
                    try writer.write(bytes.extracting(start..<index)) { line, index in
                        line[index] == UInt8(ascii: "%") ? ("%25", 1) : nil
                    }
                    try writer.write("\n")
                }
                start = index + 1
                isBlank = true
            }
        }
    }
}
