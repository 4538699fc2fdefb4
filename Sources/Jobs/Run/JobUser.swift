// SPDX-License-Identifier: Apache-2.0

package import SystemCalls

/// User that the program of a job runs as, where that is not the one of credfs.
package struct JobUser: Sendable, Equatable {
    /// The user id.
    package let user: UInt32
    /// The group id.
    package let group: UInt32
    /// Supplementary groups.
    package let groups: [UInt32]
    /// Variables that a login sets; those with nil are taken away.
    package let variables: [String: String?]

    /// Makes the user of an account.
    package init(_ login: Accounts.Login) {
        user = login.user
        group = login.group
        groups = login.groups
        variables = ["HOME": login.home, "USER": login.name, "LOGNAME": login.name]
    }

    private init(user: UInt32, group: UInt32, groups: [UInt32]) {
        self.user = user
        self.group = group
        self.groups = groups
        variables = [:]
    }

    /// The numbers in one word: `USER:GROUP:GROUP,GROUP`.
    var word: String { "\(user):\(group):\(groups.map(String.init).joined(separator: ","))" }

    /// Reads a word; nothing for an empty one.
    ///
    /// - Returns: nil where it is none.
    static func optional(word: String) -> JobUser?? {
        if word.isEmpty { return .some(nil) }
        let parts = word.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 3, let user = UInt32(parts[0]), let group = UInt32(parts[1]) else { return nil }
        let groups = parts[2].split(separator: ",", omittingEmptySubsequences: false).map { UInt32($0) }
        guard parts[2].isEmpty || !groups.contains(nil) else { return nil }
        return JobUser(user: user, group: group, groups: groups.compactMap(\.self))
    }
}
