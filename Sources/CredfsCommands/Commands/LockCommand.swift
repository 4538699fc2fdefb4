// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import Jobs
internal import ProcessControl
internal import SecretStore

/// The command `credfs lock`.
struct LockCommand: CredfsCommand {
    static let configuration = CommandConfiguration(
        commandName: "lock",
        abstract: "Make a live mount refuse every read and wipe its keys.",
        discussion: """
            The mount stays, and its names can be listed; opens and reads are refused (EACCES), of what is open already, too. \
            'credfs unlock' lets it serve again; a mount without a store (--no-store) stays locked for ever.

            EXAMPLES:
              credfs lock                  # the only mount that is live
              credfs lock /run/secrets     # the mount at a directory
              credfs lock 0123456789abcdef # a job, by its identifier
            """
    )
    static let operation = OperationEvent.Operation.lock
    static let needsProc = true

    @OptionGroup(title: HelpText.storeTitle) var options: StoreOptions
    @OptionGroup var target: MountTarget

    func run(_ context: CommandContext) throws {
        let mount = try target.find(context)
        _ = try mount.ask(ControlRequest(.lock), context)
        if mount.found.mount.store == nil {
            context.console.warning("nothing can unlock a mount without a store: end it, and mount anew")
        }
    }
}
