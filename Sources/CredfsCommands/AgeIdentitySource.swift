// SPDX-License-Identifier: Apache-2.0

internal import SecretStore
internal import SecureFiles
internal import SecureMemory
internal import SystemCalls

/// Where age identities come from when no flag names them.
enum AgeIdentitySource: Equatable {
    /// The text itself, in CREDFS_AGE_KEY.
    case variable
    case file(String)

    /// What is configured: a variable of ours, one of sops, or the usual place if there is a file.
    static func configured(_ context: CommandContext) throws(StoreError) -> AgeIdentitySource? {
        if context.secrets.hasAgeKey { return .variable }
        if let path = context.path("CREDFS_AGE_KEY_FILE") ?? context.path("SOPS_AGE_KEY_FILE") { return .file(path) }
        guard let path = usualPlace(context) else { return nil }
        return try Store.exists(path) ? .file(path) : nil
    }

    /// Reads the identities.
    func identities(_ context: CommandContext, _ checker: PermissionChecker) throws -> AgeIdentityFile {
        switch self {
        case .file(let path): return try Self.identities(inFile: context.located(path), checker)
        case .variable:
            guard let text = context.secrets.takeAgeKey() else {
                throw CommandError(.failed, "the variable CREDFS_AGE_KEY was used already")
            }
            return try text.withBytes { (text) throws(StoreError) in
                try AgeIdentityFile(text, from: "the variable CREDFS_AGE_KEY")
            }
        }
    }

    /// Reads an identity file, checked like a key file.
    static func identities(inFile path: String, _ checker: PermissionChecker) throws(StoreError) -> AgeIdentityFile {
        let text = try Store.readSecretFile(path, limit: AgeIdentityFile.maximumByteCount, checker)
        return try text.withBytes { (text) throws(StoreError) in try AgeIdentityFile(text, from: path) }
    }

    /// Where sops keeps them.
    private static func usualPlace(_ context: CommandContext) -> String? {
        let configuration = context.path("XDG_CONFIG_HOME").flatMap { $0.hasPrefix("/") ? $0 : nil }
        return (configuration ?? context.path("HOME").map { "\($0)/.config" }).map { "\($0)/sops/age/keys.txt" }
    }
}

extension CommandContext {
    /// The path in a variable; an empty one counts as absent.
    func path(_ name: String) -> String? {
        environment(name).flatMap { $0.isEmpty ? nil : $0 }
    }
}
