// SPDX-License-Identifier: Apache-2.0

internal import Sealing
internal import SecretStore
internal import SystemCalls

/// Executable that a policy allows: the file that was at its path when the policy came into force, or a SHA-256.
///
/// The file stays open, so that no other can get its inode number; a path of a process can show any file (mount(2)).
final class AllowedExecutable: Sendable {
    /// Match of a caller's executable.
    enum Match {
        case yes
        case no
        /// The digest of the caller's executable has to be computed first.
        case needsDigest
    }

    private let file: OwnedDescriptor?
    private let stamp: FileStamp?
    private let digest: [UInt8]?

    /// Opens the file at the path, unless a digest names the program; a path where nothing is matches no caller.
    init(_ rule: ReadPolicy.Executable) {
        digest = rule.sha256.flatMap(Base16.bytes)
        file = digest == nil ? try? OwnedDescriptor.openPath(rule.path) : nil
        stamp = try? file?.stamp()
    }

    func matches(_ executable: ProcessIdentity.Executable, _ found: ExecutableDigest) -> Match {
        if let digest {
            switch found {
            case .unknown: return .needsDigest
            case .value(let value): return value == digest ? .yes : .no
            case .unavailable: return .no
            }
        }
        // The change time tells a file that was written to since.
        guard let stamp, executable.device == stamp.device, executable.inode == stamp.inode,
            (try? file?.stamp())?.changed == stamp.changed
        else { return .no }
        return .yes
    }
}

/// SHA-256 of the executable of a caller.
package enum ExecutableDigest: Sendable, Equatable {
    /// It has not been computed.
    case unknown
    /// Its 32 bytes.
    case value([UInt8])
    /// It cannot be computed: no executable is named, it is too large, or it changed meanwhile.
    case unavailable
}
