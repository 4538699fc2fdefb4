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
