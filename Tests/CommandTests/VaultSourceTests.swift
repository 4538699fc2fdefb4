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
            // Keys that no secret can be called are said, and are not taken for others.
            let odd = try await box.run(
                ["--source", "vault:secret/odd", "--source", "vault:secret/empty"],
                shell: "ls $CREDENTIALS_DIRECTORY",
                adding: variables
            )
            #expect(odd.outputText == "PLAIN\nS\n", "\(odd.errorText)")
            #expect(odd.errorText.contains("vault:secret/odd: 3 keys are left out"), "\(odd.errorText)")
            #expect(odd.errorText.contains("vault:secret/empty: Vault has the path, and no key in its map"))
            for (source, message) in [
                ("vault:secret", "vault takes mount and path"), ("vault:secret/app#KEY", "vault takes mount and path"),
                ("vault:secret/../x", "vault takes mount and path"), ("vault:secret/./x", "vault takes mount and path"),
                ("vault:secret/app?region=x", "address, namespace, method, login, role, jwt, wrapped and renew"),
            ] {
                let refused = try await box.run(["--source", source], shell: "true")
                #expect(refused.status == .exited(64) && refused.errorText.contains(message), "\(refused.errorText)")
            }
            try box.expectNothingLeft()
        }
    }
}
