// SPDX-License-Identifier: Apache-2.0

package import Sealing
internal import SystemCalls
package import SystemPackage

/// Why something about the audit log did not succeed; never what an entry says.
package enum AuditError: Error, Sendable, Equatable {
    /// No log was begun here.
    case noLog
    /// Another process held the lock all the time that may be waited.
    case busy
    /// The files of the log are not what credfs leaves; the text says which.
    case damaged(String)
    /// A file of the log that others could read or change; the text says which.
    case insecure(String)
    /// A system call failed on a file.
    case system(action: String, path: String, Errno)
    /// libcrypto or secure memory failed.
    case sealing(SealingError)

    /// Lower case, no full stop.
    package var message: String {
        switch self {
        case .noLog: "there is no audit log"
        case .busy: "another process keeps the audit log locked"
        case .damaged(let text), .insecure(let text): text
        case .system(let action, let path, let errno): "cannot \(action) \(path): \(errno.message)"
        case .sealing(.memory): "no locked memory for the keys of the audit log"
        case .sealing: "the cryptography of the audit log failed"
        }
    }

    /// Whether nothing can be written there at all, which is not worth a warning to whoever only reads.
    package var isReadOnly: Bool {
        guard case .system(_, _, let errno) = self else { return false }
        return [.readOnlyFileSystem, .permissionDenied, .notPermitted].contains(errno)
    }

    /// Runs system calls about a file.
    static func wrapping<R: ~Copyable>(
        _ action: String,
        _ path: String,
        _ body: () throws(Errno) -> R
    ) throws(AuditError) -> R {
        do throws(Errno) { return try body() } catch { throw .system(action: action, path: path, error) }
    }

    /// Runs something cryptographic.
    static func sealing<R: ~Copyable>(_ body: () throws(SealingError) -> R) throws(AuditError) -> R {
        do throws(SealingError) { return try body() } catch { throw .sealing(error) }
    }
}
