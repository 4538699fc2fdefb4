// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import Sealing
internal import SecretSources
internal import SecretStore
internal import SecureFiles

/// Sources that the configuration and options name, the last one on top.
struct SourceChoice {
    /// Addresses of options.
    let options: [String]
    /// The time for which values of before are served while a source fails, if an option says one.
    let maximumStale: Duration?

    /// Makes the overlay; nothing is read yet.
    ///
    /// - Parameters:
    ///   - limit: the largest value in bytes.
    ///   - speaks: whether programs that are asked write messages to standard error.
    ///   - serves: whether processes that end while the command serves are started anew.
    ///   - reportsFailures: whether a source that cannot be read is reported, and stops nothing.
    ///   - context: configuration, variables and checker.
    /// - Returns: the overlay.
    /// - Throws: class `usage` for what cannot be meant; of the configuration `invalid`, with its path.
    func overlay(
        limit: Int,
        speaks: Bool,
        serves: Bool = false,
        reportsFailures: Bool = false,
        _ context: CommandContext
    ) throws -> SourceOverlay {
        let settings = try settings(context)
        let variables = try ParameterVariables.address(context).map { [$0] } ?? []
        let addresses =
            try configured(settings, context) + (variables + options).map { try address($0, settings) }
        return SourceOverlay(
            addresses,
            defaults: context.configuration.defaults.map { ($0.name, $0.value) },
            limit: limit,
            context.checker,
            SourceOverlay.Surroundings(
                environment: SecretVariables.environmentForChildren,
                speaks: speaks,
                serves: serves,
                keys: context
            ),
            reportsFailures: reportsFailures
        )
    }

    private func address(_ text: String, _ settings: AskedSettings) throws -> SourceAddress {
        var address = try SourceAddress(text, settings)
        try address.resolve(in: AbsolutePath.workingDirectory)
        return address
    }

    /// Sources of the configuration; a relative path is meant in its directory.
    private func configured(_ settings: AskedSettings, _ context: CommandContext) throws -> [SourceAddress] {
        let path = context.configurationPath ?? Configuration.fileName
        return try context.configuration.sources.map { source in
            do throws(StoreError) {
                var address = try SourceAddress(source.address, settings)
                for setting in source.settings { try address.set(setting.key, setting.value) }
                try address.resolve { () throws(StoreError) in
                    try AbsolutePath.of(PathParts.split(path).directory)
                }
                return address
            } catch {
                throw StoreError(.invalid, "\(path): sources: \(error.message)", hint: error.hint)
            }
        }
    }

    private func settings(_ context: CommandContext) throws -> AskedSettings {
        var settings = AskedSettings()
        for name in ["CREDFS_CACHE_TTL", "CLARITY_SECRETS_CACHE_TTL"] {
            guard let text = context.environment(name), !text.isEmpty else { continue }
            guard let time = AskedSettings.milliseconds(text) else {
                throw CommandError(.usage, "\(name) takes a time such as 300s, or a number of seconds")
            }
            settings.timeToLive = time
            break
        }
        if let maximumStale {
            let (seconds, attoseconds) = maximumStale.components
            settings.maximumStale = seconds * 1000 + attoseconds / 1_000_000_000_000_000
        }
        return settings
    }
}

/// Options of commands that look at sources and show no value.
struct SourceOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Look at another source, too, above those of credfs.yaml (repeatable): \(SourceTypes.forms).",
            valueName: "source"
        )
    )
    var source: [String] = []

    @OptionGroup var storeless: NoStoreOption
    @OptionGroup var size: SizeOption

    /// Lays the sources over the secrets of a store, for one of them and its parts.
    ///
    /// - Parameters:
    ///   - manifest: the manifest; gets the secrets of all.
    ///   - keys: its keys.
    ///   - reference: the secret that is wanted.
    ///   - context: everything else.
    /// - Returns: the secrets of all.
    /// - Throws: what reading throws; class `noSuchSecret` or `unavailable` where no source has the secret.
    func over(
        _ manifest: inout Manifest,
        _ keys: StoreKeys,
        for reference: SecretReference,
        _ context: CommandContext
    ) throws -> SecretSet {
        let secrets = SecretSet(manifest.secrets, keys)
        let overlay = try SourceChoice(options: source, maximumStale: nil)
            .overlay(limit: size.maxSize, speaks: true, context)
        guard !overlay.isEmpty else { return secrets }
        defer { overlay.asked?.end() }
        let template = secrets.entry(reference.name)?.template
        let names = template?.namesAll == true ? nil : Set(template?.names ?? [reference.name])
        let merged = try overlay.over(
            secrets,
            keys,
            now: context.now(),
            only: names,
            warn: context.console.detail
        )
        manifest.secrets = merged.entries
        if let failure = overlay.failure(of: reference.name) { throw failure }
        return merged
    }

    /// There is a source beside the store.
    func isAny(_ context: CommandContext) -> Bool {
        !source.isEmpty || !context.configuration.sources.isEmpty || !context.configuration.defaults.isEmpty
    }

    /// Keys of this process, which no store knows.
    static func processKeys() throws -> StoreKeys {
        try StoreKeys(
            dataKey: try StoreError.wrapping { () throws(SealingError) in try Key256.random() },
            store: try StoreError.wrapping { () throws(SealingError) in try StoreID.random() }
        )
    }

    /// Reads and asks the sources, with a key of this process alone; what fails is reported by the overlay.
    ///
    /// - Parameters:
    ///   - manifest: the manifest of the store; nil where there is none.
    ///   - context: everything else.
    /// - Returns: the overlay.
    /// - Throws: class `usage` for what cannot be meant.
    func look(_ manifest: Manifest?, _ context: CommandContext) throws -> SourceOverlay {
        let overlay = try SourceChoice(options: source, maximumStale: nil)
            .overlay(limit: size.maxSize, speaks: false, reportsFailures: true, context)
        let keys = try Self.processKeys()
        _ = try overlay.over(SecretSet(manifest?.secrets ?? [], keys), keys, now: context.now()) { _ in }
        return overlay
    }
}
