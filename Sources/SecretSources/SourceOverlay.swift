// SPDX-License-Identifier: Apache-2.0

internal import Sealing
internal import SecretProviders
package import SecretStore
package import SecureFiles
internal import SystemCalls
package import SystemPackage

/// Sources that are laid over a store, in their order: of a name, the last value counts.
package final class SourceOverlay {
    private struct Layer {
        let address: SourceAddress
        /// Values that were read: those of a source that is not read again, or to be compared with.
        var entries: [SecretEntry]?

        /// The source, if it is asked over time and its process has been started.
        var asked: AskedSource?
        /// That process.
        var helper: Int32?
        /// Why it could not be read, where that stops nothing.
        var failure: StoreError?
        /// Milliseconds that reading took.
        var latency: Int64?

        /// It is asked over time.
        var isAsked: Bool { address.type is any AskedSourceType }
        /// Values that are not read again.
        var kept: [SecretEntry]? { address.type.isReadAgain ? nil : entries }
    }

    /// Address of the first source that is read by a process of its own.
    package var firstNeedingProcess: String? { layers.first { $0.address.type.needsProcess }?.address.text }

    private var layers: [Layer]
    private let defaults: [(name: SecretName, value: String)]
    private let access: SourceAccess
    private let surroundings: Surroundings
    /// Sources that are asked, once they are.
    package private(set) var asked: AskedSources?
    /// The process serves: it starts no other, and waits for no source.
    private var isServing = false
    /// A source that cannot be read is reported, and the others are read all the same.
    private let reportsFailures: Bool
    /// Starts their processes anew.
    private var keeper: ProviderKeeper?
    /// Why names have no value.
    private var failures: [SecretName: AskedSources.Failure] = [:]
    /// Binds the keys to this process: derived again from the data key of the store after a lock, they are the same.
    private var process: StoreID?
    private var defaultEntries: [SecretEntry]?
    private var keys: StoreKeys?

    /// What the processes of sources that are asked are started with, and where keys are.
    package struct Surroundings {
        /// Finds the environment of the processes.
        let environment: () -> [String]
        /// Their messages go to standard error, or nowhere.
        let speaks: Bool
        /// They are asked again and again, so that one that ends is started anew.
        let serves: Bool
        /// Keys for what is encrypted.
        let keys: any SourceKeys

        /// Makes one.
        package init(
            environment: @escaping () -> [String],
            speaks: Bool,
            serves: Bool,
            keys: any SourceKeys
        ) {
            self.environment = environment
            self.speaks = speaks
            self.serves = serves
            self.keys = keys
        }
    }

    /// Makes an overlay; nothing is read yet.
    ///
    /// - Parameters:
    ///   - addresses: the sources, the last one on top, with paths that are absolute.
    ///   - defaults: values that are no secrets, of names that no source has.
    ///   - limit: the largest value in bytes.
    ///   - checker: judge of their files.
    ///   - surroundings: what processes are started with.
    ///   - reportsFailures: whether a source that cannot be read is reported by `reports`, and stops nothing.
    package init(
        _ addresses: [SourceAddress],
        defaults: [(name: SecretName, value: String)] = [],
        limit: Int,
        _ checker: PermissionChecker,
        _ surroundings: Surroundings,
        reportsFailures: Bool = false
    ) {
        self.reportsFailures = reportsFailures
        layers = addresses.map { Layer(address: $0) }
        self.defaults = defaults
        access = SourceAccess(limit: limit, checker, surroundings.keys)
        self.surroundings = surroundings
    }

    /// No sources.
    package var isEmpty: Bool { layers.isEmpty && defaults.isEmpty }

    /// Directories whose changes a reload would show.
    package var directories: [String] {
        Array(Set(layers.compactMap(\.address.watchedDirectory))).sorted()
    }

    /// Leaves the sources unread where nothing of them is shown.
    ///
    /// - Throws: class `usage` for a location that cannot be meant.
    package func discard() throws {
        for layer in layers { try layer.address.type.discard(layer.address.location) }
    }

    /// Reads the sources and lays their values over the secrets of a store.
    ///
    /// - Parameters:
    ///   - secrets: the secrets of the store.
    ///   - storeKeys: the keys of the store.
    ///   - now: the time of values that are new.
    ///   - only: the names that sources are asked for, whether or not the store has them; nil for all of theirs.
    ///   - warn: is told of a source that has nothing.
    /// - Returns: the secrets of all of them.
    /// - Throws: what reading throws, with the address of the source.
    package func over(
        _ secrets: SecretSet,
        _ storeKeys: StoreKeys,
        now: Timestamp,
        only: Set<SecretName>? = nil,
        warn: (String) -> Void
    ) throws -> SecretSet {
        guard !isEmpty else { return secrets }
        let keys = try processKeys(storeKeys)
        let formats = FormatRules(secrets)
        defer { access.forget() }
        for index in layers.indices where !layers[index].isAsked && layers[index].kept == nil {
            let address = layers[index].address
            let began = BootClock.milliseconds()
            var entries: [SecretEntry] = []
            try attempt(index) { () throws in entries = try Self.read(address, keys, access, now) }
            layers[index].latency = BootClock.milliseconds() - began
            if entries.isEmpty { warn("the source \(address.text) has no values") }
            Self.warnOfNames(entries, address, warn)
            if let before = layers[index].entries { try Self.keepSame(&entries, before, keys) }
            layers[index].entries = entries
        }
        // Their processes inherit no variable that was taken.
        try ask(secrets, formats, keys, only)
        var merged = secrets
        for index in layers.indices {
            let layer = layers[index]
            let entries = layer.asked?.entries ?? layer.entries ?? []
            if layer.asked == nil { try attempt(index) { try formats.check(entries, keys, layer.address) } }
            merged.overlay(SecretSet(entries, keys))
        }
        try addDefaults(to: &merged, keys, now)
        try note(merged, warn)
        return merged
    }

    /// Reads a source; where failures are reported, one stops nothing.
    private func attempt(_ index: Int, _ body: () throws -> Void) throws {
        do { try body() } catch let error as StoreError where reportsFailures { layers[index].failure = error }
    }

    /// Has sources asked for what no source above them has.
    private func ask(
        _ secrets: SecretSet,
        _ formats: FormatRules,
        _ keys: StoreKeys,
        _ only: Set<SecretName>?
    ) throws {
        guard layers.contains(where: \.isAsked) else { return }
        let asked = try asked ?? start()
        self.asked = asked
        let names = only?.sorted() ?? secrets.entries.filter { $0.value == .empty }.map(\.name)
        var resolved: Set<SecretName> = []
        for layer in layers.reversed() {
            if let source = layer.asked {
                source.allow(names, except: resolved, formats.formats, only: only)
            } else {
                resolved.formUnion((layer.entries ?? []).map(\.name))
            }
        }
        asked.use(keys)
        if isServing { asked.wake() } else { try asked.update() }
    }

    /// Starts the processes that ask.
    private func start() throws(StoreError) -> AskedSources {
        let cancel = try StoreError.wrapping("make", "a pipe") { () throws(Errno) in try Doorbell.make() }
        let environment = surroundings.environment()
        var sources: [AskedSource] = []
        var started: [(client: ProviderClient, entry: ProviderKeeper.Entry)] = []
        for index in layers.indices {
            let address = layers[index].address
            guard let type = address.type as? any AskedSourceType else { continue }
            let command: ProviderClient.Command
            do throws(StoreError) {
                command = try type.command(address.location, address.settings, limit: access.limit, access.checker)
            } catch {
                guard reportsFailures else { throw error }
                layers[index].failure = error
                continue
            }
            let client = try ProviderClient(
                command,
                environment: environment,
                speaks: surroundings.speaks,
                batchLimit: type.batchLimit,
                limit: access.limit,
                cancel: cancel
            )
            let source = AskedSource(address.text, client, address.settings) { milliseconds in
                _ = try? Readiness.wait(for: [cancel.number], timeout: .milliseconds(milliseconds))
            }
            started.append((client, ProviderKeeper.Entry(label: source.label, command: command)))
            layers[index].asked = source
            layers[index].helper = client.id
            sources.append(source)
        }
        if surroundings.serves, !started.isEmpty {
            // Nobody waits for it: it is wanted when one of them has ended.
            let keeper = try ProviderKeeper.begin(
                started.map(\.entry),
                environment: environment,
                speaks: surroundings.speaks
            )
            for (number, item) in started.enumerated() { item.client.restart(by: keeper, number) }
            self.keeper = keeper
        }
        return try StoreError.wrapping("make", "a pipe") { () throws(Errno) in
            try AskedSources(sources, cancel: cancel)
        }
    }

    /// Adds what is declared for names that no source has.
    private func addDefaults(to secrets: inout SecretSet, _ keys: StoreKeys, _ now: Timestamp) throws(StoreError) {
        guard !defaults.isEmpty else { return }
        let filled = Set(secrets.entries.filter { $0.value != .empty }.map(\.name))
        if defaultEntries == nil || !defaultsAreReadable(keys) {
            var cipher = try keys.valueCipher()
            var entries: [SecretEntry] = []
            for (name, value) in defaults {
                var entry = SecretEntry(name: name)
                entry.value = .sealed(try cipher.seal(value.utf8.span, as: name))
                entry.rotated = now
                entries.append(entry)
            }
            defaultEntries = entries
        }
        secrets.overlay(SecretSet((defaultEntries ?? []).filter { !filled.contains($0.name) }, keys))
    }

    private func defaultsAreReadable(_ keys: StoreKeys) -> Bool {
        guard let entry = defaultEntries?.first, case .sealed(let value) = entry.value else { return false }
        return (try? keys.readParts(of: value, as: entry.name) { _ in }) != nil
    }

    /// Notes why names have no value, or one of before, and says so at the start.
    ///
    /// - Throws: class `failed` at the start, for a source that is set up wrongly.
    private func note(_ secrets: SecretSet, _ warn: (String) -> Void) throws(StoreError) {
        failures = [:]
        guard let asked else { return }
        let filled = Set(secrets.entries.filter { $0.value != .empty }.map(\.name))
        let wanted = asked.sources.reduce(into: Set<SecretName>()) { $0.formUnion($1.eligible) }
        if !isServing {
            for source in asked.sources {
                if !reportsFailures, let error = source.setUpError {
                    throw StoreError(
                        .failed,
                        "\(source.text): \(error.message)",
                        hint: error.hint.isEmpty ? nil : error.hint
                    )
                }
                Self.warnOfUnusable(source, warn)
                if let error = source.listError { warn("\(source.text): \(error.message)\(Self.hint(error))") }
            }
        }
        for name in wanted.sorted() {
            guard let failure = asked.failure(of: name) else { continue }
            if !filled.contains(name) { failures[name] = failure }
            guard !isServing else { continue }
            let rest = filled.contains(name) ? "; its value is that of another source" : ""
            warn("\(failure.source): '\(name.shown)': \(failure.error.message)\(rest)")
        }
    }

    private static func hint(_ error: ProviderError) -> String { error.hint.isEmpty ? "" : " (\(error.hint))" }

    /// State of a source, as it was read or asked last.
    struct State {
        let address: String
        let failure: StoreError?
        let latency: Int64?
        let names: Set<SecretName>
        let asked: AskedSource?
    }

    /// States of the sources, in their order.
    var states: [State] {
        layers.map { layer in
            State(
                address: layer.address.text,
                failure: layer.failure,
                latency: layer.latency,
                names: Set((layer.entries ?? []).map(\.name)),
                asked: layer.asked
            )
        }
    }

    /// A value is declared for a name that no source has.
    func hasDefault(_ name: SecretName) -> Bool { defaults.contains { $0.name == name } }

    /// Processes that ask, which nobody waits for.
    package var helpers: [Int32] { layers.compactMap(\.helper) + [keeper?.id].compactMap(\.self) }

    /// Why a name has no value: the source is not available, or knows no such secret.
    package func failure(of name: SecretName) -> StoreError? {
        // A source that cannot say which names there are may have this one.
        let unlisted = asked?.sources.last { $0.listError != nil }
        guard let source = failures[name]?.source ?? unlisted?.text,
            let error = failures[name]?.error ?? unlisted?.listError
        else { return nil }
        return StoreError(
            error.kind == .notFound ? .noSuchSecret : .unavailable,
            "\(source): '\(name.shown)': \(error.message)",
            hint: error.hint.isEmpty ? nil : error.hint
        )
    }

    /// Error of the first name without a value among those that sources name or list, or of a list that cannot be had; at the
    /// start alone, since a server goes on with what there is.
    ///
    /// - Parameter only: names that are wanted; nil for all.
    /// - Returns: nil where each has a value.
    package func firstMissing(only: Set<SecretName>?) -> StoreError? {
        guard !isServing else { return nil }
        for source in asked?.sources ?? [] {
            if let error = source.listError {
                return StoreError(
                    error.kind == .notFound ? .noSuchSecret : .unavailable,
                    "\(source.text): \(error.message)",
                    hint: error.hint.isEmpty ? nil : error.hint
                )
            }
            let names = source.promised.filter { failures[$0] != nil && only?.contains($0) != false }
            if let name = names.min() { return failure(of: name) }
        }
        return nil
    }

    /// Names without a value since a source fails; that it knows no such secret is no failure.
    package var unavailable: Set<SecretName> {
        Set(failures.filter { $0.value.error.kind != .notFound }.keys)
    }

    /// Begins to ask again by itself, on a thread; from now on nobody waits for a source here.
    ///
    /// - Throws: the error of pthread_create(3).
    package func serve() throws(Errno) {
        isServing = true
        try asked?.begin()
    }

    /// Puts sealed values of before in the place of those that say the same: they have not changed.
    private static func keepSame(
        _ entries: inout [SecretEntry],
        _ before: [SecretEntry],
        _ keys: StoreKeys
    ) throws(StoreError) {
        let comparison = try ValueComparison(keys)
        var old: [SecretName: SecretEntry] = [:]
        for entry in before { old[entry.name] = entry }
        for index in entries.indices {
            guard let entry = old[entries[index].name], case .sealed(let value) = entry.value,
                case .sealed(let new) = entries[index].value,
                // What another data key sealed opens no more, and is none to compare with.
                (try? comparison.areSame(value, new, as: entry.name)) == true
            else { continue }
            entries[index] = entry
        }
    }

    /// Warns of what looks like `NAME=VALUE`, without what follows.
    private static func warnOfNames(_ entries: [SecretEntry], _ address: SourceAddress, _ warn: (String) -> Void) {
        for entry in entries where entry.name.text.contains("=") {
            warn(
                "\(address.type.scheme): a name has '=' in it ('\(entry.name.shown)'): a value is content, "
                    + "and everybody may see names"
            )
        }
    }

    /// Warns of what a server lists and no secret can be called.
    private static func warnOfUnusable(_ source: AskedSource, _ warn: (String) -> Void) {
        let names = source.unusable
        guard !names.isEmpty else { return }
        let list = Names.abbreviated(names.map { "'\(SecretName.shown($0))'" })
        let count = names.count == 1 ? "a key is" : "\(names.count) keys are"
        warn(
            "\(source.text): \(count) left out, which no secret can be called: \(list) (names=NAME=KEY gives another name)"
        )
    }

    /// Wipes the keys of this process; what the store's data key brings back is made by the next `over`.
    package func forgetKeys() {
        asked?.forgetKeys()
        keys?.forget()
    }

    private static func read(
        _ address: SourceAddress,
        _ keys: StoreKeys,
        _ access: SourceAccess,
        _ now: Timestamp
    ) throws -> [SecretEntry] {
        do {
            let source = try address.type.open(address.location, access)
            return try source.read(sealedWith: keys, now: now).entries
        } catch let error as StoreError {
            throw StoreError(error.code, "\(address.type.scheme): \(error.message)", hint: error.hint)
        }
    }

    /// Keys of this process, made anew where a lock has wiped them.
    private func processKeys(_ storeKeys: StoreKeys) throws -> StoreKeys {
        if let keys, !keys.areForgotten { return keys }
        let process = try process ?? StoreError.wrapping { () throws(SealingError) in try StoreID.random() }
        self.process = process
        let keys = try storeKeys.withDataKey { (key) throws in
            try StoreKeys(
                dataKey: try StoreError.wrapping { () throws(SealingError) in try key.copy() },
                store: process
            )
        }
        for layer in layers {
            guard let entry = layer.kept?.first, case .sealed(let value) = entry.value else { continue }
            do {
                try keys.readParts(of: value, as: entry.name) { _ in }
            } catch {
                throw StoreError(
                    .authentication,
                    "the values of \(layer.address.text) cannot be opened: the store has had a new data key since",
                    hint: "mount, or run, anew"
                )
            }
        }
        self.keys = keys
        return keys
    }
}
