// SPDX-License-Identifier: Apache-2.0

/// Paths of a store (`--store`, `CREDFS_STORE`, the XDG directories, `/etc/credfs`).
package struct StoreLocation: Sendable, Equatable {
    /// The file names in a store directory.
    package static let manifestName = "secrets.yaml"
    package static let keyName = "secrets.key"
    package static let stateName = "state"

    package let directory: String
    /// Manifest outside the store directory.
    package let manifest: String?
    /// State directory outside the store directory.
    package let state: String?
    /// State directory if the store directory cannot be written: `STATE-HOME/credfs/STORE-ID`.
    package let stateHome: String?

    /// Paths that options name.
    package struct Choices: Sendable {
        package var store: String?
        package var manifest: String?
        package var state: String?

        package init(store: String? = nil, manifest: String? = nil, state: String? = nil) {
            self.store = store
            self.manifest = manifest
            self.state = state
        }
    }

    /// Decides the paths of a store.
    ///
    /// - Parameters:
    ///   - choices: the flags.
    ///   - user: the effective user id.
    ///   - environment: the value of a variable; empty values count as absent.
    /// - Throws: class `usage` if neither flags nor variables name a place.
    package init(
        _ choices: Choices,
        user: UInt32,
        environment: (String) -> String?
    ) throws(StoreError) {
        func value(_ name: String) -> String? {
            environment(name).flatMap { $0.isEmpty ? nil : $0 }
        }
        manifest = choices.manifest ?? value("CREDFS_MANIFEST")
        state = (choices.state ?? value("CREDFS_STATE")).map(Self.withoutTail)
        stateHome = BaseDirectory.state.path(environment).map { "\($0)/credfs" }
        if let store = choices.store ?? value("CREDFS_STORE") {
            directory = Self.withoutTail(store)
        } else if user == 0 && value("HOME") == nil && value("XDG_CONFIG_HOME") == nil {
            directory = "/etc/credfs"
        } else if let configuration = BaseDirectory.configuration.path(environment) {
            directory = "\(configuration)/credfs"
        } else {
            throw StoreError(
                .usage,
                "no store directory: HOME is not set",
                hint: "pass --store DIR or set CREDFS_STORE"
            )
        }
    }

    /// A path without slashes and dots at its end, behind which the kernel would follow a link.
    private static func withoutTail(_ path: String) -> String {
        var path = path
        while path.utf8.count > 1 {
            if path.utf8.last == UInt8(ascii: "/") {
                path = String(path.utf8.dropLast()) ?? path
            } else if path.hasSuffix("/.") {
                path = path == "/." ? "/" : String(path.dropLast(2))
            } else {
                break
            }
        }
        return path
    }
}
