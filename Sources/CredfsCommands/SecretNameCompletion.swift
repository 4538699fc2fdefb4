// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import SecretStore
internal import SecureFiles
internal import SystemCalls

/// Completion of names of secrets: they are readable in the manifest, so nobody is asked for a key or password, and
/// nothing is authenticated or recorded.
struct SecretNameCompletion {
    /// The words of the command line so far.
    let words: [String]
    /// The value of a variable.
    var environment: (String) -> String? = EnvironmentVariables.value
    /// The effective user.
    var user = ProcessAttributes.effectiveUser

    /// For one name.
    static let one = CompletionKind.custom { words, _, _ in SecretNameCompletion(words: words).names() }

    /// For a service.
    static let service = CompletionKind.custom { words, _, _ in
        Set(SecretNameCompletion(words: words).secrets().compactMap(\.service)).sorted().filter(isInert)
    }

    /// For a key slot.
    static let slot = CompletionKind.custom { words, _, _ in
        (SecretNameCompletion(words: words).manifest()?.slots.keys.sorted() ?? []).filter(isInert)
    }

    /// For names separated by commas, of which the last one is completed.
    static let list = CompletionKind.custom { words, _, prefix in
        let earlier = prefix.lastIndex(of: ",").map { String(prefix[...$0]) } ?? ""
        return SecretNameCompletion(words: words).names().map { earlier + $0 }
    }

    /// The names of the store that the words or variables name; none where it cannot be read.
    func names() -> [String] {
        secrets().map(\.name.text).filter(Self.isInert)
    }

    private func secrets() -> [SecretEntry] { manifest()?.secrets ?? [] }

    private func manifest() -> Manifest? {
        let choices = StoreLocation.Choices(
            store: option("--store"),
            manifest: option("--manifest"),
            state: option("--state")
        )
        let checker = PermissionChecker(isStrict: CommandContext.isStrict(environment), user: user)
        guard let location = try? StoreLocation(choices, user: user, environment: environment),
            let store = try? Store(location, checker: checker), let loaded = try? LoadedManifest(store)
        else { return nil }
        return loaded.manifest
    }

    /// Detects a name that a shell does nothing with: bash expands what it is offered, commands in it, too (bash(1),
    /// `compgen -W`).
    static func isInert(_ name: String) -> Bool {
        name.utf8.allSatisfy { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
            default: "._-@%+".utf8.contains(byte)
            }
        }
    }

    /// The value of an option in the words; bash makes three words of `--store=DIR`.
    private func option(_ name: String) -> String? {
        // What follows belongs to a job.
        let words = words.prefix { $0 != "--" }
        if let word = words.last(where: { $0.hasPrefix(name + "=") && $0 != name + "=" }) {
            return withHome(String(word.dropFirst(name.utf8.count + 1)))
        }
        guard let index = words.lastIndex(of: name) else { return nil }
        let rest = words[(index + 1)...]
        return (rest.first == "=" ? rest.dropFirst() : rest).first.map(withHome)
    }

    /// A path whose tilde no shell has expanded yet.
    private func withHome(_ path: String) -> String {
        guard path.hasPrefix("~/"), let home = environment("HOME") else { return path }
        return home + path.dropFirst()
    }
}
