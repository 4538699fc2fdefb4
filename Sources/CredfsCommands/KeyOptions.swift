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

    @Option(
        help: ArgumentHelp("Open this key slot and no other.", valueName: "id"),
        completion: SecretNameCompletion.slot
    )
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
        let offer = try offer(store, manifest, context)
        return offer.asks ? nil : try open(offer, store, manifest, context).keys
    }

    /// Keys of a store and what opened it.
    struct Unlocked {
        let keys: StoreKeys
        /// The slot that gave them.
        let slot: String
        /// Key material that was presented.
        let presented: KeyMaterial
    }

    /// As `unlock`, with what was used.
    func open(_ store: Store, _ manifest: Manifest, _ context: CommandContext) throws -> Unlocked {
        try open(offer(store, manifest, context), store, manifest, context)
    }

    /// Number of times that a person is asked for a password.
    private static let questions = 3

    private func open(
        _ offer: KeyOffer,
        _ store: Store,
        _ manifest: Manifest,
        _ context: CommandContext
    ) throws -> Unlocked {
        for _ in 1..<(offer.asks ? Self.questions : 1) {
            do {
                return try openOnce(offer, store, manifest, context)
            } catch let error as StoreError where error.code == .incorrectPassword {
                context.console.warning(error.message)
            }
        }
        return try openOnce(offer, store, manifest, context)
    }

    private func openOnce(
        _ offer: KeyOffer,
        _ store: Store,
        _ manifest: Manifest,
        _ context: CommandContext
    ) throws -> Unlocked {
        do {
            if offer.isGuess { try store.checkAttempts(manifest.store) }
            let presented = try offer.read()
            let opening = try store.open(manifest, with: presented, slot: slot)
            context.audit.begin(store, opening.keys)
            return Unlocked(keys: opening.keys, slot: opening.slot, presented: presented)
        } catch let error as StoreError {
            context.recordDenial(error, manifest.store)
            throw error
        }
    }

    /// Key material to open a store with, decided before anything is read.
    private func offer(_ store: Store, _ manifest: Manifest, _ context: CommandContext) throws -> KeyOffer {
        if let slot, manifest.slots[slot] == nil {
            throw CommandError(
                .authentication,
                "the manifest has no key slot of that name",
                hint: "its slots are \(manifest.slots.keys.sorted().joined(separator: ", "))"
            )
        }
        if let keyFile { return KeyOffer { try .keyFile(at: context.located(keyFile), store.checker) } }
        if let keyFd { return KeyOffer { try Self.key(fromDescriptor: keyFd) } }
        if password.isGiven { return KeyOffer { .password(try password.given(context, store.checker)) } }
        context.identityFile = identity
        if let identity { return KeyOffer { try .identities(at: context.located(identity), store.checker) } }
        // A slot that is named leaves one.
        let kinds = manifest.slots.filter { slot == nil || $0.key == slot }.values.map(\.kind)
        return try SlotTypes.offer(context, store, for: kinds, isNamed: slot != nil)
    }

    private static func key(fromDescriptor number: Int32) throws(StoreError) -> KeyMaterial {
        let origin = "descriptor \(number)"
        let text = try InheritedDescriptor.read(number, limit: Store.maximumKeyFileByteCount)
        return .keyFile(
            try text.withBytes { (text) throws(StoreError) in
                try KeyFile.parse(text, from: origin, ifEmpty: "nothing was written to it")
            }
        )
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

extension KeyOptions: ScannedOptions {
    mutating func scan(_ scanner: inout OptionScanner) throws {
        keyFile = try scanner.path("key-file")
        keyFd = try scanner.value("key-fd")
        password = try scanner.group()
        identity = try scanner.path("identity")
        slot = try scanner.value("slot")
        try validate()
    }
}
