// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import Jobs
internal import ProcessControl
internal import SecretStore

/// The command `credfs refresh`.
struct RefreshCommand: CredfsCommand {
    static let configuration = CommandConfiguration(
        commandName: "refresh",
        abstract: "Have a live mount ask its sources again.",
        discussion: """
            Returns when readers see the new values. What fails is named, with status 11 where a source knows no such secret and 20 \
            where it is not available; a value of before is served on meanwhile. Names are those of sources that are asked over time; \
            'credfs reload' reads the manifest and directories again.

            EXAMPLES:
              credfs refresh API_TOKEN                # of the only mount that is live
              credfs refresh API_TOKEN,DB_PASSWORD /run/secrets
              credfs refresh --all
            """
    )
    static let operation = OperationEvent.Operation.refresh
    static let needsProc = true

    @OptionGroup(title: HelpText.storeTitle) var options: StoreOptions

    @Flag(help: "Ask for every name.")
    var all = false

    @Argument(
        help: ArgumentHelp(
            "The names, with commas between, unless --all is given; then the directory or identifier of the mount.",
            valueName: "names"
        )
    )
    var words: [String] = []

    func validate() throws {
        guard words.count <= (all ? 1 : 2) else { throw ValidationError("too many arguments.") }
        guard all || !words.isEmpty else { throw ValidationError("name the secrets, or --all.") }
    }

    func run(_ context: CommandContext) throws {
        var names: [String]?
        if !all {
            let references = try ArgumentList.items([words[0]]).map { try reference($0) }
            context.subjects.secrets = references.map(\.name)
            names = references.map(\.name.text)
        }
        var target = MountTarget()
        target.mount = try words.dropFirst(all ? 0 : 1).first.map { try PathArgument.parse($0) }
        let mount = try target.find(context)
        let request = ControlRequest(.refresh, names: names)
        guard request.text.utf8.count <= ControlRequest.longestByteCount else {
            throw CommandError(.usage, "too many names for one request", hint: "refresh some, then others, or --all")
        }
        let answer = try mount.ask(request, context)
        if let generation = answer.counts["generation"] {
            context.console.note("serving generation \(generation)")
        }
    }
}
