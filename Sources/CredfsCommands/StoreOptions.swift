// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import SecretStore

/// The options that every command about a store has.
struct StoreOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("The store directory (CREDFS_STORE).", valueName: "dir"),
        completion: .directory,
        transform: PathArgument.parse
    )
    var store: String?

    @Option(
        help: ArgumentHelp("A manifest elsewhere, such as in a git work tree (CREDFS_MANIFEST).", valueName: "file"),
        completion: .file(),
        transform: PathArgument.parse
    )
    var manifest: String?

    @Option(
        help: ArgumentHelp("The directory of lock and state (CREDFS_STATE).", valueName: "dir"),
        completion: .directory,
        transform: PathArgument.parse
    )
    var state: String?

    @Option(
        help: ArgumentHelp("A configuration instead of the first credfs.yaml (CREDFS_CONFIG).", valueName: "file"),
        completion: .file(),
        transform: PathArgument.parse
    )
    var config: String?

    @Flag(name: .shortAndLong, help: "Say only what is wrong.")
    var quiet = false

    @Flag(name: .shortAndLong, help: "Say what is done, operation by operation.")
    var verbose = false

    func validate() throws {
        if quiet && verbose { throw ValidationError("--quiet and --verbose exclude each other.") }
    }

    /// Location of the store.
    func location(_ context: CommandContext) throws(StoreError) -> StoreLocation {
        try StoreLocation(
            StoreLocation.Choices(store: store, manifest: manifest, state: state),
            user: context.user,
            environment: context.environment
        )
    }

    /// Finds the configuration.
    ///
    /// - Throws: class `invalid`, `permissions` or `failed`.
    func configuration(_ context: CommandContext) throws(StoreError) -> Configuration.Found {
        let variable = context.environment("CREDFS_CONFIG").flatMap { $0.isEmpty ? nil : $0 }
        return try Configuration.find(
            named: config ?? variable,
            store: (try? location(context))?.directory,
            context.checker,
            environment: context.environment
        )
    }

    /// Opens the store and reads its manifest, whose store the audit log names from then on.
    func load(_ context: CommandContext) throws(StoreError) -> (store: Store, loaded: LoadedManifest) {
        let store = try open(context)
        let loaded = try LoadedManifest(store)
        context.store = loaded.manifest.store
        return (store, loaded)
    }

    /// Opens the store.
    func open(_ context: CommandContext) throws(StoreError) -> Store {
        try Store(try location(context), checker: context.checker)
    }
}

extension StoreOptions: ScannedOptions {
    mutating func scan(_ scanner: inout OptionScanner) throws {
        store = try scanner.path("store")
        manifest = try scanner.path("manifest")
        state = try scanner.path("state")
        config = try scanner.path("config")
        quiet = scanner.flag("quiet", short: "q")
        verbose = scanner.flag("verbose", short: "v")
        try validate()
    }
}
