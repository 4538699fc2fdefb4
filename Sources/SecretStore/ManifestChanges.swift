// SPDX-License-Identifier: Apache-2.0

extension Manifest {
    /// Differences in what only credfs writes: identity, generation and time of creation.
    package func headerChanges(since old: Manifest) -> [String] {
        [
            ("store", old.store.text, store.text),
            ("generation", String(old.generation), String(generation)),
            ("created", old.created.text, created.text),
        ].filter { $0.1 != $0.2 }.map { "\($0.0) \($0.1) -> \($0.2)" }
    }

    /// Differences from an earlier manifest, a line each: header, slots, names, expiry and policy, never a value.
    package func changes(since old: Manifest) -> [String] {
        var lines = headerChanges(since: old)
        let (before, after) = (old.expires?.text ?? "never", expires?.text ?? "never")
        if before != after { lines.append("expires \(before) -> \(after)") }
        lines = lines.map { "manifest: \($0)" }
        for id in Set(slots.keys).union(old.slots.keys).sorted() where slots[id] != old.slots[id] {
            lines.append("slot \(id): \(old.slots[id] == nil ? "added" : slots[id] == nil ? "removed" : "changed")")
        }
        let earlier = Dictionary(old.secrets.map { ($0.name, $0) }) { first, _ in first }
        let names = Set(secrets.map(\.name))
        for secret in secrets {
            guard let earlier = earlier[secret.name] else {
                lines.append("\(secret.name.text): added")
                continue
            }
            lines += secret.changes(since: earlier).map { "\(secret.name.text): \($0)" }
        }
        lines += old.secrets.filter { !names.contains($0.name) }.map { "\($0.name.text): removed" }
        return lines
    }
}

extension SecretEntry {
    fileprivate func changes(since old: SecretEntry) -> [String] {
        let value = value == old.value ? nil : contentChange(since: old)
        return [value].compactMap(\.self) + SecretAttribute.all.compactMap { $0.change(self, old) }
    }

    private func contentChange(since old: SecretEntry) -> String {
        switch (template != nil, old.template != nil) {
        case (true, true): "template changed"
        case (true, false): old.value == .empty ? "template added" : "value replaced by a template"
        case (false, true): value == .empty ? "template removed" : "template replaced by a value"
        case (false, false): value == .empty ? "value removed" : "value changed"
        }
    }

    /// This entry with what a template says about it; what the template leaves out or empty stays.
    package func updated(by template: SecretEntry) -> SecretEntry {
        var entry = self
        if template.value != .empty { entry.value = template.value }
        for attribute in SecretAttribute.all { attribute.merge(&entry, template) }
        return entry
    }
}

extension Manifest {
    /// The names of secrets that are new, changed or gone since an earlier manifest.
    package func namesChanged(since old: Manifest) -> [SecretName] {
        let before = Dictionary(old.secrets.map { ($0.name, $0) }) { first, _ in first }
        let names = Set(secrets.map(\.name))
        return secrets.filter { before[$0.name] != $0 }.map(\.name)
            + old.secrets.map(\.name).filter { !names.contains($0) }
    }
}
