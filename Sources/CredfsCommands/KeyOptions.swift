// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import Glibc
internal import SecretStore
internal import SecureFiles
internal import SecureMemory
internal import SystemCalls
internal import SystemPackage

/// The options that say where a key or password comes from.
///
/// Never its value: arguments are public.
struct KeyOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("Read the key from a file (CREDFS_KEY_FILE).", valueName: "file"),
        completion: .file(),
        transform: PathArgument.parse
    )
    var keyFile: String?

    @Option(help: ArgumentHelp("Read the key from an open descriptor.", valueName: "number"))
    var keyFd: Int32?

    @OptionGroup var password: PasswordOptions

    @Option(
        help: ArgumentHelp("Read age identities from a file (CREDFS_AGE_KEY_FILE).", valueName: "file"),
        completion: .file(),
        transform: PathArgument.parse
    )
    var identity: String?

    @Option(help: ArgumentHelp("Open this key slot and no other.", valueName: "id"))
    var slot: String?

    func validate() throws {
        if [keyFile != nil, keyFd != nil, password.isGiven, identity != nil].count(where: { $0 }) > 1 {
            throw ValidationError("name one key, password or identity, not several.")
        }
    }

    /// Recovers the keys of a store.
    ///
    /// What a flag names is used, then the key that a variable names, then the key file of the store, then an age
    /// identity, then a password. What fails is an error: the next way is never tried.
    func unlock(_ store: Store, _ manifest: Manifest, _ context: CommandContext) throws -> StoreKeys {
        try open(store, manifest, context).keys
    }

    /// Recovers the keys and checks the signature.
    func verify(
        _ loaded: LoadedManifest,
        _ store: Store,
        _ context: CommandContext
    ) throws -> VerifiedManifest {
        try loaded.verified(with: unlock(store, loaded.manifest, context))
    }

    /// Recovers the keys if that needs no question.
    ///
    /// - Returns: nil where only a person could open the store.
    func unlockSilently(_ store: Store, _ manifest: Manifest, _ context: CommandContext) throws -> StoreKeys? {
        let way = try way(store, manifest, context)
        if way == .password && !password.isGivenByVariable(context) { return nil }
        return try open(way, store, manifest, context).keys
    }

    /// What opened a store.
    struct Unlocked {
        let keys: StoreKeys
        /// The slot that gave them.
        let slot: String
        /// What was presented.
        let presented: PresentedKey
    }

    /// As `unlock`, with what was used.
    func open(_ store: Store, _ manifest: Manifest, _ context: CommandContext) throws -> Unlocked {
        try open(way(store, manifest, context), store, manifest, context)
    }

    /// How often a person is asked for a password.
    private static let questions = 3

    private func open(
        _ way: Way,
        _ store: Store,
        _ manifest: Manifest,
        _ context: CommandContext
    ) throws -> Unlocked {
        let isAsked = way == .password && !password.isGivenByVariable(context)
        for _ in 1..<(isAsked ? Self.questions : 1) {
            do {
                return try openOnce(way, store, manifest, context)
            } catch let error as StoreError where error.code == .incorrectPassword {
                context.console.warning(error.message)
            }
        }
        return try openOnce(way, store, manifest, context)
    }

    private func openOnce(
        _ way: Way,
        _ store: Store,
        _ manifest: Manifest,
        _ context: CommandContext
    ) throws -> Unlocked {
        do {
            if way == .password { try store.checkAttempts(manifest.store) }
            let presented = PresentedKey(try material(way, store, context))
            let opening = try presented.open(manifest, of: store, slot: slot)
            context.audit.begin(store, opening.keys)
            return Unlocked(keys: opening.keys, slot: opening.slot, presented: presented)
        } catch let error as StoreError {
            context.recordDenial(error, manifest.store)
            throw error
        }
    }

    /// What opens a store, decided before anything is read.
    private enum Way: Equatable {
        case keyFile(String)
        case keyDescriptor(Int32)
        case givenPassword
        case identityFile(String)
        case keyVariable
        case keyOfStore
        case identities(AgeIdentitySource)
        /// One that a variable names, or the answer to a question.
        case password
    }

    private func way(_ store: Store, _ manifest: Manifest, _ context: CommandContext) throws -> Way {
        if let slot, manifest.slots[slot] == nil {
            throw CommandError(
                .authentication,
                "the manifest has no key slot of that name",
                hint: "its slots are \(manifest.slots.keys.sorted().joined(separator: ", "))"
            )
        }
        if let keyFile { return .keyFile(keyFile) }
        if let keyFd { return .keyDescriptor(keyFd) }
        if password.isGiven { return .givenPassword }
        if let identity { return .identityFile(identity) }
        // The kinds of slot that may open it; a slot that is named leaves one.
        let kinds = manifest.slots.filter { slot == nil || $0.key == slot }.values.map(\.kind)
        if slot == nil || kinds.contains(.keyFile) {
            if context.secrets.hasKey { return .keyVariable }
            if let path = context.path("CREDFS_KEY_FILE") { return .keyFile(path) }
            // One that was left behind when its slot was removed opens nothing.
            if kinds.contains(.keyFile), try store.hasKeyFile() { return .keyOfStore }
        }
        // Identities of other tools lie in the usual places: they count only for a store that knows some.
        if kinds.contains(where: \.isAge), let source = try AgeIdentitySource.configured(context) {
            return .identities(source)
        }
        if kinds.contains(where: \.isPassword) { return .password }
        throw Self.nothingAtHand(store, kinds)
    }

    private static func nothingAtHand(_ store: Store, _ kinds: [KeySlot.Kind]) -> CommandError {
        guard kinds.contains(.keyFile) else {
            return CommandError(
                .authentication,
                "there is no age identity",
                hint: "name a file with --identity or CREDFS_AGE_KEY_FILE"
            )
        }
        return CommandError(
            .authentication,
            "there is no key: \(store.keyPath) does not exist",
            hint: "put it there, or name it: --key-file, CREDFS_KEY_FILE or CREDFS_KEY; without a key (a fork in CI): "
                + "credfs verify --no-key"
        )
    }

    private func material(_ way: Way, _ store: Store, _ context: CommandContext) throws -> KeyMaterial {
        switch way {
        case .keyFile(let path): return try Self.key(inFile: context.located(path), store.checker)
        case .keyDescriptor(let number): return try Self.key(fromDescriptor: number)
        case .givenPassword: return .password(try password.given(context, store.checker))
        case .identityFile(let path):
            return .identities(try AgeIdentitySource.identities(inFile: context.located(path), store.checker))
        case .keyVariable: return try Self.keyInVariable(context)
        case .keyOfStore:
            guard let key = try store.readKeyFile() else { throw Self.nothingAtHand(store, [.keyFile]) }
            return .keyFile(key)
        case .identities(let source): return .identities(try source.identities(context, store.checker))
        case .password:
            return .password(try password.givenByVariableOrAsked(context, store.checker, store: store.location))
        }
    }

    /// The key in the variable CREDFS_KEY.
    static func keyInVariable(_ context: CommandContext) throws -> KeyMaterial {
        guard let text = context.secrets.takeKey() else {
            throw CommandError(.failed, "the variable CREDFS_KEY was used already")
        }
        return .keyFile(
            try text.withBytes { (text) throws(StoreError) in
                try KeyFile.parse(text, from: "the variable CREDFS_KEY")
            }
        )
    }

    static func key(inFile path: String, _ checker: PermissionChecker) throws(StoreError) -> KeyMaterial {
        let text = try Store.readSecretFile(path, checker)
        return .keyFile(try text.withBytes { (text) throws(StoreError) in try KeyFile.parse(text, from: path) })
    }

    static func key(fromDescriptor number: Int32) throws(StoreError) -> KeyMaterial {
        let origin = "descriptor \(number)"
        let text = try InheritedDescriptor.read(number, limit: Store.maximumKeyFileByteCount)
        return .keyFile(try text.withBytes { (text) throws(StoreError) in try KeyFile.parse(text, from: origin) })
    }
}

/// Descriptors that the caller opened for us.
enum InheritedDescriptor {
    /// Reads one to its end and closes it, unless it is a standard stream.
    static func read(_ number: Int32, limit: Int) throws(StoreError) -> SecureBuffer {
        guard number >= 0 else { throw StoreError(.usage, "a descriptor is a number from 0 on") }
        let name = "descriptor \(number)"
        let inherited = OwnedDescriptor(owning: number)
        guard number <= Console.standardError else {
            return try StoreDirectory.readSecret(inherited, name, limit: limit)
        }
        // A closed standard stream would become the next file that is opened; an open one would be a job's to read again.
        let copy = try StoreError.wrapping("read", name) { () throws(Errno) in
            let copy = try inherited.duplicate()
            try OwnedDescriptor.open("/dev/null", number == 0 ? O_WRONLY : O_RDONLY).take(place: number)
            return copy
        }
        _ = inherited.release()
        return try StoreDirectory.readSecret(copy, name, limit: limit)
    }
}
