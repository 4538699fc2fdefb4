// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import Glibc
internal import PlaintextDocuments
internal import SecretStore
internal import SystemCalls

/// The command `credfs encrypt`.
struct EncryptCommand: CredfsCommand {
    static let configuration = CommandConfiguration(
        commandName: "encrypt",
        abstract: "Seal the plaintext values of the manifest, or of a template elsewhere.",
        discussion: """
            Without FILE, every value of the manifest that is not sealed is sealed where it stands, and the manifest \
            is signed again after what changed since the last signature was printed. With FILE, its secrets are sealed \
            into the store; then FILE is overwritten and removed. Secrets that FILE does not name stay as they are.

            EXAMPLES:
              credfs encrypt                             # sign what was edited
              credfs encrypt template.yaml               # seal it, then remove it
              credfs encrypt --manifest secrets.yaml
            """
    )
    static let operation = OperationEvent.Operation.encrypt
    static let needsProc = true

    @OptionGroup(title: HelpText.storeTitle) var options: StoreOptions
    @OptionGroup(title: HelpText.keyTitle) var keyOptions: KeyOptions

    @Argument(
        help: ArgumentHelp("A plaintext template: 'secrets:' as in a manifest.", valueName: "file"),
        completion: .file(),
        transform: PathArgument.parse
    )
    var file: String?

    @Flag(name: .shortAndLong, help: "Do not ask before key slots or a header are signed that were changed by hand.")
    var yes = false

    func run(_ context: CommandContext) throws {
        let store = try options.open(context)
        if let file {
            let document = try PlaintextFile(file)
            // As a template it would be replaced, and then overwritten and removed.
            if try store.hasManifest(), try document.isSame(as: PlaintextFile(manifestOf: store).descriptor) {
                return try sealInPlace(store, context)
            }
            try sealTemplate(document, into: store, context)
        } else {
            try sealInPlace(store, context)
        }
    }

    private func sealInPlace(_ store: Store, _ context: CommandContext) throws {
        try store.checkPermissions()
        let document = try PlaintextFile(manifestOf: store)
        let sealing = try DocumentSealing.begin(document.descriptor, .manifest)
        let header = try sealing.header.manifest()
        context.store = header.store
        let keys = try keyOptions.unlock(store, header, context)
        let result = try finish(sealing, keys, context)
        context.subjects.secrets = result.sealedNames.compactMap(SecretName.init)
        try document.requireUnchanged()
        let manifest = try result.reading.manifest()
        let isSigned = try result.reading.signature.map { try keys.isSignature($0, of: manifest) } ?? false
        if isSigned && result.sealedNames.isEmpty {
            context.console.note("every value is sealed and the signature holds: nothing to do")
        } else {
            try sign(manifest, of: document, store, keys, context)
            if !result.sealedNames.isEmpty {
                try document.overwrite()
                context.console.note("sealed \(result.sealedNames.joined(separator: ", "))")
                warnOfComments(manifest.comments, context)
                sayWhatOverwritingProves(context)
            }
        }
        warnOfLeftovers(document, context)
    }

    /// Signs what the document says once it is known what is new in it and that it is meant, and puts it into its place.
    private func sign(
        _ manifest: Manifest,
        of document: PlaintextFile,
        _ store: Store,
        _ keys: StoreKeys,
        _ context: CommandContext
    ) throws {
        var manifest = manifest
        let last = store.lastSigned(keys)
        try NewNames.check(manifest, since: last, context)
        printChanges(to: manifest, since: last, context)
        let changes = HandmadeChanges(manifest, since: last)
        try store.generation(after: manifest.generation)
        try requireConsent(to: changes, context)
        context.subjects.slots = changes.slots
        context.subjects.secrets = last.map { manifest.namesChanged(since: $0) } ?? manifest.secrets.map(\.name)
        // Nobody is kept waiting for the answer; what it was about must still be so.
        try store.withLock(keys.store, waiting: context.noteWaiting) {
            try document.requireUnchanged()
            guard store.lastSigned(keys) == last else {
                throw CommandError(
                    .failed,
                    "another command has signed a manifest meanwhile: nothing was changed",
                    hint: "run it again, so that what is new is compared with that one"
                )
            }
            manifest.generation = max(manifest.generation, last?.generation ?? 0)
            try store.commit(
                manifest,
                signedWith: keys,
                previous: nil,
                permissions: try store.manifestPermissions(document.descriptor),
                now: context.now()
            )
        }
    }

