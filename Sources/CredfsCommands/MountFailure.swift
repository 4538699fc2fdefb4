// SPDX-License-Identifier: Apache-2.0

internal import HostChecks
internal import Jobs
internal import SecretStore
internal import SystemCalls

extension CredfsCommand {
    /// Converts an error, with advice for this host where mounting failed, or for the place.
    ///
    /// - Parameters:
    ///   - error: the error.
    ///   - way: how secrets were to be shown.
    /// - Returns: the same failure, with a hint where one is known.
    func advised(_ error: any Error, way: MountAdvice.Way = .best) -> CommandError {
        let failure = CommandError(anyError: error)
        guard let cause = error as? MountError, cause.hint == nil, [.mount, .place].contains(cause.code) else {
            return failure
        }
        let host = HostView.system(
            environment: { EnvironmentVariables.value($0) },
            childEnvironment: [],
            user: ProcessAttributes.effectiveUser,
            now: Timestamp.now()
        )
        let hint =
            if cause.code == .place {
                Doctor.remedyOfRuntimeDirectory(host)
            } else {
                MountAdvice(MountFacts(host), way: way)?.hint
            }
        return CommandError(failure.status, failure.message, hint: hint)
    }
}
