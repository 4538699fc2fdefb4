// SPDX-License-Identifier: Apache-2.0

package import SystemCalls
internal import SystemPackage

/// Requirement of a file before it is used; always judged on the descriptor that is used.
package struct FileRequirement: Sendable {
    let kind: FileStatus.Kind
    let forbidden: UInt16
    /// The mode that a message names and a repair sets.
    package let mode: UInt16
    /// Delivered file: another program decides about mode and owner.
    var isDelivered = false
    /// Write bits do not count in a directory where only owners replace what is theirs (sticky).
    var admitsSticky = false

    /// A directory that only its owner may enter.
    package static let privateDirectory = FileRequirement(kind: .directory, forbidden: 0o077, mode: 0o700)
    /// A file that only its owner may read.
    package static let privateFile = FileRequirement(kind: .regular, forbidden: 0o077, mode: 0o600)
    /// A file that has one name and belongs to its user, whatever its mode.
    package static let ownFile = FileRequirement(kind: .regular, forbidden: 0, mode: 0o600)
    /// A file in memory that another program delivers, which others may read.
    package static let deliveredFile = FileRequirement(
        kind: .regular,
        forbidden: 0o022,
        mode: 0o444,
        isDelivered: true
    )
    /// A directory in which such a file is delivered: nobody else may put another in its place.
    package static let deliveryDirectory = FileRequirement(
        kind: .directory,
        forbidden: 0o022,
        mode: 0o755,
        isDelivered: true,
        admitsSticky: true
    )
    /// A sealed and signed file elsewhere, which others may read.
    package static let sharedManifest = FileRequirement(kind: .regular, forbidden: 0o022, mode: 0o644)
}

/// Permission check: decides whether an open file could have leaked or can be changed by others.
package final class PermissionChecker {
    /// Strict mode: modes, owners and link counts are errors, not warnings (`CREDFS_PERMISSIONS_STRICT=0`).
    package let isStrict: Bool
    /// Findings that were let pass, with how to fix them.
    package private(set) var findings: [FileError] = []
    /// Findings that were let pass, in words.
    package var warnings: [String] { findings.map(\.message) }
    /// Files that were accepted as another program delivers them, in words.
    package private(set) var deliveries: [String] = []
    private let user: UInt32

    package init(isStrict: Bool, user: UInt32 = ProcessAttributes.effectiveUser) {
        self.isStrict = isStrict
        self.user = user
    }

    /// Checks an open file.
    ///
    /// - Parameters:
    ///   - file: the descriptor that will be read.
    ///   - path: for messages.
    ///   - requirement: what it must be.
    /// - Returns: its status.
    /// - Throws: class `insecure`.
    package func check(
        _ file: borrowing OwnedDescriptor,
        _ path: String,
        _ requirement: FileRequirement
    ) throws(FileError) -> FileStatus {
        let status = try FileError.wrapping("examine", path) { () throws(Errno) in try file.status() }
        guard status.kind == requirement.kind else {
            if status.kind == .symbolicLink { throw .open(path, .tooManySymbolicLinkLevels) }
            let wanted = requirement.kind == .directory ? "a directory" : "a regular file"
            throw FileError(.insecure, "\(path) is not \(wanted)")
        }
        if status.owner != user && status.owner != 0 {
            let message = "\(path) is owned by uid \(status.owner), expected \(user)"
            try report(FileError(.insecure, message, hint: ownerHint(path, requirement)))
        }
        let isSticky = requirement.admitsSticky && status.permissions & 0o1000 != 0
        if !isSticky && status.permissions & requirement.forbidden != 0 {
            let mode = requirement.mode.octal
            let message = "insecure permissions on \(path): mode \(status.permissions.octal), expected \(mode)"
            try report(FileError(.insecure, message, hint: modeHint(path, requirement, status)))
        }
        // None at all: a writer has put another file in its place since it was opened, which makes this one no less whole.
        if requirement.kind == .regular && status.linkCount > 1 {
            try report(.hardLinks(path, status))
        }
        return status
    }

    private func ownerHint(_ path: String, _ requirement: FileRequirement) -> String {
        requirement.isDelivered ? "have it delivered to uid \(user), or owned by root" : "chown \(user) \(quoted(path))"
    }

    /// A chmod(1) of what belongs to the system or to another program would break that, or be undone by it.
    private func modeHint(_ path: String, _ requirement: FileRequirement, _ status: FileStatus) -> String {
        if requirement.isDelivered {
            return requirement.kind == .directory
                ? "have the key delivered in a directory that nobody else may write, or a sticky one"
                : "have it delivered with mode 0444 or less: nobody else may write it"
        }
        if SystemDirectory.contains(path, status) { return "name a directory of your own" }
        return "chmod \(requirement.mode.octal) \(quoted(path))"
    }

    /// Notes what was accepted as another program delivers it.
    func note(_ delivery: String) {
        if !deliveries.contains(delivery) { deliveries.append(delivery) }
    }

    private func report(_ finding: FileError) throws(FileError) {
        guard !isStrict else { throw finding }
        if !findings.contains(finding) { findings.append(finding) }
    }
}

/// Shared directories, which programs of others use, too.
package enum SystemDirectory {
    private static let paths: Set<String> = [
        "/", "/dev", "/dev/shm", "/etc", "/home", "/mnt", "/opt", "/run", "/srv", "/tmp", "/usr", "/var", "/var/run",
        "/var/tmp",
    ]

    /// Detects a shared directory by its path, or because it is sticky.
    package static func contains(_ path: String, _ status: FileStatus) -> Bool {
        status.kind == .directory && contains(path, permissions: status.permissions)
    }

    /// Detects a shared directory by its path and permission bits.
    package static func contains(_ path: String, permissions: UInt16) -> Bool {
        paths.contains(path) || permissions & 0o1000 != 0
    }
}