    private func sealTemplate(_ document: PlaintextFile, into store: Store, _ context: CommandContext) throws {
        let before = try LoadedManifest(store)
        context.store = before.manifest.store
        if try document.isReadableByOthers() {
            context.console.warning("\(document.path) could be read by others: whoever did has its values")
        }
        let sealing = try DocumentSealing.begin(document.descriptor, .template)
        let keys = try keyOptions.unlock(store, before.manifest, context)
        let result = try finish(sealing, keys, context)
        context.subjects.secrets = result.sealedNames.compactMap(SecretName.init)
        try store.update(keys, now: context.now(), waiting: context.noteWaiting) { manifest in
            let old = manifest
            manifest.merge(result.reading)
            try manifest.reenter(result.sealedNames, keys, now: context.now())
            try NewNames.check(manifest, since: old, context)
            printChanges(to: manifest, since: old, context)
            try document.requireUnchanged()
        }
        try document.requireUnchanged()
        try document.overwrite()
        try document.remove()
        warnOfComments(result.reading.comments, context)
        context.console.note(
            "sealed \(Count.pluralized(result.sealedNames.count, "value")); \(document.path) was overwritten and removed"
        )
        sayWhatOverwritingProves(context)
        warnOfLeftovers(document, context)
    }

    private func finish(
        _ sealing: DocumentSealing,
        _ keys: StoreKeys,
        _ context: CommandContext
    ) throws -> DocumentSealing.Result {
        let progress = Progress("sealing", context.console)
        defer { progress.end() }
        return try sealing.finish(keys) { progress.update($0, of: $1) }
    }

    private func printChanges(to manifest: Manifest, since old: Manifest?, _ context: CommandContext) {
        guard let old else {
            context.console.warning("no earlier signed state is known here: every entry counts as new")
            for slot in manifest.slots.keys.sorted() { context.console.note("changed: slot \(slot): added") }
            for secret in manifest.secrets { context.console.note("changed: \(secret.name.text): added") }
            return
        }
        for line in manifest.changes(since: old) { context.console.note("changed: \(line)") }
    }

    /// Asks whether slots and a header that no command of credfs has written here are meant.
    ///
    /// A slot that was taken away opens every value again once it is put back and signed; others may have added one. Only a
    /// person can tell.
    private func requireConsent(to changes: HandmadeChanges, _ context: CommandContext) throws {
        for message in changes.messages { context.console.warning(message) }
        guard !changes.messages.isEmpty, !yes else { return }
        guard isatty(0) == 1 else {
            throw CommandError(
                .usage,
                "cannot ask whether to sign what was changed by hand: nothing was changed",
                hint: "look at it, and pass --yes if all of it is meant"
            )
        }
        guard !context.console.confirms("sign them?") else { return }
        throw CommandError(
            .failed,
            "what was changed by hand was not signed: nothing was changed",
            hint: "take it out of the manifest, then: credfs encrypt"
        )
    }

    /// Comments are kept, and somebody may have put an old value into one.
    private func warnOfComments(_ comments: ManifestComments, _ context: CommandContext) {
        if !comments.isEmptyButForTheFirst {
            context.console.warning("comments are kept as they are: make sure that none holds a value")
        }
    }

    private func sayWhatOverwritingProves(_ context: CommandContext) {
        context.console.note(
            "overwriting proves nothing on copy-on-write or flash storage; 'credfs edit' and 'credfs set' write no plaintext"
        )
    }

    private func warnOfLeftovers(_ document: PlaintextFile, _ context: CommandContext) {
        for path in (try? document.editorLeftovers()) ?? [] {
            context.console.warning("\(path) may hold the same plaintext: remove it")
        }
    }
}

extension Manifest {
    /// Takes over what a template says; nothing that the template does not name is touched.
    fileprivate mutating func merge(_ template: ManifestReader.Reading) {
        var positions = Dictionary(secrets.enumerated().map { ($1.name, $0) }) { first, _ in first }
        for entry in template.secrets ?? [] {
            if let index = positions[entry.name] {
                secrets[index] = secrets[index].updated(by: entry)
            } else {
                positions[entry.name] = secrets.count
                secrets.append(entry)
            }
        }
        if let expires = template.expires { self.expires = expires }
        comments.secrets.merge(template.comments.secrets) { _, new in new }
    }

    /// Enters new values again with the newline policy and the format that their entries had before the template came.
    fileprivate mutating func reenter(_ names: [String], _ keys: StoreKeys, now: Timestamp) throws(StoreError) {
        let names = Set(names)
        var cipher = try keys.valueCipher()
        for index in secrets.indices where names.contains(secrets[index].name.text) {
            guard secrets[index].newline != .exact || secrets[index].format != nil,
                case .sealed(let value) = secrets[index].value
            else { continue }
            try secrets[index].enter(cipher.open(value, as: secrets[index].name), with: &cipher, now: now)
        }
    }
}
