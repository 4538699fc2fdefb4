// SPDX-License-Identifier: Apache-2.0

internal import SecretStore
internal import SystemCalls

/// User, or user and group, in an argument: names or numbers with a colon between.
struct UserArgument {
    private let user: String
    private let group: String?

    /// Takes an argument apart.
    ///
    /// - Returns: nil where a part is missing or there are more.
    init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard (1...2).contains(parts.count), !parts.contains("") else { return nil }
        user = parts[0]
        group = parts.count == 2 ? parts[1] : nil
    }

    /// Owner and group of files.
    ///
    /// - Parameters:
    ///   - usualGroup: the group where a user is given by number and no group is; a name has the group of its login.
    ///   - option: the option, for messages.
    /// - Returns: both, and whether the group was given.
    /// - Throws: status 64 where there is no such user or group.
    func owner(usualGroup: UInt32, _ option: String) throws -> (user: UInt32, group: UInt32, namesGroup: Bool) {
        let number = try Self.number(user, option)
        let account = number.map { Accounts.User(id: $0, group: usualGroup) } ?? Accounts().user(user)
        guard let account else { throw Self.unknown("user", option, hint: "id -u NAME") }
        return (account.id, try groupNumber(option) ?? account.group, group != nil)
    }

    /// The account to run as.
    ///
    /// - Parameter option: the option, for messages.
    /// - Returns: the account; one without a name has no supplementary groups.
    /// - Throws: status 64 where there is no such user or group, or a number without a name comes without a group.
    func login(_ option: String) throws -> Accounts.Login {
        let accounts = Accounts()
        let number = try Self.number(user, option)
        let group = try groupNumber(option)
        if let login = number.map({ accounts.login($0) }) ?? accounts.login(user) {
            return Accounts.Login(
                name: login.name,
                user: login.user,
                group: group ?? login.group,
                groups: login.groups.filter { $0 != group },
                home: login.home
            )
        }
        guard let number else { throw Self.unknown("user", option, hint: "id -u NAME") }
        guard let group else {
            throw CommandError(
                .usage,
                "uid \(number) has no name in /etc/passwd, which says its group",
                hint: "name the group as well: \(option) \(number):GROUP"
            )
        }
        return Accounts.Login(name: nil, user: number, group: group, groups: [], home: "/")
    }

    private func groupNumber(_ option: String) throws -> UInt32? {
        guard let group else { return nil }
        guard let number = try Self.number(group, option) ?? Accounts().group(group) else {
            throw Self.unknown("group", option, hint: "getent group NAME")
        }
        return number
    }

    private static func number(_ text: String, _ option: String) throws -> UInt32? {
        guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        guard let number = UInt32(text), number != .max else {
            throw CommandError(.usage, "\(option) takes numbers below \(UInt32.max)")
        }
        return number
    }

    private static func unknown(_ kind: String, _ option: String, hint command: String) -> CommandError {
        CommandError(
            .usage,
            "/etc has no \(kind) of the name in \(option)",
            hint: "give the number that this prints: \(command)"
        )
    }
}
