// SPDX-License-Identifier: Apache-2.0

internal import SystemCalls

/// Attribute of a secret beside its value: a row for each key under its name, in the order of the file.
///
/// Reading, text, canonical encoding, templates and lists of changes all go through the rows, so that no attribute can be
/// read and not signed, or signed and lost.
struct SecretAttribute: Sendable {
    let key: String
    /// Reads the value that follows the key.
    let read: @Sendable (inout SecretEntry, inout YAMLEventReader) throws(StoreError) -> Void
    /// The value in text and canonical encoding; nil leaves the key out, which means the default.
    let node: @Sendable (SecretEntry) -> ManifestNode?
    /// Merges the attribute of a template; what the template leaves out stays.
    let merge: @Sendable (inout SecretEntry, SecretEntry) -> Void
    /// Difference from an earlier entry in words, never a value; nil where nothing differs.
    let change: @Sendable (SecretEntry, SecretEntry) -> String?

    static let all = [
        SecretAttribute(
            key: "description",
            read: { (entry, events) throws(StoreError) in entry.description = try events.text() },
            node: { $0.description.map { .text($0) } },
            merge: { $0.description = $1.description ?? $0.description },
            change: { $0.description == $1.description ? nil : "description changed" }
        ),
        SecretAttribute(
            key: "required",
            read: { (entry, events) throws(StoreError) in entry.required = try events.flag() },
            node: { $0.required ? .flag(true) : nil },
            merge: { $0.required = $1.required || $0.required },
            change: { $0.required == $1.required ? nil : $0.required ? "now required" : "no longer required" }
        ),
        SecretAttribute(
            key: "format",
            read: { (entry, events) throws(StoreError) in entry.format = try events.word(SecretEntry.Format.self) },
            node: { $0.format.map { .text($0.rawValue) } },
            merge: { $0.format = $1.format ?? $0.format },
            change: { change("format", $1.format?.rawValue ?? "any", $0.format?.rawValue ?? "any") }
        ),
        SecretAttribute(
            key: "expires",
            read: { (entry, events) throws(StoreError) in entry.expires = try events.timestamp() },
            node: { $0.expires.map { .text($0.text) } },
            merge: { $0.expires = $1.expires ?? $0.expires },
            change: { change("expires", $1.expires?.text ?? "never", $0.expires?.text ?? "never") }
        ),
        SecretAttribute(
            key: "rotated",
            read: { (entry, events) throws(StoreError) in entry.rotated = try events.timestamp() },
            node: { $0.rotated.map { .text($0.text) } },
            merge: { if $1.value != .empty { $0.rotated = $1.rotated } },
            // It changes with every value.
            change: { new, old in
                new.value == old.value
                    ? change("rotated", old.rotated?.text ?? "never", new.rotated?.text ?? "never") : nil
            }
        ),
        SecretAttribute(
            key: "newline",
            read: { (entry, events) throws(StoreError) in entry.newline = try events.word(SecretEntry.Newline.self) },
            node: { $0.newline == .exact ? nil : .text($0.newline.rawValue) },
            merge: { if $1.newline != .exact { $0.newline = $1.newline } },
            change: { change("newline", $1.newline.rawValue, $0.newline.rawValue) }
        ),
        SecretAttribute(
            key: "service",
            read: { (entry, events) throws(StoreError) in
                let service = try events.text()
                guard entry.name.text.hasPrefix(service + "."), entry.name.text.utf8.count > service.utf8.count + 1
                else {
                    throw events.invalid("the name must be the service, a dot and a key")
                }
                entry.service = service
            },
            node: { $0.service.map { .text($0) } },
            merge: { $0.service = $1.service ?? $0.service },
            change: { $0.service == $1.service ? nil : "service changed" }
        ),
        SecretAttribute(
            key: "mode",
            read: { (entry, events) throws(StoreError) in entry.mode = try events.word(SecretEntry.Mode.self) },
            node: { $0.mode == .ownerOnly ? nil : .text($0.mode.rawValue) },
            merge: { if $1.mode != .ownerOnly { $0.mode = $1.mode } },
            change: { change("mode", $1.mode.rawValue, $0.mode.rawValue) }
        ),
        SecretAttribute(
            key: "policy",
            read: { (entry, events) throws(StoreError) in entry.policy = try ReadPolicy.read(&events) },
            node: { $0.policy.map(\.node) },
            merge: { $0.policy = $1.policy ?? $0.policy },
            change: { new, old in
                guard new.policy != old.policy else { return nil }
                return new.policy == nil ? "policy removed" : old.policy == nil ? "policy added" : "policy changed"
            }
        ),
        SecretAttribute(
            key: "rotate",
            read: { (entry, events) throws(StoreError) in entry.rotation = try RotationRule.read(&events) },
            node: { $0.rotation.map(\.node) },
            merge: { $0.rotation = $1.rotation ?? $0.rotation },
            change: { new, old in
                guard new.rotation != old.rotation else { return nil }
                guard let rule = new.rotation else { return "rotation removed" }
                return "rotation every \(rule.every) by: \(rule.command.map(quoted).joined(separator: " "))"
            }
        ),
    ]

    /// The rows by their keys.
    static let byKey = Dictionary(all.map { ($0.key, $0) }) { first, _ in first }

    private static func change(_ name: String, _ old: String, _ new: String) -> String? {
        old == new ? nil : "\(name) \(old) -> \(new)"
    }
}
