// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import Jobs
internal import Sealing
internal import SecretStore
internal import SecureMemory
internal import SystemCalls

/// The command `credfs export`.
struct ExportCommand: CredfsCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Write values in plaintext: the way back to dotenv, JSON, YAML, a shell, docker or systemd.",
        discussion: """
            Prefer 'credfs run', which gives a program its secrets without any file. What is written here is read back by \
            'credfs import'. A place in a git work tree, or one that group or others can read, is refused without --force.

            EXAMPLES:
              credfs export API_TOKEN --format dotenv
              credfs export --format json -o /run/user/1000/secrets.json
              eval "$(credfs export API_TOKEN --format shell)"
            """
    )
    static let operation = OperationEvent.Operation.export
    static let needsProc = true

    /// Treatment of a value that is no text.
    enum Binary: String, ExpressibleByArgument, CaseIterable {
        case refuse
        case base64
    }

    @OptionGroup(title: HelpText.storeTitle) var options: StoreOptions
    @OptionGroup(title: HelpText.keyTitle) var keyOptions: KeyOptions

    @Argument(help: "The names, or SERVICE/KEY; without any, every secret.", completion: SecretNameCompletion.one)
    var names: [String] = []

    @Option(help: "How values are written: dotenv, json, yaml, shell, docker or systemd.")
    var format = ExportFormat.dotenv

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("Write to a file, made with mode 0600.", valueName: "file"),
        completion: .file(),
        transform: PathArgument.parse
    )
    var output: String?

    @Flag(help: "Replace the file if it is there.")
    var overwrite = false

    @Flag(help: "Write plaintext even to a git work tree or a place that others can read.")
    var force = false

    @Option(help: "Values that are not text: refuse them, or write base64.")
    var binary = Binary.refuse

    func validate() throws {
        if overwrite && output == nil { throw ValidationError("--overwrite belongs to --output.") }
    }

    func run(_ context: CommandContext) throws {
        if let variable = context.ignoringVariable {
            throw CommandError(.refused, "secrets are ignored because \(variable) is set", hint: "unset \(variable)")
        }
        let (store, loaded) = try options.load(context)
        let entries =
            names.isEmpty
            ? loaded.manifest.secrets
            : try loaded.manifest.listed(names).map { try loaded.manifest.entry(reference($0)) }
        context.subjects.secrets = entries.map(\.name)
        let labels = try labels(entries, context)
        let destination = try ExportDestination(output, isForced: force, overwriting: overwrite)
        let keys = try keyOptions.verify(loaded, store, context).keys
        // Nothing is written before every value was seen: half an export is worse than none.
        let secrets = SecretSet(loaded.manifest.secrets, keys)
        let encoded = try namesToEncode(entries, labels, secrets)
        warn(entries, encoded, context)
        try recordDisclosure(context)
        try destination.write { writer in try write(entries, labels, encoded, secrets, to: writer) }
        if let output { context.console.note("\(output) holds plaintext: remove it once nothing needs it") }
    }

    /// Labels of the values in the output.
    private func labels(_ entries: [SecretEntry], _ context: CommandContext) throws -> [String] {
        var seen: [String: SecretName] = [:]
        var changed: [String] = []
        let labels = try entries.map { entry in
            let name = entry.name.text
            let isVariable = VariableName(name) != nil
            let label = format.syntax != nil && !isVariable ? VariableName(of: entry.name).text : name
            if label != name { changed.append("\(name) as \(label)") }
            if let other = seen.updateValue(entry.name, forKey: label) {
                throw CommandError(
                    .invalid,
                    "'\(other.text)' and '\(name)' would both be \(label)",
                    hint: "export one of them, or export to json or yaml"
                )
            }
            return label
        }
        if !changed.isEmpty { context.console.note("named as variables: \(Names.abbreviated(changed))") }
        return labels
    }

    /// The names of the values that are no text, if they are to be encoded.
    ///
    /// - Throws: class `invalid` where the format cannot hold a value, by name.
    private func namesToEncode(
        _ entries: [SecretEntry],
        _ labels: [String],
        _ secrets: SecretSet
    ) throws -> Set<SecretName> {
        var content = try SecureBuffer.scratch()
        var binaries: [SecretName] = []
        var obstacles: [String] = []
        var holdsEveryText = true
        for (entry, label) in zip(entries, labels) where try open(entry, secrets, into: &content) {
            content.withBytes { bytes in
                if let obstacle = format.syntax?.obstacle(inName: label) {
                    obstacles.append("\(entry.name.text) (\(obstacle))")
                    holdsEveryText = false
                } else if !SecretEntry.Format.text.accepts(bytes) {
                    binaries.append(entry.name)
                } else if let obstacle = format.syntax?.obstacle(label, bytes) {
                    obstacles.append("\(entry.name.text) (\(obstacle))")
                }
            }
        }
        guard binary == .base64 || binaries.isEmpty else {
            throw CommandError(
                .invalid,
                "values that are no text: \(Names.abbreviated(binaries.map(\.text)))",
                hint: "--binary base64 writes them so, and import --base64 takes them back"
            )
        }
        guard obstacles.isEmpty else {
            throw CommandError(
                .invalid,
                "values that not every reader of \(format.rawValue) files takes for the same: \(Names.abbreviated(obstacles))",
                hint: "nothing was written; "
                    + (holdsEveryText
                        ? "json, yaml and shell can hold every text" : "json and yaml can hold every name")
            )
        }
        return Set(binaries)
    }

    private func warn(_ entries: [SecretEntry], _ encoded: Set<SecretName>, _ context: CommandContext) {
        let now = context.now()
        for entry in entries {
            guard let expires = entry.expires, expires <= now else { continue }
            context.console.warning("'\(entry.name.text)' expired at \(expires.text)")
        }
        if !encoded.isEmpty {
            context.console.warning("written as Base64: \(Names.abbreviated(encoded.map(\.text).sorted()))")
        }
    }

    private func write(
        _ entries: [SecretEntry],
        _ labels: [String],
        _ encoded: Set<SecretName>,
        _ secrets: SecretSet,
        to writer: PlaintextWriter
    ) throws {
        var content = try SecureBuffer.scratch()
        try format.begin(writer)
        for (index, entry) in entries.enumerated() {
            _ = try open(entry, secrets, into: &content)
            try write(content, as: labels[index], isEncoded: encoded.contains(entry.name), isFirst: index == 0, writer)
        }
        try format.end(writer, isEmpty: entries.isEmpty)
    }

    private func write(
        _ content: borrowing SecureBuffer,
        as label: String,
        isEncoded: Bool,
        isFirst: Bool,
        _ writer: PlaintextWriter
    ) throws(StoreError) {
        guard isEncoded else {
            return try content.withBytes { (bytes) throws(StoreError) in
                try format.write(label, bytes, isFirst: isFirst, to: writer)
            }
        }
        let text = try Self.base64(content)
        try text.withBytes { (bytes) throws(StoreError) in
            try format.write(label, bytes, isFirst: isFirst, to: writer)
        }
    }

    /// Opens a value.
    ///
    /// - Returns: whether there is one; if not, the content has no bytes.
    private func open(
        _ entry: SecretEntry,
        _ secrets: SecretSet,
        into content: inout SecureBuffer
    ) throws -> Bool {
        let file = try secrets.file(of: entry).map { (result) throws in try ValueOutput.whole(result) }
        guard file != nil || secrets.hasContent(entry) else {
            guard !entry.required else {
                throw CommandError(
                    .invalid,
                    "'\(entry.name.text)' has no value yet",
                    hint: "give it one with: credfs set \(quoted(entry.name.text))"
                )
            }
            content.setCount(0)
            return false
        }
        try secrets.open(entry, file, into: &content)
        return true
    }

    private static func base64(_ content: borrowing SecureBuffer) throws(StoreError) -> SecureBuffer {
        let count = Base64.encodedCount(content.count, .standard)
        var text = try StoreError.locking { () throws(SecureMemoryError) in try SecureBuffer(count: count) }
        content.withBytes { bytes in
            text.withMutableBytes { target in Base64.encode(bytes, .standard, into: &target) }
        }
        return text
    }
}
