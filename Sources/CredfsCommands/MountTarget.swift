// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import Jobs
internal import ProcessControl
internal import SecretStore

/// A live mount that an argument names.
struct MountTarget: ParsableArguments {
    @Argument(
        help: ArgumentHelp(
            "Its directory, or its identifier; may be left out where one mount is live.",
            valueName: "dir|id"
        ),
        completion: .directory,
        transform: PathArgument.parse
    )
    var mount: String?

    /// Finds it, and names it to the audit log.
    ///
    /// - Throws: status 10 where there is none, 64 where several could be meant.
    func find(_ context: CommandContext) throws -> NamedMount {
        let runtime = try RuntimeDirectory(user: context.user, environment: context.environment)
        let found = try FoundMount.named(mount, in: runtime)
        context.subjects.mount = found.mount.id
        return NamedMount(runtime: runtime, found: found)
    }
}

/// A live mount and the runtime directory that it was found in.
struct NamedMount {
    let runtime: RuntimeDirectory
    let found: FoundMount

    /// Asks its server.
    ///
    /// - Throws: why it was not done, with the exit status that the server names.
    func ask(
        _ request: ControlRequest,
        descriptor: Int32 = -1,
        _ context: CommandContext
    ) throws -> ControlAnswer {
        let answer = try found.ask(request, descriptor: descriptor, in: runtime, user: context.user)
        if let failure = answer.failure {
            throw CommandError(ExitStatus(code: failure.status), failure.message, hint: failure.hint)
        }
        return answer
    }
}
