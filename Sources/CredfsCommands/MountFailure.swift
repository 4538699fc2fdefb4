// SPDX-License-Identifier: Apache-2.0

internal import HostChecks
internal import Jobs
internal import SecretStore
internal import SystemCalls

extension CredfsCommand {
    /// What an error comes to, with the way to mount that fits this host where that is what failed.
    func advised(_ error: any Error) -> CommandError {
        let failure = CommandError(anyError: error)
        guard let cause = error as? MountError, cause.code == .mount, cause.hint == nil else { return failure }
        let host = HostView.system(
            environment: { EnvironmentVariables.value($0) },
            childEnvironment: [],
            user: ProcessAttributes.effectiveUser,
            now: Timestamp.now()
        )
        guard let advice = MountAdvice(MountFacts(host)) else { return failure }
        return CommandError(failure.status, failure.message, hint: advice.hint)
    }
}
