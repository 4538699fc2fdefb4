// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import Jobs
internal import SecretStore

/// The command `credfs wait`.
struct WaitCommand: CredfsCommand {
    static let configuration = CommandConfiguration(
        commandName: "wait",
        abstract: "Wait until a live mount shows another generation.",
        discussion: """
            Returns when readers see the other generation; the status is 1 where the time was up first, and 10 where the mount has \
            ended. Changes of a mount cannot be watched by inotify, so scripts wait here.

            EXAMPLES:
              credfs wait --change
              credfs wait --change --timeout 5m /run/secrets
              credfs wait --change --since 41    # at once if it changed before
            """
    )
    static let operation = OperationEvent.Operation.status
    static let needsProc = true

    @OptionGroup(title: HelpText.storeTitle) var options: StoreOptions

    @Flag(help: "Wait for another generation.")
    var change = false

    @Option(help: ArgumentHelp("Wait no longer than this.", valueName: "time"))
    var timeout: DurationArgument?

    @Option(
        help: ArgumentHelp(
            "The generation that is known already; the present one if left out.",
            valueName: "generation"
        )
    )
    var since: UInt64?

    @OptionGroup var target: MountTarget

    func validate() throws {
        if !change { throw ValidationError("name what to wait for: --change.") }
    }

    func run(_ context: CommandContext) throws {
        let mount = try target.find(context)
        let generation = try mount.found.waitForChange(
            since: since,
            within: timeout?.duration,
            in: mount.runtime
        )
        guard let generation else { throw CommandError(.failed, "the mount has not changed") }
        context.console.note("serving generation \(generation)")
    }
}
