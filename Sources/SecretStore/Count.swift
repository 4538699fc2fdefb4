// SPDX-License-Identifier: Apache-2.0

/// Numbers of things in messages.
package enum Count {
    /// Number and noun: `1 secret`, `2 secrets`.
    package static func pluralized(_ count: Int, _ noun: String) -> String {
        "\(count) \(noun)\(count == 1 ? "" : "s")"
    }
}
