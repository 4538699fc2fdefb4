// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import Glibc
internal import SecretStore
internal import SecureMemory
internal import SystemCalls
internal import SystemPackage

/// The options that say where a key or password comes from.
///
/// Never its value: arguments are public.
struct KeyOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Read the key from a file (CREDFS_KEY_FILE).", valueName: "file"))
    var keyFile: String?

    @Option(help: ArgumentHelp("Read the key from an open descriptor.", valueName: "number"))
    var keyFd: Int32?

    @OptionGroup var password: PasswordOptions

    @Option(help: ArgumentHelp("Open this key slot and no other.", valueName: "id"))
    var slot: String?

    func validate() throws {
        if [keyFile != nil, keyFd != nil, password.isGiven].count(where: { $0 }) > 1 {
            throw ValidationError("name one key or password, not several.")
        }
    }

    /// Recovers the keys of a store.
    ///
    /// What a flag names is used, then what a variable names, then the key file of the store, then a password that is
    /// asked for. What fails is an error: the next way is never tried.
    func unlock(_ store: Store, _ manifest: Manifest, _ context: CommandContext) throws -> StoreKeys {
        let keys = try manifest.unlock(with: try material(store, manifest, context), slot: slot)
        context.audit.begin(store, keys)
        return keys
    }

    /// Recovers the keys if that needs no question.
    ///
    /// - Returns: nil where only a person could open the store.
    func unlockSilently(_ store: Store, _ manifest: Manifest, _ context: CommandContext) throws -> StoreKeys? {
        guard try isAnswered(store, manifest, context) else { return nil }
        return try unlock(store, manifest, context)
    }

    private func isAnswered(_ store: Store, _ manifest: Manifest, _ context: CommandContext) throws -> Bool {
        if keyFile != nil || keyFd != nil || password.isGiven || password.isGivenByVariable(context) { return true }
        if let slot, let kind = manifest.slots[slot]?.kind, kind != .keyFile { return false }
        return try slot != nil || context.secrets.hasKey || keyFileVariable(context) != nil || store.hasKeyFile()
    }

    private func keyFileVariable(_ context: CommandContext) -> String? {
        context.environment("CREDFS_KEY_FILE").flatMap { $0.isEmpty ? nil : $0 }
    }

    private func material(
        _ store: Store,
        _ manifest: Manifest,
        _ context: CommandContext
    ) throws -> KeyMaterial {
        if let slot, manifest.slots[slot] == nil {
            throw CommandError(
                .authentication,
                "the manifest has no key slot '\(slot)'",
                hint: "its slots are \(manifest.slots.keys.sorted().joined(separator: ", "))"
            )
        }
        if let keyFile { return try Self.key(inFile: keyFile, store.checker) }
        if let keyFd { return try Self.key(fromDescriptor: keyFd) }
        if password.isGiven { return .password(try password.given(context, store.checker)) }
        if let slot, let kind = manifest.slots[slot]?.kind, kind != .keyFile {
            return .password(try password.givenByVariableOrAsked(context, store.checker, store: store.location))
        }
        if let text = context.secrets.takeKey() {
            return .keyFile(
                try text.withBytes { (text) throws(StoreError) in
                    try KeyFile.parse(text, from: "the variable CREDFS_KEY")
                }
            )
        }
        if let path = keyFileVariable(context) { return try Self.key(inFile: path, store.checker) }
        if try store.hasKeyFile(), let key = try store.readKeyFile() { return .keyFile(key) }
        guard manifest.slots.values.contains(where: { $0.kind != .keyFile }) else {
            throw CommandError(
                .authentication,
                "there is no key: \(store.keyPath) does not exist",
                hint: "put the key file there, or name it with --key-file or CREDFS_KEY_FILE"
            )
        }
        return .password(try password.givenByVariableOrAsked(context, store.checker, store: store.location))
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
        guard number <= Console.standardError else { return try Folder.readSecret(inherited, name, limit: limit) }
        // A closed standard stream would become the next file that is opened, and messages would be written to it.
        let copy = try StoreError.wrapping("read", name) { () throws(Errno) in try inherited.duplicate() }
        _ = inherited.release()
        return try Folder.readSecret(copy, name, limit: limit)
    }
}
