// SPDX-License-Identifier: Apache-2.0

/// Operation of a command, for the audit log, which adds process and user.
///
/// Never a value or a length.
package struct OperationEvent: Sendable, Equatable {
    /// The operations of all commands.
    package enum Operation: String, Sendable {
        case initialize = "init"
        case permissions
        case encrypt
        case edit
        case verify
        case set
        case get
        case show
        case list
        case delete
        case run
        /// Labels of the job of a run.
        case job
        case mount
        case unmount
        case reload
        case refresh
        case explain
        case health
        case lock
        case environment = "env"
        /// The time in which calls of systemd for credentials were answered; each has an entry `open`.
        case serveCredentials = "serve-credentials"
        case status
        case doctor
        case auditShow = "audit-show"
        case auditVerify = "audit-verify"
        case auditHead = "audit-head"
        case auditReport = "audit-report"
        /// A locked mount that serves again; denied: a password that was wrong, or refused unseen during a lockout.
        case unlock
        /// So many wrong passwords in a row that the next has to wait.
        case alert
        case policyShow = "policy-show"
        case policySet = "policy-set"
        case policyTest = "policy-test"
        case policySuggest = "policy-suggest"
        case keysList = "keys-list"
        case keysAdd = "keys-add"
        case keysRemove = "keys-remove"
        case password
        case rotate
        case `import`
        case export
    }

    /// Outcome of an operation.
    package enum Status: String, Sendable {
        case success
        case failed
        case denied
    }

    /// Secrets, slots and mount of an operation, as far as it came.
    package struct Subjects: Sendable, Equatable {
        package var secrets: [SecretName] = []
        /// The key slots that it made, used by name or removed.
        package var slots: [String] = []
        /// Of a run or mount: `authenticated` or `unauthenticated`.
        package var authMode: String?
        /// Cause of being unauthenticated, out of the closed list.
        package var authReason: String?
        package var mount: String?
        /// The exit status of a job that ended.
        package var exitStatus: Int32?
        /// Of a job: claims of its CI system and of whoever started it.
        package var labels: [String: String] = [:]

        package init(secrets: [SecretName] = []) {
            self.secrets = secrets
        }
    }

    package let operation: Operation
    package let subjects: Subjects
    package let service: String?
    package let status: Status
    /// Cause of a failure, or a note on what was done.
    package let reason: String?
    package let store: StoreID?

    package init(
        _ operation: Operation,
        _ subjects: Subjects = Subjects(),
        service: String? = nil,
        status: Status,
        reason: String? = nil,
        store: StoreID? = nil
    ) {
        self.operation = operation
        self.subjects = subjects
        self.service = service
        self.status = status
        self.reason = reason
        self.store = store
    }
}

/// Takes the events of operations, in their order.
package protocol OperationRecorder: AnyObject {
    func record(_ event: OperationEvent)
}
