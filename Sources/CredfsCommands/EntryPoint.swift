// SPDX-License-Identifier: Apache-2.0

package import ArgumentParser
internal import Glibc
internal import HostChecks
internal import Jobs
internal import PlaintextDocuments
internal import ProcessControl
internal import SecretSources
internal import SecretStore
internal import SecureMemory
internal import SystemCalls
internal import SystemPackage

/// Entry point of the program.
package enum EntryPoint {
    /// Hardens the process, becomes a helper or runs a command.
    ///
    /// - Parameter raw: the arguments of the process byte by byte, its name first.
    /// - Returns: the exit status.
    package static func main(_ raw: [[UInt8]]) -> Int32 {
        let raw = CommandNames.withoutAlias(raw)
        let arguments = raw.map { String(decoding: $0, as: UTF8.self) }
        let mode = arguments.count > 1 ? arguments[1] : ""
        var console = Console()
        // This process becomes the job, which is hardened as little as it is without credfs.
        if mode == JobLauncher.mode { return JobLauncher.main(raw) }
        // The server must see that what this one starts belongs to the job, also where /proc hides others; it holds no key.
        if mode == ChangeHook.mode { return ChangeHook.main(arguments) }
        if mode == EditorEntrance.mode { return EditorEntrance.main(arguments) }
        // A helper is executed by way of /proc/self/exe, whose last part the kernel would call it.
        ProcessAttributes.setName("credfs")
        let inherited: ProcessHardening.Inherited
        do throws(Errno) {
            inherited = try ProcessHardening.begin(keepingHardCoreLimit: mode == RunCommand.name)
        } catch {
            console.error(CommandError(.failed, "cannot protect this process: \(error.message)"))
            return ExitStatus.failed.code
        }
        // Before the argument parser is loaded: the helper pays for nothing that it does not use.
        if mode == PlaintextHelper.mode { return PlaintextHelper.main(arguments) }
        if mode == EditingHelper.mode { return EditingHelper.main() }
        if mode == HostProbe.mode { return HostProbe.main(arguments) }
        if mode == UnmountHelper.mode { return UnmountHelper.main(arguments) }
        if mode == KeeperProcess.mode { return KeeperProcess.main(arguments) }
        if mode == AlertHelper.mode { return AlertHelper.main(arguments) }
        if mode == ProviderHelper.mode { return ProviderHelper.main(arguments) }
        if mode == ProviderKeeper.mode { return ProviderKeeper.main(arguments) }
        // A file of another name is not the one that is meant. What follows the `--` of `run` is a job's, which gets it
        // as it is.
        let own = mode == RunCommand.name ? raw.prefix { $0 != Array("--".utf8) } : raw[...]
        guard own.allSatisfy({ String(validating: $0, as: UTF8.self) != nil }) else {
            console.error(CommandError(.usage, "an argument is not UTF-8", hint: "rename the file or secret it names"))
            return ExitStatus.usage.code
        }
        do {
            if MountLauncher.isAsked(by: arguments) { return try MountLauncher.launch(raw) }
            let context = CommandContext(secrets: try SecretVariables(), arguments: raw, inherited: inherited)
            defer { console = context.console }
            return try run(Array(arguments.dropFirst()), context)
        } catch let error as SecureMemoryError {
            console.error(CommandError(.memory(error)))
            return ExitStatus.failed.code
        } catch {
            let failure = CommandError(anyError: error)
            console.error(failure)
            return failure.status.code
        }
    }

    /// Reads plain arguments of `run`, whose start is worth it.
    ///
    /// - Parameter arguments: those of the process without its name.
    /// - Returns: what the parser would make of them; nil where it has to look.
    package static func scan(_ arguments: [String]) -> (any ParsableCommand)? {
        guard arguments.first == RunCommand.name else { return nil }
        return RunCommand.scanned(Array(arguments.dropFirst()))
    }

    /// Parses by the command that is named, which is quicker; the root explains what that one does not take.
    ///
    /// - Parameter arguments: those of the process without its name.
    /// - Returns: the command.
    /// - Throws: what the parser throws, help included; status 64 for a command that there is not.
    package static func parse(_ arguments: [String]) throws -> any ParsableCommand {
        if let command = scan(arguments) { return command }
        try CommandNames.check(arguments)
        let name = arguments.first ?? ""
        let named = Credfs.configuration.subcommands.first { $0.configuration.commandName == name }
        // One with commands of its own would gain a `help` of its own; help that was asked for is the root's, too, with its name.
        if let named, named.configuration.subcommands.isEmpty,
            let command = try? named.parseAsRoot(Array(arguments.dropFirst())), type(of: command) == named
        {
            return command
        }
        return try Credfs.parseAsRoot(arguments)
    }

    private static func run(_ arguments: [String], _ context: CommandContext) throws -> Int32 {
        do {
            var command = try parse(arguments)
            if let command = command as? any CredfsCommand {
                try command.perform(context)
                return context.exitStatus
            } else {
                // The root itself and `help`: both answer by an error that succeeds.
                try command.run()
            }
            return ExitStatus.done.code
        } catch let error as CommandError {
            throw error
        } catch {
            guard Credfs.exitCode(for: error) != .success else {
                // Help, version and completion scripts arrive as errors that succeed.
                try context.console.output(HelpText.arranged(Credfs.fullMessage(for: error)) + "\n")
                return ExitStatus.done.code
            }
            throw UsageMessage.error(Credfs.message(for: error), arguments)
        }
    }
}
