// SPDX-License-Identifier: Apache-2.0

internal import SystemCalls

/// The editor of the user.
enum EditorChoice {
    private static let variables = ["CREDFS_EDITOR", "VISUAL", "EDITOR"]
    private static let usual = ["vim", "nano", "vi"]

    /// The command as a shell takes it: that of a variable, else the first usual one that is there.
    ///
    /// - Throws: status 1 where there is none.
    static func command(_ context: CommandContext) throws(CommandError) -> String {
        for name in variables {
            if let command = context.environment(name), !command.isEmpty { return command }
        }
        let places = (context.environment("PATH") ?? "").split(separator: ":").filter { $0.hasPrefix("/") }
        for name in usual where places.contains(where: { OwnedDescriptor.isExecutable("\($0)/\(name)") }) {
            return name
        }
        throw CommandError(.failed, "there is no editor", hint: "set EDITOR, or use: credfs set NAME")
    }
}
