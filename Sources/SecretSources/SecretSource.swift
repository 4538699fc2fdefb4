// SPDX-License-Identifier: Apache-2.0

package import PlaintextDocuments
package import SecretStore

/// Source of secrets: names, and values that are sealed as they are read.
///
/// `credfs import` seals them for the store, `--source` with keys of the process.
package protocol SecretSource: AnyObject {
    /// The names that it has values for.
    var names: [ImportedName] { get }

    /// Seals values; once.
    ///
    /// - Parameters:
    ///   - targets: for each name the secret that its value is for, or nil.
    ///   - keys: the keys to seal with.
    ///   - progress: is told how many are sealed.
    /// - Returns: the sealed values of the names that have a target; of a value without bytes, no text.
    /// - Throws: what is wrong with a value, by name.
    func seal(_ targets: [ImportTarget?], _ keys: StoreKeys, progress: (Int) -> Void) throws -> [String]
}

extension SecretSource {
    /// Reads every value into a set that these keys open.
    ///
    /// - Parameters:
    ///   - keys: the keys to seal with.
    ///   - now: the time of the values, since few sources know one.
    /// - Returns: the set; a name without a value, or with an empty one, is not in it.
    /// - Throws: class `invalid` for a name that no secret can have, or two for one secret; what reading throws.
    package func read(sealedWith keys: StoreKeys, now: Timestamp) throws -> SecretSet {
        var seen: Set<SecretName> = []
        let targets = try names.map { name -> ImportTarget? in
            guard !name.isNull else { return nil }
            guard let secret = SecretReference(name.text)?.name else {
                throw StoreError(
                    .invalid,
                    "'\(SecretName.shown(name.text))' is no name for a secret",
                    hint: SecretReference.rule
                )
            }
            guard seen.insert(secret).inserted else {
                throw StoreError(.invalid, "two values are for the secret '\(secret.shown)'")
            }
            return ImportTarget(secret)
        }
        let secrets = targets.compactMap { $0?.name }
        let values = try seal(targets, keys) { _ in }
        guard values.count == secrets.count else { throw StoreError(.failed, "a source ended early") }
        let entries = zip(secrets, values).compactMap { secret, text -> SecretEntry? in
            guard let value = SealedValue(text) else { return nil }
            var entry = SecretEntry(name: secret)
            entry.value = .sealed(value)
            entry.rotated = now
            return entry
        }
        return SecretSet(entries, keys)
    }
}
