// SPDX-License-Identifier: Apache-2.0

import FuseBridge
import Sealing
import SecretFileSystem
import SecretStore
import SecureMemory
import Testing

/// A store without files, from which generations are made as `run` and `mount` make them.
final class Library {
    let keys: StoreKeys
    var entries: [SecretEntry] = []
    private let store: StoreID
    private let dataKey: Key256

    init(_ values: [(String, String)] = [], files: [(String, String)] = []) throws {
        store = try .random()
        dataKey = try .random()
        keys = try StoreKeys(dataKey: dataKey.copy(), store: store)
        for (name, value) in values { try set(name, value) }
        for (name, template) in files {
            try change(name) { entry throws in entry.value = .template(try Template(template)) }
        }
    }

    func set(_ name: String, _ value: String, at time: Int64 = 1_700_000_000) throws {
        var plaintext = try SecureBuffer(count: value.utf8.count)
        plaintext.withMutableBytes { target in
            for (index, byte) in value.utf8.enumerated() { target[index] = byte }
        }
        var cipher = try keys.valueCipher()
        let sealed = try cipher.seal(plaintext, as: #require(SecretName(name)))
        try change(name) { entry in
            entry.value = .sealed(sealed)
            entry.rotated = Timestamp(seconds: time)
        }
    }

    func change(_ name: String, _ change: (inout SecretEntry) throws -> Void) throws {
        let name = try #require(SecretName(name))
        if !entries.contains(where: { $0.name == name }) { entries.append(SecretEntry(name: name)) }
        for index in entries.indices where entries[index].name == name { try change(&entries[index]) }
    }

    func policy(_ name: String, _ change: (inout ReadPolicy) -> Void) throws {
        var policy = ReadPolicy()
        change(&policy)
        try self.change(name) { $0.policy = policy }
    }

    func snapshot(
        only names: [String]? = nil,
        after previous: Snapshot? = nil,
        ledger: MountLedger? = nil
    ) throws -> Snapshot {
        // Each server has keys of its own.
        let keys = ledger == nil ? keys : try StoreKeys(dataKey: dataKey.copy(), store: store)
        var set = SecretSet(entries, keys).restricted(
            to: entries.filter { entry in names.map { $0.contains(entry.name.text) } ?? true }
        )
        _ = try set.render(limit: 1 << 20, now: Served.now)
        let manifest = Manifest(
            store: store,
            generation: (previous?.generation ?? 0) + 1,
            created: Timestamp(seconds: 1_600_000_000),
            updated: Served.now,
            slots: [:],
            secrets: entries
        )
        return Snapshot(set, of: manifest, now: Served.now, after: previous, ledger: ledger)
    }

    /// Another server of a mount that is kept.
    func serve(_ ledger: MountLedger) throws -> Served { try Served(snapshot(ledger: ledger), sealer: Sealer()) }

    func serve(only names: [String]? = nil) throws -> Served { try Served(snapshot(only: names), sealer: Sealer()) }

    /// Serves what is in the store now.
    func reload(_ served: Served) throws -> SecretFileSystem.Invalidations {
        served.rules.replace(with: try snapshot(after: served.rules.snapshot))
    }
}
