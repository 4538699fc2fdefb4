// SPDX-License-Identifier: Apache-2.0

package import SystemCalls
package import SystemPackage

/// Decides whether an open file could have leaked or can be changed by others; always asked about a descriptor.
package final class PermissionChecker {
    /// What is expected of a file.
    package struct Expectation: Sendable {
        let kind: FileStatus.Kind
        let forbidden: UInt16
        /// The mode that a message names and a repair sets.
        package let mode: UInt16

        /// A directory that only its owner may enter.
        package static let privateDirectory = Expectation(kind: .directory, forbidden: 0o077, mode: 0o700)
        /// A file that only its owner may read.
        package static let privateFile = Expectation(kind: .regular, forbidden: 0o077, mode: 0o600)
        /// A sealed and signed file elsewhere, which others may read.
        package static let sharedManifest = Expectation(kind: .regular, forbidden: 0o022, mode: 0o644)
    }

    /// Whether modes, owners and link counts are errors; if not they are warnings (`CREDFS_PERMISSIONS_STRICT=0`).
    package let isStrict: Bool
    /// What was found and let pass, with what mends it.
    package private(set) var findings: [StoreError] = []
    /// What was found and let pass, in words.
    package var warnings: [String] { findings.map(\.message) }
    private let user: UInt32

    /// Makes a checker for a user.
    package init(isStrict: Bool, user: UInt32 = ProcessAttributes.effectiveUser) {
        self.isStrict = isStrict
        self.user = user
    }

    /// Checks an open file.
    ///
    /// - Parameters:
    ///   - file: the descriptor that will be read.
    ///   - path: for messages.
    ///   - expectation: what it must be.
    /// - Returns: its status.
    /// - Throws: class `permissions`.
    package func check(
        _ file: borrowing OwnedDescriptor,
        _ path: String,
        _ expectation: Expectation
    ) throws(StoreError) -> FileStatus {
        let status = try Self.status(of: file, path)
        guard status.kind == expectation.kind else {
            let wanted = expectation.kind == .directory ? "a directory" : "a regular file"
            throw StoreError(.permissions, "\(path) is not \(wanted)")
        }
        if status.owner != user && status.owner != 0 {
            try report(
                "\(path) is owned by uid \(status.owner), expected \(user)",
                hint: "chown \(user) \(quoted(path))"
            )
        }
        if status.permissions & expectation.forbidden != 0 {
            let mode = Self.octal(expectation.mode)
            try report(
                "insecure permissions on \(path): mode \(Self.octal(status.permissions)), expected \(mode)",
                hint: "chmod \(mode) \(quoted(path))"
            )
        }
        // None at all: a writer has put another file in its place since it was opened, which makes this one no less whole.
        if expectation.kind == .regular && status.linkCount > 1 {
            try report(
                "\(path) has \(status.linkCount) hard links, expected 1",
                hint: "find the other names with: find / -xdev -inum \(status.inode)"
            )
        }
        return status
    }

    /// The error for a path that could not be opened without following a link.
    package static func openFailure(_ path: String, _ errno: Errno) -> StoreError {
        switch errno {
        case .tooManySymbolicLinkLevels:
            StoreError(.permissions, "\(path) is a symbolic link", hint: "name the file itself")
        case .notDirectory:
            StoreError(.permissions, "\(path) is not a directory")
        case .noSuchAddressOrDevice:
            StoreError(.permissions, "\(path) is not a regular file")
        case .permissionDenied:
            StoreError(
                .permissions,
                "cannot open \(path): \(errno.message)",
                hint: "see who may: ls -ld \(quoted(path))"
            )
        default:
            .system("open", path, errno)
        }
    }

    /// A mode as chmod(1) takes it.
    package static func octal(_ mode: UInt16) -> String {
        let digits = String(mode, radix: 8)
        return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    }

    static func status(of file: borrowing OwnedDescriptor, _ path: String) throws(StoreError) -> FileStatus {
        do throws(Errno) { return try file.status() } catch { throw .system("examine", path, error) }
    }

    private func report(_ message: String, hint: String) throws(StoreError) {
        let finding = StoreError(.permissions, message, hint: hint)
        guard !isStrict else { throw finding }
        if !findings.contains(finding) { findings.append(finding) }
    }
}
