// SPDX-License-Identifier: Apache-2.0

/// Health of one credential: it is there and is what it should be, or why not.
///
/// Says nothing of its content, not even its size.
public struct CredentialHealth: Sendable, Hashable, CustomStringConvertible {
    /// The state of a credential's file.
    public struct State: Sendable, Hashable, CustomStringConvertible {
        private enum Kind: Hashable {
            case valid
            case missing
            case invalid
        }

        private let kind: Kind

        private init(_ kind: Kind) {
            self.kind = kind
        }

        /// The file is there, passed every check and has the declared form.
        public static let valid = State(.valid)
        /// There is no file.
        public static let missing = State(.missing)
        /// The file is there and is refused; `error` says why.
        public static let invalid = State(.invalid)

        /// The name of the state.
        public var description: String { "\(kind)" }
    }

    /// The name of the credential.
    public let name: String
    /// Its other names.
    public let aliases: [String]
    /// The program cannot do without it.
    public let isRequired: Bool
    /// The state of its file.
    public let state: State
    /// Error for which it is missing or invalid.
    public let error: CredentialsError?

    init(_ credential: Credential, _ error: CredentialsError?) {
        name = credential.name
        aliases = credential.aliases
        isRequired = credential.isRequired
        self.error = error
        state = error.map { $0.isAbsence ? .missing : .invalid } ?? .valid
    }

    /// The program can do its work: valid, or missing and not required.
    public var isHealthy: Bool { state == .valid || state == .missing && !isRequired }

    /// One line for people.
    public var description: String {
        guard let error else { return "\(name): \(state)" }
        return "\(name): \(state)\(isRequired ? "" : ", optional"): \(error)"
    }
}

extension CredentialsError {
    /// Absence of the credential, and nothing worse.
    var isAbsence: Bool { code == .fileNotFound || code == .credentialNotFound }
}
