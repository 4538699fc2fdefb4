// SPDX-License-Identifier: Apache-2.0

internal import SystemCalls

extension Manifest {
    /// Checks that every template names secrets of the manifest, and that none of these is rendered itself.
    ///
    /// - Throws: class `invalid` with both names.
    package func checkTemplates() throws(StoreError) { try SecretEntry.checkTemplates(secrets) }

    /// Checks that every file that a change concerns can be rendered, as far as its parts have values.
    ///
    /// - Throws: class `invalid`.
    func requireRenderable(since old: Manifest, _ keys: StoreKeys) throws(StoreError) {
        let files = secrets.filter { $0.template != nil }
        guard !files.isEmpty else { return }
        try checkTemplates()
        let changed = Set(namesChanged(since: old))
        let set = SecretSet(secrets, keys)
        for file in files {
            guard let template = file.template, !changed.isEmpty,
                template.namesAll || changed.contains(file.name) || template.names.contains(where: changed.contains)
            else { continue }
            guard case .success(let rendered) = try set.file(of: file), let format = file.format else { continue }
            try format.check(try set.content(of: rendered), of: file.name)
        }
    }

    /// The rendered files that a secret is named in.
    package func files(of part: SecretName) -> [SecretName] {
        secrets.filter { $0.template?.names.contains(part) == true }.map(\.name)
    }

    /// The parts of an entry, each once; none for a secret with a value.
    package func parts(of entry: SecretEntry) -> [SecretEntry] {
        guard let template = entry.template else { return [] }
        let entries = Dictionary(secrets.map { ($0.name, $0) }) { first, _ in first }
        let named = template.names.compactMap { entries[$0] }
        guard template.namesAll else { return named }
        let names = Set(named.map(\.name))
        return named + secrets.filter { $0.isPartOfAll && !names.contains($0.name) }.sorted { $0.name < $1.name }
    }
}

extension SecretEntry {
    /// Checks that every template names secrets among these, and that none of them is rendered itself.
    ///
    /// - Throws: class `invalid` with both names.
    package static func checkTemplates(_ secrets: [SecretEntry]) throws(StoreError) {
        guard secrets.contains(where: { $0.template != nil }) else { return }
        let entries = Dictionary(secrets.map { ($0.name, $0) }) { first, _ in first }
        for secret in secrets {
            guard let template = secret.template else { continue }
            if let obstacle = secret.obstacleToTemplate { throw StoreError(.invalid, obstacle) }
            for name in template.names {
                guard let part = entries[name] else {
                    throw StoreError(
                        .invalid,
                        "the template of '\(secret.name.text)' names '\(name.text)', which is no secret of the store",
                        hint: "give it a value with: credfs set \(quoted(name.text)), or change the template"
                    )
                }
                guard part.template == nil else {
                    throw StoreError(
                        .invalid,
                        name == secret.name
                            ? "the template of '\(name.text)' names '\(name.text)' itself"
                            : "the template of '\(secret.name.text)' names '\(name.text)', which has a template, too",
                        hint: "name the secrets that it is made of instead"
                    )
                }
            }
        }
    }

    /// It is rendered by `{{ all | ... }}`: every secret that has a value.
    var isPartOfAll: Bool {
        if case .sealed = value { true } else { false }
    }
}

extension ManifestReader.Reading {
    /// Gives templates without a time of their last change one.
    package mutating func noteTemplates(at now: Timestamp) {
        for index in secrets?.indices ?? 0..<0 where secrets?[index].template != nil && secrets?[index].rotated == nil {
            secrets?[index].rotated = now
        }
    }
}
