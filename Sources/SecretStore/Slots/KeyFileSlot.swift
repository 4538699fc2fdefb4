// SPDX-License-Identifier: Apache-2.0

package import Sealing
package import SecureFiles
internal import SecureMemory

/// Slot that the 256-bit key of a key file opens.
package struct KeyFileSlot: SlotType {
    package struct Draft: SlotDraft {
        package init() {}
    }

    package static let word = "keyfile"
    package static let parameters: [SlotParameter<Self>] = []

    package init() {}
    package init?(_ draft: Draft) {}

    package var summary: String { "a key file" }

    package static func offer(_ sources: any KeySources, _ store: Store, fits: Bool) throws -> KeyOffer? {
        if let offer = offer(inVariablesOf: sources) { return offer }
        // A key file that was left behind when its slot was removed opens nothing.
        guard fits, try store.hasKeyFile() else { return nil }
        return KeyOffer {
            guard let key = try store.readKeyFile() else { throw missing(store) }
            return .keyFile(key)
        }
    }

    /// Key that a variable names.
    package static func offer(inVariablesOf sources: any KeySources) -> KeyOffer? {
        if sources.hasSecret("CREDFS_KEY") { return KeyOffer { try .keyFile(inVariableOf: sources) } }
        return sources.path("CREDFS_KEY_FILE").map { path in
            KeyOffer { try .keyFile(at: sources.located(path), sources.checker) }
        }
    }

    package static func missing(_ store: Store) -> StoreError {
        StoreError(
            .authentication,
            "there is no key: \(store.keyPath) does not exist",
            hint: "put it there, or name it: --key-file, CREDFS_KEY_FILE or CREDFS_KEY; without a key (a fork in CI): "
                + "credfs verify --no-key"
        )
    }
}

/// Key of a key file; a class, since it owns the key (docs/decisions/0014).
private final class KeyFileSecret: SlotSecret {
    private let key: Key256

    init(_ key: consuming Key256) {
        self.key = key
    }

    func unwrap(_ slot: KeyFileSlot) throws(SealingError) -> Key256 { try key.copy() }

    func refusal(tried: Int, _ store: StoreID) -> StoreError {
        StoreError(
            .authentication,
            tried == 0 ? "no slot of this store opens with a key file" : "the key does not open this store",
            hint: "check that the key belongs to store \(store.text)"
        )
    }
}

extension KeyMaterial {
    package static func keyFile(_ key: consuming Key256) -> KeyMaterial { KeyMaterial(KeyFileSecret(key)) }

    /// Reads a key file.
    package static func keyFile(at path: String, _ checker: PermissionChecker) throws(StoreError) -> KeyMaterial {
        let text = try Store.readSecretFile(path, checker)
        return .keyFile(try text.withBytes { (text) throws(StoreError) in try KeyFile.parse(text, from: path) })
    }

    /// Hint for a variable that is there and empty.
    static let emptyVariableHint =
        "it is empty, as CI systems leave the secrets of a fork: there, use credfs verify --no-key; else unset it"

    /// The key in the variable CREDFS_KEY.
    package static func keyFile(inVariableOf sources: any KeySources) throws -> KeyMaterial {
        let text = try sources.takeSecret("CREDFS_KEY")
        return .keyFile(
            try text.withBytes { (text) throws(StoreError) in
                try KeyFile.parse(text, from: "the variable CREDFS_KEY", ifEmpty: emptyVariableHint)
            }
        )
    }
}
