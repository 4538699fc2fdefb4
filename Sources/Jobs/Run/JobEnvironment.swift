// SPDX-License-Identifier: Apache-2.0

package import SecretStore

/// Acceptance of a store: its secrets are there, or the reason why not.
package enum AuthMode: Sendable, Equatable {
    /// They are.
    case authenticated
    /// There are none, for a reason out of the closed list of the contract or by the variable that says so.
    case unauthenticated(reason: String)

    /// The word for it.
    package var text: String {
        switch self {
        case .authenticated: "authenticated"
        case .unauthenticated: "unauthenticated"
        }
    }

    /// The reason, if one is needed.
    package var reason: String? {
        switch self {
        case .authenticated: nil
        case .unauthenticated(let reason): reason
        }
    }
}

/// The environment of a job, but for the values that somebody asked to have in it.
package struct JobEnvironment: Sendable {
    /// Rules by which an environment is made.
    package struct Rules: Sendable {
        /// Nothing is inherited.
        package var isPristine = false
        /// Inherited variables that are named like a secret are removed.
        package var unsetsPlain = false
        /// Variables of the user that the job runs as; those with nil are taken away.
        package var login: [String: String?] = [:]
        /// The variables that are given the values themselves.
        package var valueVariables: [VariableName] = []

        /// Makes the usual rules.
        package init() {}
    }

    /// The entries, `NAME=value`.
    package let entries: [[UInt8]]
    /// Inherited variables that are named like a secret and were kept.
    package let plainNames: [String]

    /// Makes an environment.
    ///
    /// - Parameters:
    ///   - inherited: the entries of our own environment.
    ///   - directory: where the secrets are.
    ///   - variables: which variable has the path of which secret.
    ///   - auth: whether the secrets are there.
    ///   - rules: how it is made.
    package init(
        inherited: [[UInt8]],
        directory: String,
        variables: FileVariables,
        auth: AuthMode,
        rules: Rules
    ) {
        var made: [(String, String)] = [(VariableName.directory, directory), (VariableName.authMode, auth.text)]
        if let reason = auth.reason { made.append((VariableName.authReason, reason)) }
        for (name, value) in rules.login.sorted(by: { $0.key < $1.key }) {
            if let value { made.append((name, value)) }
        }
        for pair in variables.pairs { made.append((pair.variable.text, "\(directory)/\(pair.secret.text)")) }
        let replaced = Set(
            made.map(\.0) + rules.login.keys + rules.valueVariables.map(\.text) + [
                VariableName.authReason, VariableName.outerDirectory,
            ]
        )
        let plain = Set(variables.pairs.map { VariableName(of: $0.secret).text })
        var entries: [[UInt8]] = []
        var plainNames: [String] = []
        for entry in rules.isPristine ? [] : inherited {
            let name = entry.prefix { $0 != UInt8(ascii: "=") }
            let text = String(decoding: name, as: UTF8.self)
            if text == VariableName.directory, entry.count > name.count + 1 {
                made.append(
                    (VariableName.outerDirectory, String(decoding: entry.dropFirst(name.count + 1), as: UTF8.self))
                )
            }
            if VariableName.opensStores(Array(name)) || replaced.contains(text) { continue }
            if plain.contains(text) {
                if rules.unsetsPlain { continue }
                plainNames.append(text)
            }
            entries.append(entry)
        }
        self.entries = entries + made.map { Array("\($0.0)=\($0.1)".utf8) }
        self.plainNames = plainNames
    }
}
