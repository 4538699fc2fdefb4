// SPDX-License-Identifier: Apache-2.0

internal import Jobs
internal import SecretStore

/// The exit statuses of credfs: a promise to scripts, never renumbered (docs/cli-abi.md).
struct ExitStatus: Sendable, Equatable {
    let code: Int32

    static let done = ExitStatus(code: 0)
    static let failed = ExitStatus(code: 1)
    static let mountPoint = ExitStatus(code: 10)
    static let noSuchSecret = ExitStatus(code: 11)
    static let incorrectPassword = ExitStatus(code: 12)
    static let lockedOut = ExitStatus(code: 13)
    static let permissions = ExitStatus(code: 14)
    static let authentication = ExitStatus(code: 15)
    static let expired = ExitStatus(code: 16)
    static let invalid = ExitStatus(code: 17)
    static let noStore = ExitStatus(code: 18)
    static let mount = ExitStatus(code: 19)
    static let unavailable = ExitStatus(code: 20)
    static let refused = ExitStatus(code: 21)
    static let unsealed = ExitStatus(code: 22)
    static let usage = ExitStatus(code: 64)
    /// A failure of `run` itself, whatever its kind.
    static let runFailed = ExitStatus(code: 125)
}

extension ExitStatus {
    /// The status of a class of failure.
    init(_ code: StoreError.Code) {
        self =
            switch code {
            case .failed: .failed
            case .noSuchSecret: .noSuchSecret
            case .incorrectPassword: .incorrectPassword
            case .lockedOut: .lockedOut
            case .permissions: .permissions
            case .authentication: .authentication
            case .expired: .expired
            case .invalid: .invalid
            case .noStore: .noStore
            case .unsealed: .unsealed
            case .usage: .usage
            case .unavailable: .unavailable
            }
    }
}

extension ExitStatus {
    /// The status of a class of failure.
    init(_ code: MountError.Code) {
        self =
            switch code {
            case .place: .mountPoint
            case .mount: .mount
            case .variables: .invalid
            case .policy: .refused
            case .usage: .usage
            case .failed: .failed
            }
    }
}

extension SecretName {
    /// A message that no secret has a name, without what may be `NAME=VALUE`.
    static func unknown(_ text: String) -> String {
        text.contains("=") ? "no secret has that name" : "no secret has the name '\(text)'"
    }
}

extension CommandError {
    /// Hint after `NAME=VALUE`.
    static let wayForValue =
        "other users can see arguments: replace the value if it was one; pipe it in: credfs set NAME < FILE"

    /// The refusal of `NAME=VALUE`, of which nothing is repeated.
    static func valueInArgument(_ place: String) -> CommandError {
        CommandError(.usage, "\(place) cannot have '=': a value is never an argument", hint: wayForValue)
    }
}

/// A failure that ends a command: what to say and with which status.
struct CommandError: Error {
    let status: ExitStatus
    let message: String
    var hint: String?

    init(_ status: ExitStatus, _ message: String, hint: String? = nil) {
        self.status = status
        self.message = message
        self.hint = hint
    }

    init(_ error: StoreError) {
        self.init(ExitStatus(error.code), error.message, hint: error.hint)
    }

    init(_ error: MountError) {
        self.init(ExitStatus(error.code), error.message, hint: error.hint)
    }
}
