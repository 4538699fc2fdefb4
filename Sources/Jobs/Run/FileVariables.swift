// SPDX-License-Identifier: Apache-2.0

package import SecretStore
internal import SystemCalls

/// Variables with the paths of secrets.
package struct FileVariables: Sendable, Equatable {
    /// Extent of variables that nobody chose for a secret.
    package enum Extent: String, Sendable, CaseIterable {
        /// Every one.
        case all
        /// Every one, up to `automaticLimit` secrets; of more, none.
        case auto
        /// None.
        case none

        /// The most secrets that get variables unasked.
        ///
        /// Arguments and environment together have a quarter of the limit
        /// of the stack, 2 MiB as a rule (execve(2)), and every program that the job starts has to fit in as well.
        package static let automaticLimit = 4096

        /// Decides whether so many secrets get their variables.
        package func includes(count: Int) -> Bool {
            switch self {
            case .all: true
            case .auto: count <= Self.automaticLimit
            case .none: false
            }
        }
    }

    /// The pairs in the order of the secrets.
    package let pairs: [(secret: SecretName, variable: VariableName)]

    /// Assigns a variable to every secret.
    ///
    /// - Parameters:
    ///   - secrets: the names, each once.
    ///   - chosen: what somebody named for some of them.
    ///   - extent: whether the others have one.
    /// - Throws: class `variables` where two secrets would have the same one, or one of our own.
    package init(
        _ secrets: [SecretName],
        chosen: [SecretName: VariableName] = [:],
        extent: Extent = .all
    ) throws(MountError) {
        let all = extent.includes(count: secrets.count)
        var owners: [VariableName: SecretName] = [:]
        var pairs: [(secret: SecretName, variable: VariableName)] = []
        for secret in secrets where all || chosen[secret] != nil {
            let variable = chosen[secret] ?? VariableName(ofFileWith: secret)
            if variable.isReserved {
                throw MountError(
                    .variables,
                    "'\(secret.text)' would have the variable \(variable.text), which is one of credfs itself",
                    hint: Self.remedy(for: secret)
                )
            }
            if let other = owners.updateValue(secret, forKey: variable) {
                throw MountError(
                    .variables,
                    Self.clash(other, secret, variable),
                    hint: Self.remedy(for: secret)
                )
            }
            pairs.append((secret, variable))
        }
        self.pairs = pairs
    }

    private static func remedy(for secret: SecretName) -> String {
        "choose another for one of them: --file-var \(quoted(secret.text + "=VARIABLE"))"
    }

    /// A message that two secrets would have one variable.
    package static func clash(_ one: SecretName, _ other: SecretName, _ variable: VariableName) -> String {
        "'\(one.text)' and '\(other.text)' would both have the variable \(variable.text)"
    }

    /// Compares the pairs.
    package static func == (left: FileVariables, right: FileVariables) -> Bool {
        left.pairs.elementsEqual(right.pairs) { $0 == $1 }
    }
}
