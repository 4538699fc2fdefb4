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

    /// Account that a process can run as: what a login gives it.
    package struct Login: Sendable, Equatable {
        /// The name; nil where /etc/passwd has none.
        package let name: String?
        package let user: UInt32
        package let group: UInt32
        /// Supplementary groups: those that have it for a member.
        package let groups: [UInt32]
        /// Home directory.
        package let home: String

        /// Makes an account.
        package init(name: String?, user: UInt32, group: UInt32, groups: [UInt32], home: String) {
            self.name = name
            self.user = user
            self.group = group
            self.groups = groups
            self.home = home
        }
    }

    /// The account of a name, nil if the file has none.
    package func login(_ name: String) -> Login? {
        lines(of: "passwd", count: 7).first { $0[0] == name }.flatMap(login)
    }

    /// The account of a number, nil if no name has it.
    package func login(_ user: UInt32) -> Login? {
        lines(of: "passwd", count: 7).first { UInt32($0[2]) == user }.flatMap(login)
    }

    private func login(_ fields: [Substring]) -> Login? {
        guard let user = UInt32(fields[2]), let group = UInt32(fields[3]) else { return nil }
        let member = fields[0]
        let groups = lines(of: "group", count: 4)
            .filter { $0[3].split(separator: ",").contains(member) }
            .compactMap { UInt32($0[2]) }
        return Login(
            name: String(member),
            user: user,
            group: group,
            groups: groups.filter { $0 != group },
            home: fields[5].isEmpty ? "/" : String(fields[5])
        )
    }

    private func entry(_ name: String, in file: String, count: Int) -> [Substring]? {
        lines(of: file, count: count).first { $0[0] == name }
    }

    /// The lines that have so many fields; none where there is no such file.
    private func lines(of file: String, count: Int) -> [[Substring]] {
        guard let text = try? OwnedDescriptor.open("\(directory)/\(file)", O_RDONLY).readText(limit: 1 << 22) else {
            return []
        }
        return text.split(separator: "\n").lazy
            .map { $0.split(separator: ":", omittingEmptySubsequences: false) }
            .filter { $0.count == count }
    }
}
