// SPDX-License-Identifier: Apache-2.0

internal import Sealing
package import SecretStore
package import SecureFiles

/// Sources that are laid over a store, in their order: of a name, the last value counts.
package final class SourceOverlay {
    private struct Layer {
        let address: SourceAddress
        /// Values that are not read again.
        var kept: [SecretEntry]?
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
    /// - Throws: class `usage` for an address that cannot be meant.
    package init(_ addresses: [String], limit: Int, _ checker: PermissionChecker) throws(StoreError) {
        layers = try addresses.map { (text) throws(StoreError) in Layer(address: try SourceAddress(text)) }
        self.limit = limit
        self.checker = checker
    }

    /// No sources.
    package var isEmpty: Bool { layers.isEmpty }

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
        var secrets = secrets
        for index in layers.indices {
            let address = layers[index].address
            if let kept = layers[index].kept {
                secrets.overlay(SecretSet(kept, keys))
                continue
            }
            let set = try Self.read(address, keys, limit, checker, now)
            if set.entries.isEmpty { warn("the source \(address.text) has no values") }
            if !address.type.isReadAgain { layers[index].kept = set.entries }
            secrets.overlay(set)
        }
        return secrets
    }

    /// Wipes the keys of this process; what the store's data key brings back is made by the next `over`.
    package func forgetKeys() { keys?.forget() }

    private static func read(
        _ address: SourceAddress,
        _ keys: StoreKeys,
        _ limit: Int,
        _ checker: PermissionChecker,
        _ now: Timestamp
    ) throws -> SecretSet {
        do {
            let source = try address.type.open(address.location, limit: limit, checker)
            return try source.read(sealedWith: keys, now: now)
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
