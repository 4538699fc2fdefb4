// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import SecretSources
internal import SecretStore

/// The option `--no-store`: sources alone, sealed with keys of this process.
struct NoStoreOption: ParsableArguments {
    @Flag(help: "Take secrets from sources alone: no store is looked for, and no log written.")
    var noStore = false

    /// Refuses what says two things.
    ///
    /// - Throws: status 64.
    func check(_ options: StoreOptions, hasSources: Bool) throws(CommandError) {
        guard noStore else { return }
        guard options.store == nil, options.manifest == nil, options.state == nil else {
            throw CommandError(.usage, "--no-store and a store exclude each other", hint: "leave one of them out")
        }
        guard hasSources else {
            throw CommandError(
                .usage,
                "without a store there is no source",
                hint: "name where secrets are with --source, or list sources in credfs.yaml"
            )
        }
    }
}

/// What stands for a store where there is none.
struct Storeless {
    /// Keys of this process, which go with it.
    let keys: StoreKeys

    /// Makes new keys.
    init() throws {
        keys = try SourceOptions.processKeys()
    }

    /// Goes on with the keys of before.
    ///
    /// - Throws: class `authentication` where they were wiped: nothing brings them back.
    init(_ keys: StoreKeys) throws(StoreError) {
        guard !keys.areForgotten else { throw Self.lost }
        self.keys = keys
    }

    /// The keys of a mount without a store were wiped.
    static let lost = StoreError(
        .authentication,
        "nothing brings the keys of a mount without a store back",
        hint: "unmount it, and mount anew"
    )

    /// A manifest without a value.
    ///
    /// - Parameters:
    ///   - names: secrets that sources are asked for.
    ///   - now: the time.
    /// - Returns: the manifest.
    func manifest(_ names: [SecretName], _ now: Timestamp) -> Manifest {
        Manifest(
            store: keys.store,
            generation: 1,
            created: now,
            updated: now,
            slots: [:],
            secrets: names.map { SecretEntry(name: $0) }
        )
    }
}

extension NoStoreOption: ScannedOptions {
    mutating func scan(_ scanner: inout OptionScanner) throws {
        noStore = scanner.flag("no-store")
    }
}
