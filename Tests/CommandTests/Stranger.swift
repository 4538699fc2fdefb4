// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

extension Sandbox {
    /// Gives the sandbox to somebody without privileges.
    ///
    /// Needs root.
    ///
    /// - Returns: a command that runs what follows as that user.
    func giveToStranger() throws -> String {
        let identity = try #require(UInt32(stranger))
        let manager = FileManager.default
        for name in try manager.subpathsOfDirectory(atPath: directory.path) + [""] {
            try #require(unsafe chown(directory.path(name), identity, identity) == 0)
        }
        return "setpriv --reuid \(stranger) --regid \(stranger) --clear-groups --"
    }
}
