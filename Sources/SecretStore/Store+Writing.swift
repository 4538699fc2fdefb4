// SPDX-License-Identifier: Apache-2.0

package import SecureFiles
package import SystemCalls
internal import SystemPackage

/// Writing of the manifest.
extension Store {
    private static let backupSuffix = ".bak"

    /// The path of the manifest before the last write, for messages.
    package var backupPath: String { manifestPath + Self.backupSuffix }

    /// Reads the manifest, lets a function change it, and writes it, all under the lock.
    ///
    /// - Parameters:
    ///   - keys: the keys of the store.
    ///   - now: the time.
    ///   - waiting: called once if another command holds the lock.
    ///   - removesBackups: whether no older manifest may stay beside the new one, since a slot of it was taken away.
    ///   - change: must not wait for a person or a pipe.
    /// - Throws: `StoreError`, or what `change` throws; then nothing was changed.
    package func update(
        _ keys: StoreKeys,
        now: Timestamp,
        waiting: () -> Void,
        removingBackups removesBackups: Bool = false,
        _ change: (inout Manifest) throws -> Void
    ) throws {
        try withLock(keys.store, waiting: waiting) {
            let loaded = try LoadedManifest(self)
            var manifest = try loaded.verified(with: keys).manifest
            let before = manifest
            try change(&manifest)
            try manifest.requireRenderable(since: before, keys)
            try commit(
                manifest,
                signedWith: keys,
                previous: loaded.file,
                since: loaded.manifest,
                removingBackups: removesBackups,
                now: now
            )
        }
    }

    /// Signs a manifest and puts it into the place of the old one, under the lock.
    ///
    /// - Parameters:
    ///   - manifest: the new one; its generation and time are advanced here.
    ///   - keys: the keys of the store.
    ///   - previous: the content of the file that is replaced, kept as `.bak`; nil where it held plaintext or there was
    ///     none.
    ///   - known: what was read of it, if it was.
    ///   - removesBackups: whether `.bak` and the copy in the state directory are removed once the new manifest is there.
    ///   - permissions: the mode of the new file where `previous` does not tell it.
    ///   - now: the time.
    /// - Returns: the manifest as written.
    /// - Throws: `StoreError`; then the old manifest is still there.
    @discardableResult
    package func commit(
        _ manifest: Manifest,
        signedWith keys: StoreKeys,
        previous: FileContents?,
        since known: Manifest? = nil,
        removingBackups removesBackups: Bool = false,
        permissions: UInt16? = nil,
        now: Timestamp
    ) throws(StoreError) -> Manifest {
        try manifest.checkTemplates()
        var manifest = manifest
        manifest.generation = try generation(after: manifest.generation)
        manifest.updated = now
        let text = ManifestWriter.text(manifest, signature: try keys.signature(of: manifest))
        guard text.count <= Manifest.maximumByteCount else {
            throw StoreError(
                .invalid,
                "the manifest would be larger than \(Manifest.maximumByteCount >> 20) MiB",
                hint: "keep large or many secrets in a second store"
            )
        }
        try manifest.checkReadingBack(since: known)
        let (folder, name) = try manifestPlace()
        let backup = name + Self.backupSuffix
        try folder.removeLeftovers(of: name)
        try folder.removeLeftovers(of: backup)
        if let previous, !removesBackups { try folder.replace(backup, with: previous.bytes.span) }
        try folder.replace(name, with: text.span, mode: mode(permissions ?? previous?.status.permissions))
        if removesBackups { try removeBackups(folder, backup, manifest.store) }
        rememberSigned(text.span, manifest.store, isDurable: removesBackups)
        return manifest
    }

    /// Counts the generation of the next manifest.
    ///
    /// - Throws: class `invalid` where there is none: an edited manifest can say any number.
    @discardableResult
    package func generation(after generation: UInt64) throws(StoreError) -> UInt64 {
        guard generation < .max else {
            throw StoreError(
                .invalid,
                "the generation of the manifest cannot grow",
                hint: "restore it from \(quoted(backupPath))"
            )
        }
        return generation + 1
    }

    /// Tries to write a manifest: a file of its size, with room to grow, is made beside it and removed.
    package func preflight(_ store: StoreID) throws {
        try withLock(store, waiting: {}) {
            let (folder, name) = try manifestPlace()
            let size = try readManifest().bytes.count
            try folder.removeLeftovers(of: name)
            try folder.preflight(name, byteCount: 2 * size + 2 * Manifest.usualSecretByteCount)
        }
    }

    /// Removes older manifests, which a key that was taken away could still open.
    private func removeBackups(_ folder: StoreDirectory, _ backup: String, _ store: StoreID) throws(StoreError) {
        do throws(StoreError) {
            try folder.remove(backup)
            try forgetSigned(store)
        } catch {
            throw StoreError(
                .failed,
                "the new manifest is in place, but an older one beside it stays: \(error.message)",
                hint: "remove that file"
            )
        }
    }

    /// The permissions of an open manifest file.
    package func manifestPermissions(_ file: borrowing OwnedDescriptor) throws(StoreError) -> UInt16 {
        try StoreError.wrapping("examine", manifestPath) { () throws(Errno) in try file.status() }.permissions
    }

    /// 0600, or what a manifest elsewhere had, less what nobody else may do.
    private func mode(_ previous: UInt16?) -> UInt16 {
        guard location.manifest != nil, let previous else { return 0o600 }
        return previous & 0o644 | 0o600
    }
}
