// SPDX-License-Identifier: Apache-2.0

/// What the name of a secret stands for in Vault: `KEY`, or `PATH[:VERSION]#KEY` with a path that begins with the mount.
package struct VaultID: Sendable, Hashable {
    /// Path of the map, with its mount.
    package let path: String
    /// Version of the map.
    package let version: String?
    /// Key in the map.
    package let key: String

    /// Reads a text.
    ///
    /// - Parameters:
    ///   - text: the text.
    ///   - location: path of the map where the text has none, perhaps with a version.
    package init(_ text: String, in location: String) {
        let parts = text.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
        let place = parts.count == 2 && !parts[0].isEmpty ? String(parts[0]) : location
        key = String(parts.last ?? "")
        let fields = place.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        path = fields[0].split(separator: "/").joined(separator: "/")
        version = fields.count == 2 ? String(fields[1]) : nil
    }

    private init(path: String, version: String?) {
        self.path = path
        self.version = version
        key = ""
    }

    /// The map without a key.
    var map: VaultID { VaultID(path: path, version: version) }
    /// Text of the map.
    var text: String { version.map { "\(path):\($0)" } ?? path }
}
