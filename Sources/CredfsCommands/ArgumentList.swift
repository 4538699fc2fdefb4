// SPDX-License-Identifier: Apache-2.0

internal import SecretStore

/// Arguments that are lists: an option that may be repeated takes items with commas between them as well.
enum ArgumentList {
    /// The items of every argument; one that `isItem` knows is no list though it has a comma.
    ///
    /// - Throws: class `usage` where one is empty, as where a variable of a shell is not set: nobody means nothing by that.
    static func items(
        _ arguments: [String],
        _ isItem: (String) -> Bool = { _ in false }
    ) throws(CommandError) -> [String] {
        var items: [String] = []
        for argument in arguments {
            if isItem(argument) {
                items.append(argument)
                continue
            }
            for item in argument.split(separator: ",", omittingEmptySubsequences: false) {
                guard !item.isEmpty else {
                    throw CommandError(.usage, "a list has an empty item", hint: "write it as A,B")
                }
                items.append(String(item))
            }
        }
        return items
    }
}

extension Manifest {
    /// The names in arguments; one with a comma is a list unless it is the name of a secret.
    func listed(_ arguments: [String]) throws -> [String] {
        try ArgumentList.items(arguments) { text in
            SecretReference(text).map { index(of: $0.name) != nil } ?? false
        }
    }
}
