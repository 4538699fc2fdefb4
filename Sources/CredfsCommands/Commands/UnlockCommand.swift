// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import Jobs
internal import ProcessControl
internal import Sealing
internal import SecretStore
internal import SecureFiles
internal import SystemCalls
internal import SystemPackage

/// The command `credfs unlock`.
struct UnlockCommand: CredfsCommand {
    static let configuration = CommandConfiguration(
        commandName: "unlock",
        abstract: "Let a locked mount serve again.",
        discussion: """
            Takes the key or asks for the password as every command does, and shows what the manifest holds now. \
            Descriptors from before the lock stay refused: files have to be opened again.

            EXAMPLES:
              credfs unlock                            # the only mount that is live
              credfs unlock /run/secrets               # the mount at a directory
              credfs unlock --password-file FILE --quiet
            """
    )
    static let operation = OperationEvent.Operation.unlock
    static let needsProc = true

    @OptionGroup(title: HelpText.storeTitle) var options: StoreOptions
    @OptionGroup(title: HelpText.keyTitle) var keyOptions: KeyOptions
    @OptionGroup var target: MountTarget

    func run(_ context: CommandContext) throws {
        let mount = try target.find(context)
        guard try mount.ask(ControlRequest(.status), context).counts["locked"] == 1 else {
            return context.console.note("\(mount.found.mount.path) is not locked")
        }
        guard mount.found.mount.store != nil else { throw Storeless.lost }
        let store = try options.open(context)
        let loaded = try LoadedManifest(store)
        let manifest = loaded.manifest
        context.store = manifest.store
        guard manifest.store.text == mount.found.mount.store else {
            throw CommandError(
                .usage,
                "\(mount.found.mount.path) shows another store",
                hint: "name the store that it was started with: --store DIR"
            )
        }
        let keys = try keyOptions.verify(loaded, store, context).keys
        // The key passes through the memory of the kernel, and no file, argument or message has it.
        let answer = try StoreError.wrapping("hand over", "the key") { () throws(Errno) in
            try OwnedDescriptor.pipe()
        }.ends { (read, write) in
            try keys.withDataKey { key in
                try StoreError.wrapping("hand over", "the key") { () throws(Errno) in
                    try key.withBytes { (bytes) throws(Errno) in try write.writeAll(bytes) }
                }
            }
            return try mount.ask(ControlRequest(.unlock), descriptor: read.number, context)
        }
        if let generation = answer.counts["generation"] {
            context.console.note("serving generation \(generation)")
        }
    }
}
