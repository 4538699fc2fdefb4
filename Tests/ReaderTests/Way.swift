// SPDX-License-Identifier: Apache-2.0

import Testing

/// How a job comes to its secrets: who starts credfs, what keeps the job apart, what shows the files.
struct Way: Sendable, Hashable, CustomTestStringConvertible {
    enum User: Sendable, CaseIterable {
        case root
        case ordinary
    }

    enum Manner: String, Sendable, CaseIterable {
        /// `run`, in a namespace of its own.
        case isolated
        /// `run --shared`.
        case shared
        /// `mount`, then the job with the variables of `env`.
        case mounted
        case ramfs
        case tmpfs
        case shm
    }

    let user: User
    let manner: Manner

    static let all = User.allCases.flatMap { user in Manner.allCases.map { Way(user: user, manner: $0) } }

    /// Whether the files are served by credfs.
    var isServed: Bool { [.isolated, .shared, .mounted].contains(manner) }

    /// Whether the job is in a user namespace.
    var isInUserNamespace: Bool { user == .ordinary && [.isolated, .ramfs, .tmpfs].contains(manner) }

    /// Whether others find the files.
    var isVisible: Bool { [.shared, .mounted, .shm].contains(manner) }

    /// fusermount3 is setuid, so it is of no use to those who gave that up.
    var allowsNewPrivileges: Bool { user == .root || [.shared, .mounted].contains(manner) }

    /// A shell script that runs the job, which is its arguments, with `$CREDFS` and `$OPTIONS`.
    var script: String {
        switch manner {
        case .isolated: #""$CREDFS" run $OPTIONS -- "$@""#
        case .shared: #""$CREDFS" run --shared $OPTIONS -- "$@""#
        case .mounted:
            """
            place=$("$CREDFS" mount $OPTIONS)
            trap '"$CREDFS" unmount "$place"' EXIT
            variables=$("$CREDFS" env "$place")
            eval "$variables"
            "$@"
            """
        case .ramfs, .tmpfs, .shm: #""$CREDFS" run --backend \#(manner.rawValue) $OPTIONS -- "$@""#
        }
    }

    var testDescription: String { "\(user == .root ? "root" : "ordinary user"), \(manner.rawValue)" }
}
