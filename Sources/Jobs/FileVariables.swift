// SPDX-License-Identifier: Apache-2.0

package import SecretStore

/// Which variable has the path of which secret.
package struct FileVariables: Sendable, Equatable {
    /// The pairs in the order of the secrets.
    package let pairs: [(secret: SecretName, variable: VariableName)]

    /// Gives every secret its variable.
    ///
    /// - Parameters:
    ///   - secrets: the names, each once.
    ///   - chosen: what somebody named for some of them.
    /// - Throws: class `variables` where two secrets would have the same one, or one of our own.
    package init(_ secrets: [SecretName], chosen: [SecretName: VariableName] = [:]) throws(MountError) {
        var owners: [VariableName: SecretName] = [:]
        var pairs: [(secret: SecretName, variable: VariableName)] = []
        for secret in secrets {
            let variable = chosen[secret] ?? VariableName(ofFileWith: secret)
            let remedy = "choose another for one of them: --file-var '\(secret.text)=VARIABLE'"
            if variable.isReserved {
                throw MountError(
                    .variables,
                    "'\(secret.text)' would have the variable \(variable.text), which is one of credfs itself",
                    hint: remedy
                )
            }
            if let other = owners.updateValue(secret, forKey: variable) {
                throw MountError(
                    .variables,
                    "'\(other.text)' and '\(secret.text)' would both have the variable \(variable.text)",
                    hint: remedy
                )
            }
            pairs.append((secret, variable))
        }
        self.pairs = pairs
    }

    /// Compares the pairs.
    package static func == (left: FileVariables, right: FileVariables) -> Bool {
        left.pairs.elementsEqual(right.pairs) { $0 == $1 }
    }
}
