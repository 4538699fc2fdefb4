// SPDX-License-Identifier: Apache-2.0

package import SystemPackage

/// Reason why a request of a reader is refused, each with its errno.
package enum FileSystemError: Error, Sendable, Equatable, CaseIterable {
    /// No secret has the name, or the caller is not to know of it.
    case noSuchName
    /// Its source cannot tell the value, and never told one.
    case unavailable
    /// Something other than the directory was asked for names.
    case notDirectory
    /// The directory was to be opened as a file.
    case isDirectory
    /// The number is none of the current generation.
    case stale
    /// The mount is being taken down.
    case closing
    /// The mount is locked: its keys were wiped.
    case locked
    /// The policy refuses the caller.
    case refused
    /// The secret was opened as often as its policy allows.
    case spent
    /// The secret has expired.
    case expired
    /// Something would change.
    case readOnly
    /// The sealed value does not authenticate, or cannot be decrypted.
    case damaged
    /// More bytes at once than was agreed on at mount.
    case tooLarge
}

/// The error number that a reader sees: the one place where it is decided.
///
/// | Error | errno |
/// | --- | --- |
/// | `noSuchName` | ENOENT |
/// | `notDirectory` | ENOTDIR |
/// | `isDirectory` | EISDIR |
/// | `stale` | ESTALE |
/// | `closing` | ESTALE |
/// | `refused`, `spent`, `locked` | EACCES |
/// | `expired` | EKEYEXPIRED |
/// | `readOnly` | EROFS |
/// | `damaged`, `unavailable` | EIO |
/// | `tooLarge` | EINVAL |
package func errno(for error: FileSystemError) -> Errno {
    switch error {
    case .noSuchName: .noSuchFileOrDirectory
    case .notDirectory: .notDirectory
    case .isDirectory: .isDirectory
    case .stale, .closing: .staleNFSFileHandle
    case .refused, .spent, .locked: .permissionDenied
    case .expired: Errno(rawValue: 127)  // EKEYEXPIRED, which SystemPackage has no name for
    case .readOnly: .readOnlyFileSystem
    case .damaged, .unavailable: .ioError
    case .tooLarge: .invalidArgument
    }
}
