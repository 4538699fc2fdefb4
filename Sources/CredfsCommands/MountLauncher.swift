// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import Glibc
internal import Jobs
internal import ProcessControl
internal import SecretStore
internal import SecureFiles
internal import SystemCalls
internal import SystemPackage

/// The process that a person starts with `credfs mount`: it starts the one that serves and waits until that does.
///
/// It never holds a key: the other process asks for passwords itself, on the same terminal.
enum MountLauncher {
    /// Detects arguments that ask for a mount in the background.
    static func isAsked(by arguments: [String]) -> Bool {
        guard arguments.count > 1, arguments[1] == MountCommand.name,
            let command = try? Credfs.parseAsRoot(Array(arguments.dropFirst())) as? MountCommand
        else { return false }
        return !command.foreground && command.readyFd == nil
    }

    /// Starts the serving process and waits.
    ///
    /// - Parameter arguments: those of this process.
    /// - Returns: the exit status: 0 once the mount can be used.
    /// - Throws: where it cannot be started.
    static func launch(_ arguments: [[UInt8]]) throws -> Int32 {
        try ProcFileSystem.require()
        let nothing: [UInt8] = []
        let (child, ready) = try StoreError.wrapping("start", "the serving process") { () throws(Errno) in
            let mask = try SignalQueue([]).maskBefore
            let pipe = try OwnedDescriptor.pipe()
            let number = pipe.write.number
            let child = try ChildProcess(
                OwnProgram.path,
                // Right behind the name of the command: what follows `--` is no option.
                arguments: arguments.prefix(2) + [Array("--ready-fd=\(number)".utf8)] + arguments.dropFirst(2),
                environment: nil,
                secrets: nothing.span,
                handing: [number],
                mask: mask
            )
            return (child.id, pipe.ends { (read, _) in read.release() })
        }
        SecretVariables.forget()
        let text = (try? OwnedDescriptor(owning: ready).readText(limit: 1 << 16)) ?? ""
        guard text.hasSuffix("\n") else {
            let exit = try StoreError.wrapping("wait for", "the serving process") { () throws(Errno) in
                try Children.exit(of: child)
            }
            return exit.shellStatus
        }
        do {
            try Console().output(text)
        } catch {
            // Nobody would know where the mount is.
            try? Children.send(SIGTERM, to: child)
            _ = try? Children.exit(of: child)
            throw error
        }
        return ExitStatus.done.code
    }
}
