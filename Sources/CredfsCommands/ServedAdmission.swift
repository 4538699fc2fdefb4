// SPDX-License-Identifier: Apache-2.0

internal import Jobs
internal import ProcessControl
internal import Sealing
internal import SecretFileSystem
internal import SecretSources
internal import SecretStore
internal import SystemCalls
internal import SystemPackage

/// Store of a live `run` or `mount`, which is read again with the options and keys that it was opened with.
final class ServedAdmission: ServedStore {
    /// Time for whoever unlocks to write the key.
    private static let patience = Duration.seconds(2)

    private let operation: OperationEvent.Operation
    private let options: StoreOptions
    private let keyOptions: KeyOptions
    private let rules: AdmissionOptions
    private let sources: SourceOverlay
    private let context: CommandContext
    /// The store of the start.
    private let store: StoreID?
    private var keys: StoreKeys?
    /// The keys of the start, which others hold, too.
    private let firstKeys: StoreKeys?

    /// Makes one; nil where no secrets are shown, or keys are not at hand.
    init?(
        _ operation: OperationEvent.Operation,
        _ admitted: Admission,
        _ options: StoreOptions,
        _ keyOptions: KeyOptions,
        _ rules: AdmissionOptions,
        _ sources: SourceOverlay,
        _ context: CommandContext
    ) {
        self.sources = sources
        guard admitted.auth == .authenticated else { return nil }
        self.operation = operation
        self.options = options
        self.context = context
        store = admitted.manifest?.store
        keys = admitted.keys
        firstKeys = admitted.keys
        var keyOptions = keyOptions
        // Descriptors were read and closed: their numbers may stand for something else by now.
        keyOptions.keyFd = nil
        keyOptions.password.passwordFd = nil
        self.keyOptions = keyOptions
        var rules = rules
        rules.onReject = "fail"
        self.rules = rules
    }

    func snapshot(after previous: Snapshot) throws -> Snapshot {
        try admit(after: previous, "reloaded") { [self] (store, manifest) in
            if let keys, let loaded = try? LoadedManifest(store), (try? loaded.verified(with: keys)) != nil {
                return keys
            }
            return try keyOptions.unlockSilently(store, manifest, context)
        }
    }

    var notice: Int32 { sources.asked?.notice ?? -1 }

    func takeNotice() { sources.asked?.takeChange() }

    func begin() throws(Errno) { try sources.serve() }

    func end() { sources.asked?.end() }

    var refresh: SourceRefresh {
        guard let asked = sources.asked else { return { SourceRefreshing.failure(of: $0, nil) } }
        return { SourceRefreshing.failure(of: $0, asked) }
    }

    var health: SourceHealth {
        let sources = sources.asked?.sources ?? []
        return { LiveHealth.answer(sources, $0) }
    }

    /// What the servers of a mount alone can derive; nil while it is locked.
    func keeperToken(for mount: String) -> Key256? { try? keys?.keeperToken(for: mount) }

    func lock() {
        for keys in [keys, firstKeys] { keys?.forget() }
        sources.forgetKeys()
        keys = nil
        record(.success, "locked")
    }

    func unlock(with pipe: ReceivedDescriptor, after previous: Snapshot) throws -> Snapshot {
        guard !rules.storeless.noStore else { throw Storeless.lost }
        let dataKey = try Self.key(from: pipe)
        return try admit(after: previous, "unlocked") { [context] (store, manifest) in
            let keys = try StoreKeys(
                dataKey: try StoreError.wrapping { () throws(SealingError) in try dataKey.copy() },
                store: manifest.store
            )
            context.audit.begin(store, keys)
            return keys
        }
    }

    private static func key(from pipe: ReceivedDescriptor) throws -> Key256 {
        let failure = CommandError(.authentication, "no key came with the request")
        return try Key256.filled(orThrow: { CommandError(StoreError.sealing($0)) }) { (bytes) throws(CommandError) in
            let count = try? pipe.descriptor.readPipe(into: &bytes, within: patience)
            guard count == Key256.byteCount else { throw failure }
        }
    }

    /// Reads the manifest again, checks it as at the start, and records how that ended.
    private func admit(
        after previous: Snapshot,
        _ action: String,
        unlock: (Store, Manifest) throws -> StoreKeys?
    ) throws -> Snapshot {
        // What the run or mount itself was is recorded at its end.
        let (subjects, decided) = (context.subjects, context.decided)
        defer { (context.subjects, context.decided) = (subjects, decided) }
        do {
            let next = try decide { (store, manifest) in
                // Whoever can write to the directory could put a store there that he has the key of.
                guard manifest.store == self.store ?? manifest.store else {
                    throw CommandError(
                        .authentication,
                        "another store has taken the place of the one that is mounted",
                        hint: "to show that one, end this mount first"
                    )
                }
                return try unlock(store, manifest)
            }
            guard let snapshot = next.snapshot(now: context.now(), after: previous) else {
                throw CommandError(.failed, "secrets are ignored now")
            }
            keys = next.keys
            record(.success, action)
            return snapshot
        } catch {
            record(.failed, "not \(action): \(CommandError(anyError: error).message)")
            throw error
        }
    }

    private func decide(_ unlock: (Store, Manifest) throws -> StoreKeys?) throws -> Admission {
        guard rules.storeless.noStore else {
            return try Admission.decide(options, keyOptions, rules, sources, context, unlock: unlock)
        }
        guard let keys else { throw Storeless.lost }
        return try Admission.decideWithoutStore(Storeless(keys), rules, sources, context)
    }

    func reportReload(of generation: UInt64) { context.console.note("serving generation \(generation)") }

    func report(_ error: any Error) { context.console.error(CommandError(anyError: error)) }

    func reportSkipped(_ error: any Error) {
        let message = CommandError(anyError: error).message
        context.console.warning("the manifest or a source has changed and is not accepted: \(message)")
    }

    func failure(of error: any Error) -> ControlAnswer.Failure {
        let error = CommandError(anyError: error)
        return .init(status: error.status.code, message: error.message, hint: error.hint)
    }

    private func record(_ status: OperationEvent.Status, _ reason: String) {
        context.recorder.record(
            OperationEvent(operation, context.subjects, status: status, reason: reason, store: context.store)
        )
    }
}
