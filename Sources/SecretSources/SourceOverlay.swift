// SPDX-License-Identifier: Apache-2.0

internal import Sealing
package import SecretStore
package import SecureFiles

/// Sources that are laid over a store, in their order: of a name, the last value counts.
package final class SourceOverlay {
    private struct Layer {
        let address: SourceAddress
        /// Values that were read: those of a source that is not read again, or to be compared with.
        var entries: [SecretEntry]?

        /// Values that are not read again.
        var kept: [SecretEntry]? { address.type.isReadAgain ? nil : entries }
    }

    private var layers: [Layer]
    private let limit: Int
    private let checker: PermissionChecker
    /// Binds the keys to this process: derived again from the data key of the store after a lock, they are the same.
    private var process: StoreID?
    private var keys: StoreKeys?

    /// Makes an overlay; nothing is read yet.
    ///
    /// - Parameters:
    ///   - addresses: the sources, the last one on top.
    ///   - limit: the largest value in bytes.
    ///   - checker: judge of their files.
    ///   - directory: finds the directory that relative paths are meant in.
    /// - Throws: class `usage` for an address that cannot be meant.
    package init(
        _ addresses: [String],
        limit: Int,
        _ checker: PermissionChecker,
        in directory: () throws(StoreError) -> String
    ) throws(StoreError) {
        layers = try addresses.map { (text) throws(StoreError) in
            var address = try SourceAddress(text)
            try address.resolve(in: directory)
            return Layer(address: address)
        }
        self.limit = limit
        self.checker = checker
    }

    /// No sources.
    package var isEmpty: Bool { layers.isEmpty }

    /// Directories whose changes a reload would show.
    package var directories: [String] {
        layers.compactMap { $0.address.type.isPath && $0.address.type.isReadAgain ? $0.address.location : nil }
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
    ///   - warn: is told of a source that has nothing.
    /// - Returns: the secrets of all of them.
    /// - Throws: what reading throws, with the address of the source.
    package func over(
        _ secrets: SecretSet,
        _ storeKeys: StoreKeys,
        now: Timestamp,
        warn: (String) -> Void
    ) throws -> SecretSet {
        guard !isEmpty else { return secrets }
        let keys = try processKeys(storeKeys)
        let formats = FormatRules(secrets)
        var secrets = secrets
        for index in layers.indices {
            let address = layers[index].address
            var entries: [SecretEntry]
            if let kept = layers[index].kept {
                entries = kept
            } else {
                entries = try Self.read(address, keys, limit, checker, now)
                if entries.isEmpty { warn("the source \(address.text) has no values") }
                Self.warnOfNames(entries, address, warn)
                if let before = layers[index].entries { try Self.keepSame(&entries, before, keys) }
                layers[index].entries = entries
            }
            try formats.check(entries, keys, address)
            secrets.overlay(SecretSet(entries, keys))
        }
        return secrets
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
        for entry in entries {
            let parts = entry.name.text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else { continue }
            warn(
                "\(address.type.scheme): a name has '=' in it ('\(parts[0])=...'): a value is content, "
                    + "and everybody may see names"
            )
        }
    }

    /// Wipes the keys of this process; what the store's data key brings back is made by the next `over`.
    package func forgetKeys() { keys?.forget() }

    private static func read(
        _ address: SourceAddress,
        _ keys: StoreKeys,
        _ limit: Int,
        _ checker: PermissionChecker,
        _ now: Timestamp
    ) throws -> [SecretEntry] {
        do {
            let source = try address.type.open(address.location, limit: limit, checker)
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
