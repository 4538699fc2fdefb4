// SPDX-License-Identifier: Apache-2.0

package import ProcessControl
package import SecretFileSystem
package import SecretStore
package import SystemCalls

extension JobRun {
    /// Secrets that are shown to the job.
    package struct Content: Sendable {
        /// The secrets as they are served; nil where there are none to show.
        package var snapshot: Snapshot?
        /// The same with their entries, for backends that write files.
        package var secrets: SecretSet?
        /// The store they are from.
        package var store: StoreID?
        /// Acceptance of their store.
        package var auth: AuthMode

        /// Makes a content.
        package init(auth: AuthMode) {
            self.auth = auth
        }
    }

    /// Settings of the mount and the job.
    package struct Settings {
        /// Backend that shows the secrets.
        package var backend = Backend.fuse
        /// Shared mount, which other processes see.
        package var isShared = false
        /// Its program runs as another user.
        package var isForAnotherUser = false
        /// Owner and callers.
        package var rules: MountRules
        /// Files and directories that the job shall not see.
        package var maskedPaths: [String] = []
        /// Time for processes that outlive the first one; they keep their secrets as long.
        package var linger = Duration.zero
        /// Processes of `--on-alert` and of sources, which are not waited for.
        package var helpers: [Int32] = []
        /// End of the mount by itself.
        package var live = LiveOptions()
        /// Store of other generations; nil where there are no secrets.
        package var store: (any ServedStore)?

        /// Makes the usual settings.
        package init(rules: MountRules) {
            self.rules = rules
        }
    }

    /// Message for people.
    package enum Message: Sendable {
        /// No private namespace can be had.
        case notPrivate(reason: String)
        /// The secrets are not served any more, though the job runs.
        case servingEnded
        /// The time of the mount is over, and the job runs without secrets.
        case timeOver
        /// The backend is one of the weaker ones.
        case weakBackend(Backend)
    }

    /// Result of a job.
    package struct Outcome: Sendable, Equatable {
        /// The exit status, with 128+n for a signal, 126 and 127 for a program that could not be run.
        package let status: Int32
        /// Isolation that it had.
        package let isolation: Isolation
        /// Reason why its program could not be run.
        package let refusal: String?
    }
}

extension ChildProcess.Exit {
    /// The status as a shell has it: 128+n for a signal.
    package var shellStatus: Int32 {
        switch self {
        case .status(let status): status
        case .signal(let signal): 128 + signal
        }
    }
}
