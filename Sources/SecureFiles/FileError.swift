// SPDX-License-Identifier: Apache-2.0

package import SecureMemory
internal import SystemCalls
package import SystemPackage

/// Failure to use a file or directory: a class, a message and perhaps a hint, never a byte of its content.
package struct FileError: Error, Sendable, Equatable {
    /// The classes of failure.
    package enum Kind: Sendable, Equatable {
        /// A system call failed.
        case system(Errno)
        /// A mode, owner, link count or kind of file that could have leaked a secret.
        case insecure
        /// A file or directory that this process may not open.
        case denied
        /// More bytes than may be read.
        case tooLarge
        /// More bytes than a key or password can have.
        case tooLong
        /// No locked memory.
        case memory(SecureMemoryError)
    }

    package let kind: Kind
    /// Message: lower case, no full stop.
    package let message: String
    /// Next step, in the same style.
    package let hint: String?

    /// Read-only file system.
    package var isReadOnly: Bool { kind == .system(.readOnlyFileSystem) }

    /// Directory or file system where this process can write nothing.
    package var isUnwritable: Bool {
        switch kind {
        case .denied, .system(.readOnlyFileSystem), .system(.permissionDenied), .system(.notPermitted): true
        default: false
        }
    }

    init(_ kind: Kind, _ message: String, hint: String? = nil) {
        self.kind = kind
        self.message = message
        self.hint = hint
    }

    /// The error of a system call on a path.
    package static func system(_ action: String, _ path: String, _ errno: Errno) -> FileError {
        FileError(.system(errno), "cannot \(action) \(path): \(errno.message)", hint: hint(action, path, errno))
    }

    /// The error of a path that could not be opened without following a link.
    package static func open(_ path: String, _ errno: Errno) -> FileError {
        switch errno {
        case .tooManySymbolicLinkLevels:
            FileError(.insecure, "\(path) is a symbolic link", hint: "name the file itself")
        case .notDirectory: FileError(.insecure, "\(path) is not a directory")
        case .noSuchAddressOrDevice, .isDirectory: FileError(.insecure, "\(path) is not a regular file")
        case .permissionDenied:
            FileError(.denied, "cannot open \(path): \(errno.message)", hint: "see who may: ls -ld \(quoted(path))")
        default: system("open", path, errno)
        }
    }

    /// The error of a file that has other names than the one it was opened by.
    static func hardLinks(_ path: String, _ status: FileStatus) -> FileError {
        FileError(
            .insecure,
            "\(path) has \(status.linkCount) hard links, expected 1",
            hint: "find the other names with: find / -xdev -inum \(status.inode)"
        )
    }

    private static func hint(_ action: String, _ path: String, _ errno: Errno) -> String? {
        if let limit = action == "start" ? errno.startLimitHint : errno.fileLimitHint { return limit }
        guard path.hasPrefix("/") else { return nil }
        let directory = quoted(PathParts.split(path).directory)
        return switch errno {
        case .readOnlyFileSystem: "name a place that can be written (in a job of 'credfs run', see --keep-store)"
        case .noSpace, .diskQuotaExceeded: "make room there: df -h \(directory); df -i \(directory)"
        case .permissionDenied, .notPermitted: "see who may: ls -ld \(directory)"
        case .noSuchFileOrDirectory where action == "create": "make the directory that it belongs in"
        default: nil
        }
    }
}

/// Error type of a module that uses files: a `Directory` throws the errors of its user.
package protocol FileFailure: Error {
    init(_ error: FileError)
}

extension FileFailure {
    /// Converts errors of a system call about a path.
    package static func wrapping<R: ~Copyable>(
        _ action: String,
        _ path: String,
        _ body: () throws(Errno) -> R
    ) throws(Self) -> R {
        do throws(Errno) { return try body() } catch { throw Self(.system(action, path, error)) }
    }

    /// Converts errors of open(2) on a path without following a link.
    static func opening<R: ~Copyable>(_ path: String, _ body: () throws(Errno) -> R) throws(Self) -> R {
        do throws(Errno) { return try body() } catch { throw Self(.open(path, error)) }
    }

    /// Converts errors of open(2) on a path that need not be there.
    static func openingIfPresent<R: ~Copyable>(
        _ path: String,
        _ body: () throws(Errno) -> R
    ) throws(Self) -> R? {
        do throws(Errno) { return try body() } catch {
            if error == .noSuchFileOrDirectory { return nil }
            throw Self(.open(path, error))
        }
    }
}

extension FileError: FileFailure {
    package init(_ error: FileError) { self = error }
}
