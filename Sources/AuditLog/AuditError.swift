// SPDX-License-Identifier: Apache-2.0

package import Sealing
package import SecureFiles

/// Failure of the audit log; never the content of an entry.
package enum AuditError: Error, Sendable, Equatable {
    /// No log was begun here.
    case noLog
    /// Another process held the lock all the time that may be waited.
    case busy
    /// An entry was not written in time.
    case overdue
    /// There is no thread to end the waiting for it; the text says why.
    case unwatched(String)
    /// The end of the log is to be repaired by the next append, which this one must not do.
    case unrepaired
    /// The files of the log are not what credfs leaves; the text says which.
    case damaged(String)
    /// A file of the log cannot be used: others could read or change it, or a system call failed.
    case file(FileError)
    /// libcrypto or secure memory failed.
    case sealing(SealingError)

    /// Lower case, no full stop.
    package var message: String {
        switch self {
        case .noLog: "there is no audit log"
        case .busy: "another process keeps the audit log locked"
        case .overdue: "the disk of the audit log does not answer"
        case .unwatched(let text): "no thread can be started that limits how long the log takes: \(text)"
        case .unrepaired: "the audit log is left as it is"
        case .damaged(let text): text
        case .file(let error): error.message
        case .sealing(.memory): "no locked memory for the keys of the audit log"
        case .sealing: "the cryptography of the audit log failed"
        }
    }

    /// Read-only file system, which whoever mounted it so knows.
    package var isReadOnly: Bool {
        guard case .file(let error) = self else { return false }
        return error.isReadOnly
    }

    /// Place where this process can write nothing at all.
    var isUnwritable: Bool {
        guard case .file(let error) = self else { return false }
        return error.isUnwritable
    }

    /// Runs something cryptographic.
    static func sealing<R: ~Copyable>(_ body: () throws(SealingError) -> R) throws(AuditError) -> R {
        do throws(SealingError) { return try body() } catch { throw .sealing(error) }
    }
}

extension AuditError: FileFailure {
    package init(_ error: FileError) {
        guard case .memory(let error) = error.kind else {
            self = .file(error)
            return
        }
        self = .sealing(.memory(error))
    }
}
