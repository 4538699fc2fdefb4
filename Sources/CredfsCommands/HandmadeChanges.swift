// SPDX-License-Identifier: Apache-2.0

internal import SecretStore
internal import SystemCalls

/// Key slots and header members that no command of credfs has signed on this machine.
struct HandmadeChanges {
    /// The identifiers of slots that are new or another than before; every one where nothing is known of before.
    let slots: [String]
    private let header: [String]
    /// Secrets with a command that `rotate --due` runs, each with it.
    private let commands: [String]
    private let isKnown: Bool

    /// Compares with the manifest that was signed last here, if one is known.
    init(_ manifest: Manifest, since last: Manifest?) {
        isKnown = last != nil
        slots = manifest.slots.filter { last?.slots[$0.key] != $0.value }.keys.sorted()
        header = last.map { manifest.headerChanges(since: $0) } ?? []
        let before = last.map { last in
            Dictionary(last.secrets.map { ($0.name, $0.rotation?.command) }) { first, _ in first }
        }
        commands = manifest.secrets.compactMap { secret in
            guard let command = secret.rotation?.command, let before, before[secret.name, default: nil] != command
            else { return nil }
            return "\(secret.name.text): \(command.map(quoted).joined(separator: " "))"
        }
    }

    /// Warnings of what nobody can vouch for but a person.
    var messages: [String] {
        guard isKnown else {
            let slots = Names.abbreviated(slots)
            return ["nothing tells whether the header and these key slots are yours: \(slots); \(Self.power)"]
        }
        var messages: [String] = []
        if !slots.isEmpty {
            let slots = Names.abbreviated(slots)
            messages.append(
                "key slots that were not there when the manifest was signed last here: \(slots); \(Self.power)"
            )
        }
        if !header.isEmpty {
            messages.append("the header is not the one that was signed last here: \(header.joined(separator: ", "))")
        }
        for command in commands { messages.append("a command that 'credfs rotate --due' would run as you, \(command)") }
        return messages
    }

    private static let power = "what opens them opens every secret"
}
