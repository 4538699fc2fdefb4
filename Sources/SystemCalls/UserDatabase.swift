// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import SystemPackage

/// Names of users in /etc/passwd (passwd(5)): no name service is asked, which could take its time and loads libraries.
package enum UserDatabase {
    /// The name of a user; nil where the file has none.
    package static func name(of user: UInt32) -> String? {
        guard let text = try? OwnedDescriptor.open("/etc/passwd", O_RDONLY).readText(limit: 1 << 16) else { return nil }
        return name(of: user, in: text)
    }

    /// The name in the text of the file.
    package static func name(of user: UInt32, in text: String) -> String? {
        for line in text.parts(at: "\n") {
            let fields = line.parts(at: ":", maxSplits: 3, omittingEmptySubsequences: false)
            if fields.count == 4, UInt32(fields[2]) == user { return String(fields[0]) }
        }
        return nil
    }
}
