// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import Jobs
internal import SecretStore

/// The command `credfs unmount`.
struct UnmountCommand: CredfsCommand {
    static let configuration = CommandConfiguration(
        commandName: "unmount",
        abstract: "Unmount secrets and end what serves them.",
        discussion: """
            Whatever is open in it reads nothing more. A mount that a killed credfs left is taken away, too.

            EXAMPLES:
              credfs unmount /run/app/secrets
              credfs unmount --all
              credfs unmount --quiet --all
            """,
        aliases: ["umount"]
    )
    static let operation = OperationEvent.Operation.unmount
    static let needsProc = true

    @OptionGroup(title: HelpText.storeTitle) var options: StoreOptions

    @Flag(help: "Unmount all of yours.")
    var all = false

    @Argument(
        help: ArgumentHelp("The directory.", valueName: "dir"),
        completion: .directory,
        transform: PathArgument.parse
    )
    var directory: String?

    func validate() throws {
        if all == (directory != nil) { throw ValidationError("name a directory, or pass --all.") }
    }

    func run(_ context: CommandContext) throws {
        let runtime = try RuntimeDirectory(user: context.user, environment: context.environment)
        if let directory {
            context.subjects.mount = try Unmounting.end(at: directory, in: runtime)
            return
        }
        Unmounting.clean(runtime)
        var failure: MountError?
        for found in FoundMount.all(in: runtime) where found.mount.kind == .mount {
            do throws(MountError) { try Unmounting.end(found, in: runtime) } catch {
                failure = failure ?? error
                continue
            }
            var subjects = OperationEvent.Subjects()
            subjects.mount = found.mount.id
            context.recorder.record(
                OperationEvent(.unmount, subjects, status: .success, store: found.mount.store.flatMap(StoreID.init))
            )
        }
        if let failure { throw failure }
    }
}
