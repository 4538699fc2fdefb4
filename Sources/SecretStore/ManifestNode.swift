// SPDX-License-Identifier: Apache-2.0

/// The meaning of a manifest as a tree, which both the text and the canonical encoding are made from.
///
/// Defaults are left out, so that a manifest that spells one out means the same.
package enum ManifestNode: Equatable {
    case text(String)
    /// Text of hexadecimal digits, which stands in quotes whether it begins with a letter or not.
    case digits(String)
    /// Text of one line or several, of which every character counts.
    case lines(String)
    case number(UInt64)
    case flag(Bool)
    case list([ManifestNode])
    case mapping([(key: String, node: ManifestNode)])

    package static func == (left: ManifestNode, right: ManifestNode) -> Bool {
        CanonicalEncoding.bytes(of: left) == CanonicalEncoding.bytes(of: right)
    }

    /// A mapping without the entries that are nil.
    static func mapping(present entries: [(String, ManifestNode?)]) -> ManifestNode {
        .mapping(entries.compactMap { key, node in node.map { (key, $0) } })
    }
}

extension Manifest {
    /// The entries before the secrets, in the order of the file.
    package var header: [(key: String, node: ManifestNode)] {
        let times: [(String, ManifestNode?)] = [
            ("created", .text(created.text)), ("updated", .text(updated.text)),
            ("expires", expires.map { .text($0.text) }),
        ]
        let identity: [(String, ManifestNode?)] = [
            ("version", .number(Self.formatVersion)), ("store", .digits(store.text)),
            ("generation", .number(generation)),
        ]
        let slots = slots.sorted { $0.key < $1.key }.map { ($0.key, $0.value.node) }
        return (identity + times + [("slots", .mapping(slots))]).compactMap { key, node in node.map { (key, $0) } }
    }
}

extension SecretEntry {
    package var node: ManifestNode {
        let content: (key: String, node: ManifestNode) =
            switch value {
            case .sealed(let value): ("value", .text(value.text))
            case .empty, .unsealed: ("value", .text(""))
            case .template(let template): (Self.templateKey, .lines(template.text))
            }
        return .mapping([content] + attributes)
    }

    static let templateKey = "template"

    /// Attributes beside the value.
    var attributes: [(key: String, node: ManifestNode)] {
        SecretAttribute.all.compactMap { attribute in attribute.node(self).map { (attribute.key, $0) } }
    }
}

extension ReadPolicy {
    package var node: ManifestNode {
        let programs = executables.map { program in
            ManifestNode.mapping(present: [
                ("path", .text(program.path)), ("sha256", program.sha256.map { .digits($0) }),
            ])
        }
        return .mapping(present: [
            ("executables", programs.isEmpty ? nil : .list(programs)),
            ("uids", uids.isEmpty ? nil : .list(uids.map { .number(UInt64($0)) })),
            ("units", units.isEmpty ? nil : .list(units.map { .text($0) })),
            ("callers", callers.map { .text($0.rawValue) }),
            ("max_reads", maxReads.map { .number($0) }),
            ("not_before", notBefore.map { .text($0.text) }),
            ("not_after", notAfter.map { .text($0.text) }),
            ("hidden", hidden ? .flag(true) : nil),
            ("placeholder", placeholder ? .flag(true) : nil),
            ("decoy", decoy ? .flag(true) : nil),
        ])
    }
}

extension RotationRule {
    var node: ManifestNode {
        .mapping([("every", .text(every)), ("command", .list(command.map { .text($0) }))])
    }
}
