// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import Jobs
internal import ProcessControl
internal import SecretStore

/// The command `credfs reload`.
struct ReloadCommand: CredfsCommand {
    static let configuration = CommandConfiguration(
        commandName: "reload",
        abstract: "Make a live mount show what its manifest holds now.",
        discussion: """
            Works for mounts of 'credfs mount' and of 'credfs run', from outside of the job. All names change in one step, \
            and readers see it when the command returns; what is open stays as it is. A manifest that is not accepted \
            changes nothing, and the exit status says why.

            EXAMPLES:
              credfs reload                  # the only mount that is live
              credfs reload /run/secrets     # the mount at a directory
              credfs reload 0123456789abcdef # a job, by its identifier
            """
    )
    static let operation = OperationEvent.Operation.reload
    static let needsProc = true

    @OptionGroup(title: HelpText.storeTitle) var options: StoreOptions
    @OptionGroup var target: MountTarget

    func run(_ context: CommandContext) throws {
        let mount = try target.find(context)
        let answer = try mount.ask(.init(.reload), context)
        if let generation = answer.counts["generation"] {
            context.console.note("serving generation \(generation)")
        }
    }
}
