// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import Jobs
internal import SecretStore

/// The command `credfs status`.
struct StatusCommand: CredfsCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "List what is mounted.",
        discussion: "What killed processes left is listed as stale once, and taken away."
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
            return try context.console.output(JSONOutput.text(JSONOutput.Mounts(mounts)))
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
    struct Mounts: Encodable {
        struct Mount: Encodable {
            let id: String
            let kind: String
            let path: String
            let pid: Int32
            let store: Nullable<String>
            let generation: UInt64
            let authMode: String
            let isolation: String
            let backend: String
            let state: String
        }

        let schemaVersion = JSONOutput.schemaVersion
        let mounts: [Mount]

        init(_ found: [FoundMount]) {
            mounts = found.map { found in
                let mount = found.mount
                return Mount(
                    id: mount.id,
                    kind: mount.kind.rawValue,
                    path: mount.path,
                    pid: mount.pid,
                    store: Nullable(mount.store),
                    generation: mount.generation,
                    authMode: mount.authMode,
                    isolation: mount.isolation.rawValue,
                    backend: mount.backend.rawValue,
                    state: found.isLive ? "live" : "stale"
                )
            }
        }
    }
}
