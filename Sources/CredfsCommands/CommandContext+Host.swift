// SPDX-License-Identifier: Apache-2.0

internal import HostChecks
internal import SecretStore

extension CommandContext {
    /// The machine as checks see it.
    var host: HostView {
        .system(
            environment: environment,
            childEnvironment: SecretVariables.environmentForChildren(),
            user: user,
            now: now()
        )
    }
}
