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
        if json {
            return try context.console.output(JSONOutput.mounts(mounts))
        }
        for found in mounts {
            let mount = found.mount
            let words = [
                found.isLive ? "live" : "stale", mount.kind.rawValue, "pid \(mount.pid)",
                "isolation \(mount.isolation.rawValue)", mount.backend.rawValue, mount.authMode,
                Console.visible(mount.path),
            ]
            try context.console.output(words.joined(separator: "  ") + "\n")
        }
        if mounts.isEmpty { context.console.note("nothing is mounted") }
    }
}

extension JSONOutput {
    /// The document of `status --json`.
    fileprivate static func mounts(_ found: [FoundMount]) -> String {
        let mounts: [JSONValue] = found.map { found in
            let mount = found.mount
            return .object([
                "id": .string(mount.id), "kind": .string(mount.kind.rawValue), "path": .string(mount.path),
                "pid": .integer(mount.pid), "store": .string(orNull: mount.store),
                "generation": .integer(mount.generation), "authMode": .string(mount.authMode),
                "isolation": .string(mount.isolation.rawValue), "backend": .string(mount.backend.rawValue),
                "state": .string(found.isLive ? "live" : "stale"),
            ])
        }
        return text(["mounts": .array(mounts)])
    }
}
