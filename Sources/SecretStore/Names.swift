// SPDX-License-Identifier: Apache-2.0

/// Lists of names in messages.
package enum Names {
    /// The first names and how many follow.
    package static func abbreviated(_ names: [String]) -> String {
        let shown = names.prefix(10).joined(separator: ", ")
        return names.count > 10 ? "\(shown) and \(names.count - 10) more" : shown
    }
}
