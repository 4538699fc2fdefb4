// SPDX-License-Identifier: Apache-2.0

internal import SecretStore
internal import SecureFiles

/// `vault:MOUNT/PATH`: keys of a map in the KV engine of HashiCorp Vault.
struct VaultSourceType: AskedSourceType {
    let scheme = "vault"
    let location = "MOUNT/PATH[?names=NAMES]"
    let batchLimit = 100
    let attempts = 4
    let requestsPerSecond: Double? = 20
    let ownKeys = ["address", "namespace", "method", "login", "role", "jwt", "wrapped", "renew"]
    let namesHaveIDs = true

    func complete(_ settings: inout AskedSettings, _ location: String) throws(StoreError) {
        let segments = location.split(separator: "/")
        guard segments.count > 1, !location.contains("#"), !segments.contains("."), !segments.contains("..") else {
            throw StoreError(
                .usage,
                "vault takes mount and path",
                hint: "vault:secret/my-service; one key of it: vault:secret/my-service?names=KEY"
            )
        }
    }

    func command(
        _ location: String,
        _ settings: AskedSettings,
        limit: Int,
        _ checker: PermissionChecker
    ) throws(StoreError) -> ProviderClient.Command {
        try RemoteProgramFile.command(scheme, location, settings, limit: limit, checker)
    }
}
