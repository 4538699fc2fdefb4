// SPDX-License-Identifier: Apache-2.0

internal import Sealing
package import SecureFiles
package import SecureMemory
internal import SystemCalls
internal import SystemPackage

/// Makes a store, or puts the modes of one right.
///
/// Nothing that is there is overwritten.
package enum StoreCreation {
    /// First key slot of the new store.
    package enum Way: ~Copyable {
        /// A key file in the store directory, made unless it is there.
        case keyFile
        /// A key that is kept elsewhere.
        case givenKey(KeyMaterial)
        case password(SecureBuffer)
        /// Nothing but the secrets of recipients.
        case recipientsOnly
    }

    /// Modes that were put right or are right, in words.
    package struct Modes: Sendable, Equatable {
        /// The modes that hold now.
        package internal(set) var notes: [String] = []
        /// What others could get at before.
        package internal(set) var exposures: [String] = []

        package init() {}
    }

    package struct Outcome: Sendable {
        package let isNew: Bool
        /// The modes that hold now.
        package let modes: Modes
        /// The store, if it was made now.
        package let store: StoreID?
        /// Its keys, if it was made now.
        package let keys: StoreKeys?
    }

    private static let ignoreName = ".gitignore"
    private static let ignoredFiles = """
        # The key, what the store remembers, and what editors leave must never be committed.
        /secrets.key
        /state/
        /secrets.yaml.bak
        .*.tmp
        .*.sw?
        *~

        """

    /// Looks whether `run` would make a store, without making anything.
    ///
    /// - Parameters:
    ///   - location: where.
    ///   - checker: who judges the files.
    /// - Returns: whether a new store would be made.
    /// - Throws: class `permissions` for a directory that others use or for a link.
    package static func isNeeded(_ location: StoreLocation, _ checker: PermissionChecker) throws(StoreError) -> Bool {
        if Store.isCovered(location.directory) { return false }
        if let directory = try StoreDirectory.open(location.directory) { try refuseForeign(directory) }
        do throws(StoreError) {
            return try !Store(location, checker: checker).hasManifest()
        } catch {
            guard error.code == .noStore else { throw error }
            return true
        }
    }

    /// Makes or repairs a store.
    ///
    /// - Parameters:
    ///   - location: where.
    ///   - checker: who judges the files.
    ///   - secrets: the entries of a new manifest.
    ///   - recipients: whose owners open the new store, beside the way; at least one for `recipientsOnly`.
    ///   - now: the time.
    ///   - way: asked for only if there is no store yet.
    /// - Returns: what was done.
    /// - Throws: `StoreError`, or what `way` throws.
    package static func run(
        _ location: StoreLocation,
        _ checker: PermissionChecker,
        secrets: [SecretEntry],
        recipients: [any SlotRecipient] = [],
        now: Timestamp,
        way: () throws -> Way
    ) throws -> Outcome {
        if let modes = try repairedWithoutDirectory(location, checker) {
            try Store(location, checker: checker).checkPermissions()
            return Outcome(isNew: false, modes: modes, store: nil, keys: nil)
        }
        let directory = try StoreDirectory.make(location.directory)
        let identity = try StoreError.wrapping { () throws(SealingError) in try StoreID.random() }
        try ensureModes(directory)
        let store = try Store(location, checker: checker)
        return try store.withLock(identity, waiting: {}) {
            let isNew = try !store.hasManifest()
            var keys: StoreKeys?
            if isNew {
                let dataKey = try StoreError.wrapping { () throws(SealingError) in try Key256.random() }
                var slots = try slot(try way(), store, directory, dataKey, identity)
                for recipient in recipients {
                    let identifier = KeySlot.freeIdentifier(recipient.word, beside: slots)
                    slots[identifier] = try KeySlot.make(
                        sealing: dataKey,
                        for: recipient,
                        identifier: identifier,
                        store: identity
                    )
                }
                keys = try make(store, directory, dataKey, identity, slots: slots, secrets: secrets, now: now)
            } else if location.manifest == nil {
                _ = try directory.ensureMode(0o600, of: StoreLocation.manifestName)
            }
            var modes = try ensureStateModes(store)
            try store.checkPermissions()
            modes.notes = try notes(store, directory, modes.notes)
            return Outcome(isNew: isNew, modes: modes, store: keys?.store, keys: keys)
        }
    }

    /// Puts the modes of a store right that is there, as `run` does; a key and a manifest elsewhere are left alone.
    ///
    /// - Parameters:
    ///   - location: where it is.
    ///   - checker: who judges the files.
    /// - Returns: the modes that hold now.
    /// - Throws: class `noStore` if there is none; class `permissions` for what is no store of ours.
    package static func repair(_ location: StoreLocation, _ checker: PermissionChecker) throws(StoreError) -> Modes {
        guard let directory = try StoreDirectory.open(location.directory) else {
            guard let modes = try repairedWithoutDirectory(location, checker) else { throw Store.noStore(location) }
            return modes
        }
        let store = try Store(location, checker: checker)
        guard try store.hasManifest() else { throw Store.noStore(location) }
        let key = try directory.check(StoreLocation.keyName, .ownFile, PermissionChecker(isStrict: false))
        try ensureModes(directory)
        if location.manifest == nil { _ = try directory.ensureMode(0o600, of: StoreLocation.manifestName) }
        var modes = try ensureStateModes(store)
        if let mode = key?.permissions, mode & 0o077 != 0 {
            modes.exposures.append(
                "\(directory.path(of: StoreLocation.keyName)) may have been \(verb(mode)) by others: its mode was "
                    + "\(mode.octal), and whoever has it can read every secret; credfs keys add, keys remove and rotate make it useless"
            )
        }
        modes.notes = try notes(store, directory, modes.notes)
        // What modes cannot mend, such as a second name, does not make untrue what was mended.
        if (try? store.checkPermissions()) == nil { modes.notes.removeLast() }
        return modes
    }

    /// Puts the modes of the state right of a manifest elsewhere that has no store directory beside it.
    ///
    /// None is made: what the store remembers would be looked for in there, and the log would end.
    ///
    /// - Returns: the modes that hold now, or nil where there is a store directory or no manifest elsewhere.
    private static func repairedWithoutDirectory(
        _ location: StoreLocation,
        _ checker: PermissionChecker
    ) throws(StoreError) -> Modes? {
        guard location.manifest != nil, try StoreDirectory.open(location.directory) == nil else { return nil }
        let store = try Store(location, checker: checker)
        guard try store.hasManifest() else { return nil }
        var modes = try ensureStateModes(store)
        if let state = try state(of: store) { modes.notes.insert("ensured 0700 on \(state.path)", at: 0) }
        if (try? store.checkPermissions()) != nil { modes.notes.append("permissions verified") }
        return modes
    }

    /// The modes of everything but the manifest, which is not there yet in a new store.
    private static func ensureModes(_ directory: StoreDirectory) throws(StoreError) {
        try refuseForeign(directory)
        _ = try directory.ensureMode(0o700)
        // The lock, which is in it, is taken only in a private directory.
        if directory.isWritable { _ = try directory.folder(StoreLocation.stateName)?.ensureMode(0o700) }
        _ = try directory.ensureMode(0o600, of: StoreLocation.keyName)
    }

    /// Puts the modes of the state directory and of the files in it right.
    ///
    /// - Returns: what was changed among the files.
    private static func ensureStateModes(_ store: Store) throws(StoreError) -> Modes {
        var modes = Modes()
        guard let state = try state(of: store) else { return modes }
        _ = try state.ensureMode(0o700)
        for name in try Store.stateFiles(in: state) where try state.kind(of: name) == .regular {
            let status = try state.check(name, .ownFile, PermissionChecker(isStrict: false))
            guard let mode = status?.permissions, try state.ensureMode(0o600, of: name) == true else { continue }
            modes.notes.append("ensured 0600 on \(state.path(of: name))")
            if name == auditKeyName, mode & 0o077 != 0 {
                modes.exposures.append(keyExposure(state.path(of: name), mode))
            }
        }
        return modes
    }

    private static let auditKeyName = "audit.key"

    /// The key that others could get at goes on, since a new chain would hide where the old one ended.
    private static func keyExposure(_ path: String, _ mode: UInt16) -> String {
        "\(path) may have been \(verb(mode)) by others: its mode was \(mode.octal), and whoever has it can "
            + "write entries of the audit log that look like those of credfs; the entries before are safe"
    }

    private static func verb(_ mode: UInt16) -> String { mode & 0o044 != 0 ? "read" : "changed" }

    private static func state(of store: Store) throws(StoreError) -> StoreDirectory? {
        try store.existingState(for: nil)
    }

    /// A directory with other things in it that others use is hardly meant: its mode would shut them out.
    private static func refuseForeign(_ directory: StoreDirectory) throws(StoreError) {
        let status = try directory.status()
        let mode = status.permissions
        let isShared = SystemDirectory.contains(directory.path, status)
        guard mode & 0o077 != 0 else { return }
        // One that programs share may be empty at the moment.
        if !isShared {
            guard try directory.file(StoreLocation.manifestName) == nil,
                try directory.file(StoreLocation.keyName) == nil, try !directory.names().isEmpty
            else { return }
        }
        let state = isShared ? "a directory that programs share" : "not empty"
        throw StoreError(
            .permissions,
            "\(directory.path) is not a store, \(state) and open to others: mode \(mode.octal)",
            hint: isShared
                ? "name a directory of its own"
                : "name a directory of its own, or if this one is meant: chmod 0700 \(quoted(directory.path))"
        )
    }

    /// The slot of a way, by its identifier.
    private static func slot(
        _ way: consuming Way,
        _ store: Store,
        _ directory: StoreDirectory,
        _ dataKey: borrowing Key256,
        _ identity: StoreID
    ) throws -> [String: KeySlot] {
        let material: KeyMaterial
        var kind: any SlotType = KeyFileSlot()
        switch consume way {
        case .recipientsOnly:
            return [:]
        case .keyFile:
            material = .keyFile(try keyFile(store, directory))
        case .givenKey(let given):
            material = given
        case .password(let password):
            kind = try PasswordSlot.random()
            material = .password(password)
        }
        let identifier = kind.word
        let slot = try KeySlot.make(kind, sealing: dataKey, identifier: identifier, store: identity, material: material)
        return [identifier: slot]
    }

    private static func make(
        _ store: Store,
        _ directory: StoreDirectory,
        _ dataKey: borrowing Key256,
        _ identity: StoreID,
        slots: [String: KeySlot],
        secrets: [SecretEntry],
        now: Timestamp
    ) throws -> StoreKeys {
        if try directory.file(ignoreName) == nil {
            try directory.removeLeftovers(of: ignoreName)
            try directory.create(ignoreName, with: ignoredFiles.utf8.span)
        }
        let manifest = Manifest(
            store: identity,
            generation: 0,
            created: now,
            updated: now,
            expires: nil,
            slots: slots,
            secrets: secrets
        )
        let keys = try StoreKeys(
            dataKey: try StoreError.wrapping { () throws(SealingError) in try dataKey.copy() },
            store: identity
        )
        try store.commit(manifest, signedWith: keys, previous: nil, now: now)
        return keys
    }

    /// The key in the store directory: one that an interrupted `init` left, or a new one.
    private static func keyFile(_ store: Store, _ directory: StoreDirectory) throws -> Key256 {
        if let key = try store.readKeyFile() { return key }
        let key = try StoreError.wrapping { () throws(SealingError) in try Key256.random() }
        try directory.removeLeftovers(of: StoreLocation.keyName)
        try KeyFile.text(key).withBytes { (line) throws(StoreError) in
            try directory.create(StoreLocation.keyName, with: line)
        }
        return key
    }

    private static func notes(
        _ store: Store,
        _ directory: StoreDirectory,
        _ changed: [String]
    ) throws(StoreError) -> [String] {
        var notes = ["ensured 0700 on \(directory.path)"]
        if let state = try state(of: store) { notes.append("ensured 0700 on \(state.path)") }
        // A manifest beside one that is elsewhere is not the store's, and was not touched.
        let names = [StoreLocation.keyName] + (store.location.manifest == nil ? [StoreLocation.manifestName] : [])
        for name in names where try directory.file(name) != nil {
            notes.append("ensured 0600 on \(name)")
        }
        return notes + changed + ["permissions verified"]
    }
}
