// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import Jobs
internal import ProcessControl
internal import SecretStore
internal import SecureJSON

/// The command `credfs status`.
struct StatusCommand: CredfsCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "List mounts and running jobs.",
        discussion: """
            What killed processes left is listed as stale once, and taken away.

            EXAMPLES:
              credfs status
              credfs status --json
              credfs status --quiet                      # the list and nothing else
            """
    )
    static let operation = OperationEvent.Operation.status
    static let needsProc = true

    @OptionGroup(title: HelpText.storeTitle) var options: StoreOptions

    @Flag(help: "Print JSON.")
    var json = false

    func run(_ context: CommandContext) throws {
        let runtime = try RuntimeDirectory(user: context.user, environment: context.environment)
        let mounts = FoundMount.all(in: runtime)
        Unmounting.clean(runtime)
        let counts = mounts.map { self.counts(of: $0, runtime, context) }
        if json {
            return try context.console.output(JSONOutput.mounts(mounts, counts))
        }
        for (found, counts) in zip(mounts, counts) {
            let mount = found.mount
            var words = [
                Self.state(of: found), mount.kind.rawValue, "pid \(mount.pid)",
                "isolation \(mount.isolation.rawValue)", mount.backend.rawValue, mount.authMode,
            ]
            if mount.isLocked { words.append("locked") }
            words += Self.words(counts)
            if let end = mount.end { words.append("until \(end)") }
            words.append(Console.visible(mount.path))
            try context.console.output(words.joined(separator: "  ") + "\n")
        }
        if mounts.isEmpty { context.console.note("nothing is mounted") }
    }
}

extension StatusCommand {
    /// Time for a server to answer: one that was stopped does not.
    private static var patience: Duration { .milliseconds(500) }

    /// Counts of a mount; none of one that does not answer, or not to us.
    private func counts(
        of found: FoundMount,
        _ runtime: RuntimeDirectory,
        _ context: CommandContext
    ) -> [String: UInt64] {
        guard found.isLive, !found.mount.isWaiting else { return [:] }
        let answer = try? found.ask(
            ControlRequest(.status),
            in: runtime,
            user: context.user,
            within: Self.patience
        )
        return answer?.counts ?? [:]
    }

    /// State of a mount; one that waits has readers and no server.
    fileprivate static func state(of found: FoundMount) -> String {
        found.isLive ? found.mount.isWaiting ? "waiting" : "live" : "stale"
    }

    /// Counts and age, for people.
    fileprivate static func words(_ counts: [String: UInt64]) -> [String] {
        guard let opens = counts["opens"], let denied = counts["denied"], let handles = counts["handles"],
            let generation = counts["generation"], let age = counts["generationSeconds"]
        else { return [] }
        return ["\(opens) opened, \(denied) denied, \(handles) open", "generation \(generation) for \(age) s"]
    }
}

extension JSONOutput {
    /// The document of `status --json`.
    fileprivate static func mounts(_ found: [FoundMount], _ counts: [[String: UInt64]]) -> String {
        let mounts: [JSONValue] = zip(found, counts).map { (found, counts) in
            let mount = found.mount
            return .object([
                "id": .string(mount.id), "kind": .string(mount.kind.rawValue), "path": .string(mount.path),
                "pid": .integer(mount.pid), "store": .string(orNull: mount.store),
                "generation": .integer(mount.generation), "authMode": .string(mount.authMode),
                "isolation": .string(mount.isolation.rawValue), "backend": .string(mount.backend.rawValue),
                "locked": .boolean(mount.isLocked), "end": .string(orNull: mount.end),
                "state": .string(StatusCommand.state(of: found)),
                "opens": .integer(counts["opens"]), "denied": .integer(counts["denied"]),
                "failed": .integer(counts["failed"]),
                "handles": .integer(counts["handles"]), "generationSeconds": .integer(counts["generationSeconds"]),
            ])
        }
        return text(["mounts": .array(mounts)])
    }
}
