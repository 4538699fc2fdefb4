// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import Glibc
internal import HostChecks
internal import PlaintextDocuments
internal import SecretSources
internal import SecretStore
internal import SecureFiles
internal import SystemCalls
internal import SystemPackage

/// The options of `import` that say where values come from and how they are written there.
struct ImportOrigin: ParsableArguments {
    /// Format of values.
    enum Format: String, ExpressibleByArgument, CaseIterable {
        case dotenv
        case json
        case yaml
        case fernet
        case directory
    }

    @Argument(
        help: ArgumentHelp(
            "A file, a directory with a file for each secret, or - for standard input.",
            valueName: "file"
        ),
        completion: .file(),
        transform: PathArgument.parse
    )
    var file: String?

    @Option(help: "How it is written: dotenv, json, yaml, fernet or directory; else its name tells.")
    var format: Format?

    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp("Take these variables of the environment.", valueName: "name")
    )
    var fromEnv: [String] = []

    @Option(
        help: ArgumentHelp(
            "Take the variables of a service that are set: \(VariablePreset.names); several with commas.",
            valueName: "presets"
        ),
        completion: .list(VariablePreset.all.map(\.name))
    )
    var preset: [String] = []

    @Option(
        help: ArgumentHelp("Open Fernet tokens with the key in this file.", valueName: "file"),
        completion: .file(),
        transform: PathArgument.parse
    )
    var fernetKeyFile: String?

    @Option(help: ArgumentHelp("Read the Fernet key from an open descriptor.", valueName: "number"))
    var fernetKeyFd: Int32?

    @Option(
        help: ArgumentHelp(
            "How the document in a Fernet token is written: dotenv, json or yaml; else its first byte tells.",
            valueName: "format"
        ),
        completion: .list(["dotenv", "json", "yaml"])
    )
    var innerFormat: Format?

    @Option(help: ArgumentHelp("The Fernet token in the file is the value of this secret.", valueName: "name"))
    var name: String?

    @Option(
        help: ArgumentHelp("Of a name that a dotenv file has twice, take the first or the last.", valueName: "which"),
        completion: .list(ImportRequest.Duplicates.allCases.map(\.rawValue))
    )
    var duplicates: String?

    func validate() throws {
        let takesVariables = !fromEnv.isEmpty || !preset.isEmpty
        guard (file != nil) != takesVariables else {
            throw ValidationError("name a file, a directory, - or variables (--from-env, --preset), one of them.")
        }
        if takesVariables && (format != nil || hasFernetKey) {
            throw ValidationError("variables are taken as they are, without --format and Fernet keys.")
        }
        if fernetKeyFile != nil && fernetKeyFd != nil {
            throw ValidationError("name one Fernet key, not two.")
        }
        if fernetKeyFd == 0 && file == "-" {
            throw ValidationError("standard input cannot hold both the Fernet key and the values.")
        }
        if let duplicates, ImportRequest.Duplicates(rawValue: duplicates) == nil {
            throw ValidationError("--duplicates takes first, last or refuse.")
        }
        if let innerFormat, innerFormat == .fernet || innerFormat == .directory {
            throw ValidationError("--inner-format takes dotenv, json or yaml.")
        }
        if name != nil && innerFormat != nil {
            throw ValidationError("--name and --inner-format exclude each other.")
        }
    }

    private var hasFernetKey: Bool { fernetKeyFile != nil || fernetKeyFd != nil }

    /// Opens the source.
    ///
    /// - Parameters:
    ///   - document: the file if it is open already.
    ///   - limit: the largest value in bytes.
    ///   - context: where warnings go.
    /// - Returns: the source.
    /// - Throws: status 11 for variables that are not set, 64 for what cannot be meant, 17 for what cannot be read.
    func source(_ document: PlaintextFile?, limit: Int, _ context: CommandContext) throws -> any SecretSource {
        guard let file else { return try variables(context) }
        if let document {
            let request = try request(format ?? Self.format(ofFile: file), file)
            return DocumentSource(try DocumentImport(document.descriptor, request, try fernetKey(context)))
        }
        if file == "-" {
            let request = try request(format, file)
            return DocumentSource(try DocumentImport(Self.standardInput(), request, try fernetKey(context)))
        }
        let descriptor = try StoreError.wrapping("open", file) { () throws(Errno) in
            try OwnedDescriptor.open(file, O_RDONLY | O_NOCTTY)
        }
        let status = try StoreError.wrapping("examine", file) { () throws(Errno) in try descriptor.status() }
        if format == .directory || status.kind == .directory { return try directory(file, limit, context) }
        let request = try request(format ?? Self.format(ofFile: file), file)
        return DocumentSource(try DocumentImport(descriptor, request, try fernetKey(context)))
    }

    private func directory(_ path: String, _ limit: Int, _ context: CommandContext) throws -> any SecretSource {
        guard format == nil || format == .directory, !hasFernetKey else {
            throw CommandError(
                .usage,
                "\(path) is a directory",
                hint: "name one file, or leave --format and the key out"
            )
        }
        let source = try DirectorySource(path, limit: limit)
        if !source.leftOut.isEmpty {
            context.console.warning("hidden files and directories are left out: \(Names.abbreviated(source.leftOut))")
        }
        return source
    }

    private func variables(_ context: CommandContext) throws -> any SecretSource {
        let fromEnv = try ArgumentList.items(fromEnv)
        var names = fromEnv
        guard !fromEnv.contains(where: { $0.contains("=") }) else { throw CommandError.valueInArgument("--from-env") }
        for name in fromEnv where SecretName(name) == nil || !EnvironmentVariables.isSet(name) {
            throw CommandError(.noSuchSecret, "the variable '\(name)' is not set", hint: "export it first")
        }
        for preset in try presets() {
            let unset = preset.variables.filter { !EnvironmentVariables.isSet($0.name) }
            guard unset.count < preset.variables.count else {
                throw CommandError(
                    .noSuchSecret,
                    "no variable of the preset '\(preset.name)' is set",
                    hint: "its variables are \(preset.variables.map(\.name).joined(separator: ", "))"
                )
            }
            for variable in unset where variable.isNeeded { context.console.warning("\(variable.name) is not set") }
            let others = unset.filter { !$0.isNeeded }.map(\.name)
            if !others.isEmpty { context.console.note("not set: \(others.joined(separator: ", "))") }
            names += preset.variables.map(\.name).filter { EnvironmentVariables.isSet($0) && !names.contains($0) }
        }
        return EnvironmentSource(names)
    }

    /// The presets that are named.
    func presets() throws -> [VariablePreset] {
        try ArgumentList.items(preset).map { name in
            guard let preset = VariablePreset.all.first(where: { $0.name == name }) else {
                throw CommandError(
                    .usage,
                    "there is no preset of this name",
                    hint: "presets are \(VariablePreset.names)"
                )
            }
            return preset
        }
    }

    private func request(_ format: Format?, _ file: String) throws -> ImportRequest {
        let format = format ?? (hasFernetKey ? .fernet : nil)
        guard let format, let documentFormat = ImportRequest.Format(rawValue: format.rawValue) else {
            throw CommandError(
                .usage,
                file == "-"
                    ? "the format of standard input has to be named" : "the name of \(file) does not tell its format",
                hint: "name it with --format dotenv, json, yaml or fernet"
            )
        }
        var request = ImportRequest(documentFormat)
        request.innerFormat = innerFormat.flatMap { ImportRequest.Format(rawValue: $0.rawValue) }
        request.duplicates = duplicates.flatMap(ImportRequest.Duplicates.init) ?? .refuse
        if format == .fernet && !hasFernetKey {
            throw CommandError(
                .usage,
                "a Fernet token needs its key",
                hint: "name it with --fernet-key-file or --fernet-key-fd"
            )
        }
        if format != .fernet && (name != nil || innerFormat != nil) {
            throw CommandError(.usage, "--name and --inner-format are for a file that is a Fernet token")
        }
        if let name {
            guard let reference = SecretReference(name), !reference.mayHoldValue else {
                throw CommandError(.usage, "bad name of a secret", hint: SecretReference.rule)
            }
            request.name = reference
        }
        return request
    }

    /// Guesses the format from the name of a file.
    static func format(ofFile path: String) -> Format? {
        let name = Store.split(path).name.lowercased()
        if name.hasSuffix(".json") { return .json }
        if name.hasSuffix(".yaml") || name.hasSuffix(".yml") { return .yaml }
        if name.hasSuffix(".env") || name.hasPrefix(".env") { return .dotenv }
        return nil
    }

    private func fernetKey(_ context: CommandContext) throws -> FernetKey? {
        if let fernetKeyFile {
            return try FernetKey(Store.readSecretFile(fernetKeyFile, context.checker), from: fernetKeyFile)
        }
        guard let fernetKeyFd else { return nil }
        return try FernetKey(
            InheritedDescriptor.read(fernetKeyFd, limit: Store.maximumKeyFileByteCount),
            from: "descriptor \(fernetKeyFd)"
        )
    }

    private static func standardInput() throws(StoreError) -> OwnedDescriptor {
        try StoreError.wrapping("read", "standard input") { () throws(Errno) in
            try OwnedDescriptor.open("/proc/self/fd/0", O_RDONLY | O_NOCTTY)
        }
    }
}
