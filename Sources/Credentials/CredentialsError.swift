// SPDX-License-Identifier: Apache-2.0

internal import SecureMemory
internal import SystemCalls
internal import SystemPackage

/// Failure to get a credential.
///
/// An error names files, modes and credentials, never a byte of what they hold. Compare `code`; new codes can come with
/// a minor version, so a `switch` over codes needs a `default`.
public struct CredentialsError: Error, Sendable, Hashable {
    /// Class of the error.
    public let code: Code
    /// The path that was asked for, where one is known.
    public let path: String?
    /// The name of the credential or variable that was asked for, where one is known.
    public let name: String?
    /// The permission bits that were found, for `permissionsTooOpen`.
    public let mode: UInt16?
    /// The widest permission bits that would have been accepted, for `permissionsTooOpen`.
    public let expectedMode: UInt16?
    /// The error number of the system call that failed, where one did.
    public let errorNumber: Int32?
    /// Reason in words that hold no content.
    public let reason: String?

    /// The kinds of failure.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Kind: Hashable {
            case fileNotFound
            case permissionsTooOpen
            case ownerNotAllowed
            case pathNotAllowed
            case tooLarge
            case inputOutput
            case invalidFormat
            case credentialNotFound
            case invalidDeclaration
            case keyDerivation
            case memoryUnavailable
        }

        private let kind: Kind

        private init(_ kind: Kind) {
            self.kind = kind
        }

        /// There is no such file.
        public static let fileNotFound = Code(.fileNotFound)
        /// Others than the owner can read or change the file.
        public static let permissionsTooOpen = Code(.permissionsTooOpen)
        /// The file belongs neither to the effective user nor to root.
        public static let ownerNotAllowed = Code(.ownerNotAllowed)
        /// The path leads outside its directory, through a symbolic link, or to something that is not a regular file.
        public static let pathNotAllowed = Code(.pathNotAllowed)
        /// The file is larger than the policy allows.
        public static let tooLarge = Code(.tooLarge)
        /// A system call failed, or the file kept changing while it was read.
        public static let inputOutput = Code(.inputOutput)
        /// The content has not the form that was asked for.
        public static let invalidFormat = Code(.invalidFormat)
        /// No credential of this name, in any of the places where it was looked for.
        public static let credentialNotFound = Code(.credentialNotFound)
        /// A store was declared with a name or alias that is empty or taken.
        public static let invalidDeclaration = Code(.invalidDeclaration)
        /// A key cannot be derived from this input, or libcrypto failed.
        public static let keyDerivation = Code(.keyDerivation)
        /// No locked memory to put the secret into; mostly `ulimit -l` is too low.
        public static let memoryUnavailable = Code(.memoryUnavailable)

        /// The name of the code.
        public var description: String { "\(kind)" }
    }

    init(
        _ code: Code,
        path: String? = nil,
        name: String? = nil,
        mode: UInt16? = nil,
        expectedMode: UInt16? = nil,
        errno: Errno? = nil,
        reason: String? = nil
    ) {
        self.code = code
        self.path = path
        self.name = name
        self.mode = mode
        self.expectedMode = expectedMode
        self.errorNumber = errno?.rawValue
        self.reason = reason
    }

    init(_ error: SecureMemoryError) {
        self.init(
            .memoryUnavailable,
            errno: error.errno,
            reason: "\(error.byteCount) bytes; raise the limit with ulimit -l or LimitMEMLOCK="
        )
    }

    /// The same failure with the path and name it happened to.
    func located(path: String? = nil, name: String? = nil) -> CredentialsError {
        CredentialsError(
            code,
            path: self.path ?? path,
            name: self.name ?? name,
            mode: mode,
            expectedMode: expectedMode,
            errno: errorNumber.map { Errno(rawValue: $0) },
            reason: reason
        )
    }
}

extension CredentialsError: CustomStringConvertible {
    /// One line for people: lower case, no full stop, control characters escaped.
    public var description: String {
        let place = printable(path ?? name ?? "")
        let because = reason ?? errorNumber.map { Errno(rawValue: $0).message } ?? ""
        switch code {
        case .fileNotFound: return "file not found: \(place)"
        case .permissionsTooOpen:
            return
                "file permissions too open: \(place) (mode: \((mode ?? 0).octal), expected \((expectedMode ?? 0).octal))"
        case .ownerNotAllowed: return "file owner not allowed: \(place) (\(because))"
        case .pathNotAllowed: return "path not allowed: \(place) (\(because))"
        case .tooLarge: return "file too large: \(place) (\(because))"
        case .inputOutput: return "cannot read \(place): \(because)"
        case .invalidFormat where place.isEmpty: return "invalid format: \(because)"
        case .invalidFormat: return "invalid format: \(place) (\(because))"
        case .credentialNotFound:
            return "credential not found: \(printable(name ?? ""))" + (reason.map { " (\(printable($0)))" } ?? "")
        case .invalidDeclaration: return "invalid declaration: \(place) (\(because))"
        case .keyDerivation: return "key derivation failed (\(because))"
        case .memoryUnavailable: return "no locked memory (\(because))"
        default: return "\(code): \(place) (\(because))"
        }
    }

    /// A path is chosen by others: it must not forge a second line of a log or drive a terminal.
    private func printable(_ text: String) -> String {
        text.unicodeScalars.reduce(into: "") { result, scalar in
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator:
                result += "\\u{\(String(scalar.value, radix: 16))}"
            default: result.unicodeScalars.append(scalar)
            }
        }
    }
}
