// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Testing

/// Vault as a source of real jobs, against a double of it.
extension RunTests {
    @Suite(.timeLimit(.minutes(20))) struct VaultSources {
        @Test func keysOfAMapAreFilesOfAJob() async throws {
            let server = try await VaultServer.get()
            let box = try await JobBox(["S": "store"])
            let variables = ["VAULT_ADDR": server.facts.address, "VAULT_TOKEN": server.facts.token]
            let outcome = try await box.run(
                [
                    "--source", "vault:old/app?names=OLD=DB_PASSWORD", "--source",
                    "vault:secret/app?names=DB_PASSWORD,PORT,DEEP=secret/other/deep#KEY,FIRST=secret/app:1#DB_PASSWORD",
                ],
                shell: "cd $CREDENTIALS_DIRECTORY; cat S OLD DB_PASSWORD PORT FIRST DEEP",
                adding: variables
            )
            let expected = "storeof version 1second5432firsta\n\"\u{e9}"
            #expect(outcome.outputText == expected, "\(outcome.errorText)")
            let health = try await box.credfs("health", "--source", "vault:secret/app", adding: variables)
            #expect(health.outputText.contains("vault:secret/app  3 values"), "\(health.outputText)\(health.errorText)")
            for (source, message) in [
                ("vault:secret", "vault takes mount and path"), ("vault:secret/app#KEY", "vault takes mount and path"),
                ("vault:secret/../x", "vault takes mount and path"), ("vault:secret/./x", "vault takes mount and path"),
                ("vault:secret/app?region=x", "timeout, address, namespace and login"),
            ] {
                let refused = try await box.run(["--source", source], shell: "true")
                #expect(refused.status == .exited(64) && refused.errorText.contains(message), "\(refused.errorText)")
            }
            try box.expectNothingLeft()
        }
    }
}
