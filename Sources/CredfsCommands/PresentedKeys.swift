// SPDX-License-Identifier: Apache-2.0

internal import SecretStore
internal import SecureMemory
internal import SystemCalls

/// Collects what keeps slots through a new data key.
struct PresentedKeys {
    let store: Store
    let manifest: Manifest
    let context: CommandContext

    /// Gets what opens each slot that has to stay.
    ///
    /// - Parameters:
    ///   - unlocked: what opened the store.
    ///   - dropped: the slots that go.
    ///   - keyFiles: further keys; each must open a slot.
    ///   - passwordFiles: further passwords; likewise.
    /// - Returns: keys by the identifiers of their slots.
    /// - Throws: status 64 naming the slots that nothing at hand opens.
    func openers(
        _ unlocked: KeyOptions.Unlocked,
        dropping dropped: Set<String>,
        keyFiles: [String],
        passwordFiles: [String]
    ) throws -> [String: KeyMaterial] {
        var openers = [unlocked.slot: unlocked.presented]
        try note(unlocked.presented, &openers)
        for path in keyFiles { try add(.keyFile(at: path, store.checker), &openers) }
        for path in passwordFiles {
            try add(.password(PasswordOptions.password(inFile: path, store.checker)), &openers)
        }
        func uncovered(_ type: (any SlotType.Type)? = nil) throws -> [String] {
            try DataKeyRotation(openers: openers, dropped: dropped).uncovered(manifest.slots)
                .filter { identifier in
                    manifest.slots[identifier].map { type?.isKind(of: $0.kind) ?? true } ?? false
                }
        }
        if try !uncovered(KeyFileSlot.self).isEmpty { try noteKeysAtHand(&openers) }
        if try !uncovered(PasswordSlot.self).isEmpty,
            let password = try PasswordOptions.givenByVariable(context, store.checker)
        {
            try add(.password(password), &openers)
        }
        let lost = try uncovered(KeyFileSlot.self)
        for identifier in try uncovered(PasswordSlot.self) where lost.isEmpty && PasswordPrompt.canAsk {
            // An answer before may have been that of this slot, too.
            if openers[identifier] == nil { try ask(for: identifier, &openers) }
        }
        let rest = try uncovered()
        guard rest.isEmpty else { throw Self.notPresented(rest) }
        return openers
    }

    private static func notPresented(_ slots: [String]) -> CommandError {
        CommandError(
            .usage,
            "nothing at hand opens these slots, which a new data key needs: \(slots.joined(separator: ", "))",
            hint: "present their keys (--also-key-file, --also-password-file), or let them go (--drop-slot ID)"
        )
    }

    /// Adds a key that must open a slot; passwords are counted.
    private func add(
        _ key: KeyMaterial,
        slot: String? = nil,
        _ openers: inout [String: KeyMaterial]
    ) throws {
        do throws(StoreError) {
            openers[try store.open(manifest, with: key, slot: slot).slot] = key
        } catch {
            context.recordDenial(error, manifest.store)
            throw error
        }
        try note(key, &openers)
    }

    /// Notes every slot that a key opens; only for a key that was found right before, or no password.
    private func note(_ key: KeyMaterial, _ openers: inout [String: KeyMaterial]) throws {
        for (identifier, slot) in manifest.slots where openers[identifier] == nil {
            if try key.opens(slot, identifier, manifest.store) { openers[identifier] = key }
        }
    }

    /// The keys that the order of `KeyOptions` would look at; one of another store is passed over.
    private func noteKeysAtHand(_ openers: inout [String: KeyMaterial]) throws {
        if context.hasSecret("CREDFS_KEY") { try note(.keyFile(inVariableOf: context), &openers) }
        if let path = context.path("CREDFS_KEY_FILE") {
            try note(.keyFile(at: path, store.checker), &openers)
        }
        if let key = try store.readKeyFile() { try note(.keyFile(key), &openers) }
    }

    private func ask(for identifier: String, _ openers: inout [String: KeyMaterial]) throws {
        try store.checkAttempts(manifest.store)
        let place = store.location.manifest ?? store.location.directory
        let password = try PasswordPrompt.ask("password of slot \(identifier) for \(place): ")
        try add(.password(password), slot: identifier, &openers)
    }
}
