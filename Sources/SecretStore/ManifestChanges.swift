// SPDX-License-Identifier: Apache-2.0

extension Manifest {
    /// What differs from an earlier manifest, a line each; names, expiry and policy, never a value.
    package func changes(since old: Manifest) -> [String] {
        var lines: [String] = []
        if expires != old.expires { lines.append("manifest: expires \(Self.words(old.expires, expires))") }
        for id in Set(slots.keys).union(old.slots.keys).sorted() where slots[id] != old.slots[id] {
            lines.append("slot \(id): \(old.slots[id] == nil ? "added" : slots[id] == nil ? "removed" : "changed")")
        }
        let before = Dictionary(old.secrets.map { ($0.name, $0) }) { first, _ in first }
        let after = Set(secrets.map(\.name))
        for secret in secrets {
            guard let earlier = before[secret.name] else {
                lines.append("\(secret.name.text): added")
                continue
            }
            lines += secret.changes(since: earlier).map { "\(secret.name.text): \($0)" }
        }
        lines += old.secrets.filter { !after.contains($0.name) }.map { "\($0.name.text): removed" }
        return lines
    }

    fileprivate static func words(_ old: Timestamp?, _ new: Timestamp?) -> String {
        "\(old?.text ?? "never") -> \(new?.text ?? "never")"
    }
}

extension SecretEntry {
    fileprivate func changes(since old: SecretEntry) -> [String] {
        var lines: [String] = []
        if value != old.value { lines.append(value == .empty ? "value removed" : "value changed") }
        if required != old.required { lines.append(required ? "now required" : "no longer required") }
        if expires != old.expires { lines.append("expires \(Manifest.words(old.expires, expires))") }
        if policy != old.policy { lines.append("policy changed") }
        if rotation != old.rotation { lines.append("rotation changed") }
        if mode != old.mode { lines.append("mode \(old.mode.rawValue) -> \(mode.rawValue)") }
        if format != old.format {
            lines.append("format \(old.format?.rawValue ?? "any") -> \(format?.rawValue ?? "any")")
        }
        if newline != old.newline { lines.append("newline \(old.newline.rawValue) -> \(newline.rawValue)") }
        if description != old.description || service != old.service { lines.append("description or service changed") }
        return lines
    }

    /// This entry with what a template says about it; what the template leaves out or empty stays.
    package func updated(by template: SecretEntry) -> SecretEntry {
        var entry = self
        if template.value != .empty {
            entry.value = template.value
            entry.rotated = template.rotated
        }
        entry.description = template.description ?? description
        entry.required = template.required || required
        entry.format = template.format ?? format
        entry.expires = template.expires ?? expires
        entry.newline = template.newline == .exact ? newline : template.newline
        entry.service = template.service ?? service
        entry.mode = template.mode == .ownerOnly ? mode : template.mode
        entry.policy = template.policy ?? policy
        entry.rotation = template.rotation ?? rotation
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
