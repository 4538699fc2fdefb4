// SPDX-License-Identifier: Apache-2.0

internal import SecureFiles
internal import SystemCalls
internal import SystemPackage

/// The directory of what a store remembers about itself: the lock and the last signed manifest.
extension Store {
    private static let lockName = "lock"
    private static let signedName = "signed.yaml"
    private static let rotationLockName = "rotate.lock"

    private static let stateFileNames: Set<String> = [
        lockName, signedName, rotationLockName, "attempts", "attempts.lock", "telemetry.json",
    ]

    /// The state directory if there is one: the one that `state(for:)` gives, or one in a store that cannot be written.
    ///
    /// - Parameter store: nil where it is not known: where it matters, the manifest is asked, if it can be read.
    /// - Returns: the directory, not checked, or nil if there is none.
    /// - Throws: `StoreError`.
    package func existingState(for store: StoreID?) throws(StoreError) -> StoreDirectory? {
        if let path = location.state { return try StoreDirectory.open(path) }
        if folder?.isWritable != true, let home = location.stateHome,
            let store = store ?? (try? LoadedManifest(readableIn: self))?.manifest.store,
            let state = try StoreDirectory.open("\(home)/\(store.text)")
        {
            return state
        }
        return try folder?.folder(StoreLocation.stateName)
    }

    /// Checks the state directory, if there is one, and the files in it.
    package func checkState(for store: StoreID?) throws(StoreError) {
        guard let state = try existingState(for: store) else { return }
        try state.check(.privateDirectory, checker)
        for name in try Self.stateFiles(in: state) { try state.check(name, .privateFile, checker) }
    }

    /// The names of files in the state directory that are ours.
    static func stateFiles(in state: StoreDirectory) throws(StoreError) -> [String] {
        try state.names().filter { stateFileNames.contains($0) || $0.hasPrefix("audit.") }.sorted()
    }

    /// The state directory, made if need be.
    ///
    /// - Parameter store: names the directory under the user's state directory where the store cannot be written.
    /// - Returns: the directory, checked.
    /// - Throws: `StoreError`.
    package func state(for store: StoreID) throws(StoreError) -> StoreDirectory {
        let state: StoreDirectory
        if let path = location.state {
            state = try StoreDirectory.make(path)
        } else if let folder, folder.isWritable {
            state = try folder.makeFolder(StoreLocation.stateName)
        } else if let home = location.stateHome {
            state = try StoreDirectory.make("\(home)/\(store.text)")
        } else {
            throw StoreError(.failed, "no place for state", hint: "pass --state DIR or set CREDFS_STATE")
        }
        try state.check(.privateDirectory, checker)
        return state
    }

    /// Runs a function under the lock that every writing command holds from reading the manifest to writing it.
    ///
    /// - Parameters:
    ///   - store: as for `state`.
    ///   - waiting: called once if another command holds it.
    ///   - body: the function.
    /// - Returns: what the function returns.
    /// - Throws: `StoreError`, or what the function throws.
    package func withLock<R>(_ store: StoreID, waiting: () -> Void, _ body: () throws -> R) throws -> R {
        let lock = try state(for: store).lock(Self.lockName, waiting: waiting)
        // The lock ends with its descriptor, which this use keeps to the end.
        defer { _ = lock }
        // Commands that were given different state directories meet at the directory of the manifest.
        return try manifestPlace().folder.whileLocked(waiting: waiting, body)
    }

    /// Runs a function while no other process rotates; it may wait for programs that make new values.
    package func whileRotating<R>(_ store: StoreID, waiting: () -> Void, _ body: () throws -> R) throws -> R {
        let lock = try state(for: store).lock(Self.rotationLockName, waiting: waiting)
        defer { _ = lock }
        return try body()
    }

    /// Keeps the manifest just signed, for `encrypt` to compare an edited one with.
    ///
    /// A copy that cannot be written is no failure: it is only missing then, or older. After a loss of power it may be either,
    /// unless it has to be durable, since an older one opens with a key that was taken away.
    func rememberSigned(_ text: Span<UInt8>, _ store: StoreID, isDurable: Bool) {
        guard let state = try? state(for: store) else { return }
        try? state.removeLeftovers(of: Self.signedName)
        try? state.replace(Self.signedName, with: text, isDurable: isDurable)
    }

    /// Removes the manifest that was signed last here.
    func forgetSigned(_ store: StoreID) throws(StoreError) {
        try existingState(for: store)?.remove(Self.signedName)
    }

    /// The manifest that was signed last here, if it is still there and authentic.
    package func lastSigned(_ keys: StoreKeys) -> Manifest? {
        guard let state = try? existingState(for: keys.store),
            let contents = try? state.contents(
                of: Self.signedName,
                limit: Manifest.maximumByteCount,
                .privateFile,
                checker
            ),
            let verified = try? LoadedManifest(file: contents).verified(with: keys)
        else { return nil }
        return verified.manifest
    }
}
