// SPDX-License-Identifier: Apache-2.0

internal import SecretStore

/// Arguments that are lists: an option that may be repeated takes items with commas between them as well.
enum ArgumentList {
    /// The items of every argument.
    static func items(_ arguments: [String]) -> [String] {
        arguments.flatMap { $0.split(separator: ",").map(String.init) }
    }
}

extension Manifest {
    /// The names in arguments; one with a comma is a list unless it is the name of a secret.
    func listed(_ arguments: [String]) -> [String] {
        arguments.flatMap { argument -> [String] in
            let isName = SecretReference(argument).map { index(of: $0.name) != nil } ?? false
            return isName || !argument.contains(",") ? [argument] : ArgumentList.items([argument])
        }
    }
}
