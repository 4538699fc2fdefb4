// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import SystemPackage

/// The users and groups of a machine by name, out of passwd(5) and group(5).
///
/// The files themselves: the program is static and loads no module of nsswitch.conf(5), so that users of a directory
/// service have to be given by number.
package struct Accounts: Sendable {
    /// A user.
    package struct User: Sendable, Equatable {
        package let id: UInt32
        /// The group of the user's login.
        package let group: UInt32

        /// Makes a user.
        package init(id: UInt32, group: UInt32) {
            self.id = id
            self.group = group
        }
    }

    private let directory: String

    /// Accounts of the files below a directory.
    package init(in directory: String = "/etc") {
        self.directory = directory
    }

    /// The user of a name, nil if the file has none.
    package func user(_ name: String) -> User? {
        guard let fields = entry(name, in: "passwd", count: 7), let id = UInt32(fields[2]),
            let group = UInt32(fields[3])
        else { return nil }
        return User(id: id, group: group)
    }

    /// The identifier of the group of a name, nil if the file has none.
    package func group(_ name: String) -> UInt32? {
        entry(name, in: "group", count: 4).flatMap { UInt32($0[2]) }
    }

    private func entry(_ name: String, in file: String, count: Int) -> [Substring]? {
        guard let text = try? OwnedDescriptor.open("\(directory)/\(file)", O_RDONLY).readText(limit: 1 << 22) else {
            return nil
        }
        return text.split(separator: "\n").lazy
            .filter { $0.hasPrefix(name + ":") }
            .map { $0.split(separator: ":", omittingEmptySubsequences: false) }
            .first { $0.count == count }
    }
}
