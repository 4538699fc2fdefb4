// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Sealing
import SecretStore
import SecureFiles
import SecureMemory
import SystemCalls
import Testing

/// A store in a directory of its own, and the steps that most tests share.
final class StoreFixture {
    let directory: TemporaryDirectory
    let location: StoreLocation
    let now = Timestamp(seconds: 1_800_000_000)

    /// Makes a store with a key file and the secrets named.
    init(_ names: [String] = [], required: Bool = true) throws {
        directory = try TemporaryDirectory()
        location = try StoreLocation(.init(store: directory.path("store")), user: 0) { _ in nil }
        let entries = try names.map { try entry($0, required: required) }
        _ = try StoreCreation.run(location, PermissionChecker(isStrict: true), secrets: entries, now: now) { .keyFile }
    }

    /// Opens the store.
    func store() throws -> Store {
        try Store(location, checker: PermissionChecker(isStrict: true))
    }

    /// The path of a file in the store.
    func path(_ name: String) -> String { directory.path("store/" + name) }

    /// The text of a file in the store.
    func text(_ name: String = "secrets.yaml") throws -> String {
        String(decoding: try directory.read("store/" + name), as: UTF8.self)
    }

    /// Writes a file of the store by hand.
    func write(_ text: String, to name: String = "secrets.yaml", permissions: Int = 0o600) throws {
        try directory.write(text.utf8, to: "store/" + name, permissions: permissions)
    }

    /// Edits the manifest by hand.
    func edit(_ change: (String) -> String) throws {
        try write(change(text()))
    }

    /// The keys of the store.
    func keys() throws -> StoreKeys {
        let manifest = try LoadedManifest(file: store().readManifest()).manifest
        return try Self.unlock(store(), manifest)
    }

    /// Gives secrets values, making those that are missing, and signs.
    func fill(_ values: [(String, String)], _ change: (inout Manifest) throws -> Void = { _ in }) throws {
        let keys = try keys()
        let loaded = try LoadedManifest(file: store().readManifest())
        var manifest = loaded.manifest
        var cipher = try keys.valueCipher()
        for (name, value) in values {
            var filled = try manifest.secrets.first { $0.name.text == name } ?? entry(name, required: false)
            try filled.enter(secure(value), with: &cipher, now: now)
            manifest.secrets.removeAll { $0.name.text == name }
            manifest.secrets.append(filled)
        }
        try change(&manifest)
        try store().commit(manifest, signedWith: keys, previous: loaded.file, now: now)
    }

    /// What the acceptance guard says.
    func examine(
        strict: Bool = true,
        now: Timestamp? = nil,
        limit: Int = Manifest.maximumSecretByteCount,
        unlock: AcceptanceGuard.Unlock? = nil
    ) -> AcceptanceGuard.Outcome {
        AcceptanceGuard.examine(
            location,
            PermissionChecker(isStrict: strict),
            now: now ?? self.now,
            limit: limit,
            unlock: unlock ?? Self.unlock
        )
    }

    /// Opens a store with its key file.
    static func unlock(_ store: Store, _ manifest: Manifest) throws(StoreError) -> StoreKeys {
        guard let key = try store.readKeyFile() else { throw StoreError(.authentication, "no key file") }
        return try manifest.unlock(with: .keyFile(key))
    }
}

/// An entry without a value.
func entry(_ name: String, required: Bool = false) throws -> SecretEntry {
    var entry = SecretEntry(name: try #require(SecretName(name)))
    entry.required = required
    return entry
}

/// A value of the form of a sealed one that opens nowhere.
func sealedValue(_ byte: UInt8) -> SealedValue {
    SealedValue(
        ciphertext: [byte],
        nonce: [UInt8](repeating: 0, count: 12),
        tag: [UInt8](repeating: 0, count: 16)
    )
}

/// Text in secure memory.
func secure(_ text: String) throws -> SecureBuffer {
    try secure(Array(text.utf8))
}

/// Bytes in secure memory.
func secure(_ bytes: [UInt8]) throws -> SecureBuffer {
    var buffer = try SecureBuffer(count: bytes.count)
    buffer.withMutableBytes { target in
        for index in bytes.indices { target[index] = bytes[index] }
    }
    return buffer
}

/// The bytes of a buffer, for comparison.
func bytes(_ buffer: borrowing SecureBuffer) -> [UInt8] {
    buffer.withBytes { span in span.indices.map { span[$0] } }
}

/// The error that something throws.
func failure<R: ~Copyable>(_ body: () throws -> R) -> StoreError? {
    do {
        _ = try body()
        return nil
    } catch {
        return error as? StoreError
    }
}

/// The failure of having no secure memory, as the real thing reports it.
func memoryFailure() -> SecureMemoryError {
    do throws(SecureMemoryError) {
        _ = try SecureBuffer(count: 1 << 60)
        preconditionFailure("no machine has that much memory")
    } catch {
        return error
    }
}
