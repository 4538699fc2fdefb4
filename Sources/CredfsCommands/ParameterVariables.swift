// SPDX-License-Identifier: Apache-2.0

internal import SystemCalls

/// Variables that add AWS Parameter Store to the sources: `CREDFS_USE_SSM` and `CREDFS_SSM_PREFIX`, or their older names.
enum ParameterVariables {
    private static let uses = ["CREDFS_USE_SSM", "CLARITY_USE_SSM"]
    private static let prefixes = ["CREDFS_SSM_PREFIX", "CLARITY_SSM_PREFIX"]
    /// Variables of which each says where AWS keys are.
    private static let keys = [
        "AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONFIG_FILE",
        "AWS_SHARED_CREDENTIALS_FILE",
    ]

    /// The address of the source that the variables add.
    ///
    /// Where they say neither yes nor no, it is added with a prefix if something says where AWS keys are. What only an instance
    /// knows is not asked for: that would be a request of each command.
    ///
    /// - Returns: nil where they add none.
    /// - Throws: class `usage` for what cannot be meant.
    static func address(_ context: CommandContext) throws -> String? {
        let use = try isWanted(context)
        guard use != false else { return nil }
        guard let (name, prefix) = first(prefixes, context) else {
            guard use == true else { return nil }
            throw CommandError(
                .usage,
                "CREDFS_USE_SSM is true, and there is no prefix",
                hint: "CREDFS_SSM_PREFIX is the path of the parameters, such as /my-service/production"
            )
        }
        guard prefix.hasPrefix("/"), !prefix.contains("?") else {
            throw CommandError(.usage, "\(name) takes a path that begins with a slash")
        }
        guard use == true || hasKeys(context) else { return nil }
        return "ssm:\(prefix)"
    }

    private static func isWanted(_ context: CommandContext) throws -> Bool? {
        guard let (name, text) = first(uses, context) else { return nil }
        switch text.lowercased() {
        case "true", "1": return true
        case "false", "0": return false
        default: throw CommandError(.usage, "\(name) takes true or false")
        }
    }

    private static func hasKeys(_ context: CommandContext) -> Bool {
        if keys.contains(where: { context.environment($0)?.isEmpty == false }) { return true }
        guard let home = context.environment("HOME") else { return false }
        return ["credentials", "config"].contains { name in
            (try? FileStatus.ofPath("\(home)/.aws/\(name)", followingLink: true)) != nil
        }
    }

    private static func first(_ names: [String], _ context: CommandContext) -> (name: String, value: String)? {
        for name in names {
            if let value = context.environment(name), !value.isEmpty { return (name, value) }
        }
        return nil
    }
}
