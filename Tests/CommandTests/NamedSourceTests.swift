// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Testing

/// Services in which secrets have names and no paths as sources of real jobs, against doubles of them.
extension RunTests {
    @Suite(.timeLimit(.minutes(20))) struct NamedSources {
        @Test func secretsOfGoogleAreFilesOfAJob() async throws {
            let server = try await GoogleServer.get()
            let box = try await JobBox(["S": "store"])
            let variables = [
                "CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER": server.facts.address,
                "CLOUDSDK_AUTH_ACCESS_TOKEN": server.facts.token,
            ]
            let outcome = try await box.run(
                ["--source", "gcpsecrets:app/billing-", "--source", "gcpsecrets:app?names=USER=DB:1#user,DB_PASSWORD"],
                shell: "cd $CREDENTIALS_DIRECTORY; cat S A B USER DB_PASSWORD",
                adding: variables
            )
            #expect(outcome.outputText == "storeof aof bu1second", "\(outcome.errorText)")
            for (source, message) in [
                ("gcpsecrets:app/a/b", "gcpsecrets takes PROJECT[/PREFIX]"), ("gcpsecrets:app/", "takes PROJECT"),
                ("gcpsecrets:../x", "takes PROJECT"), ("gcpsecrets:app?region=a/b", "region is no region"),
                ("gcpsecrets:app?profile=x", "timeout, region and endpoint"),
            ] {
                let refused = try await box.run(["--source", source], shell: "true")
                #expect(refused.status == .exited(64) && refused.errorText.contains(message), "\(refused.errorText)")
            }
            // Missing and unavailable are different failures of a secret that has to be there.
            for (name, status) in [("NONE", Int32(11)), ("DOWN", 20)] {
                let shown = try await box.credfs(
                    "show",
                    name,
                    "--source",
                    "gcpsecrets:app?names=\(name)&timeout=1s",
                    adding: variables
                )
                #expect(shown.status == .exited(status), "\(name): \(shown.errorText)")
            }
            try box.expectNothingLeft()
        }

        @Test func secretsOfAzureAreFilesOfAJob() async throws {
            let server = try await AzureServer.get()
            let box = try await JobBox(["S": "store"])
            let variables = [
                "AZURE_AUTHORITY_HOST": server.facts.address, "AZURE_TENANT_ID": server.facts.tenant,
                "AZURE_CLIENT_ID": "app", "AZURE_CLIENT_SECRET": server.facts.secret,
            ]
            let end = "endpoint=\(server.facts.address)/app"
            let outcome = try await box.run(
                [
                    "--source", "azurekeyvault:app/billing-?\(end)", "--source",
                    "azurekeyvault:app?names=USER=DB:v1#user,DB_PASSWORD&\(end)",
                ],
                shell: "cd $CREDENTIALS_DIRECTORY; cat S A B USER DB_PASSWORD",
                adding: variables
            )
            #expect(outcome.outputText == "storeof aof bu1second", "\(outcome.errorText)")
            for (source, message) in [
                ("azurekeyvault:app/a/b", "azurekeyvault takes VAULT[/PREFIX]"), ("azurekeyvault:a.b", "takes VAULT"),
                ("azurekeyvault:app?domain=a/b", "domain is no domain"),
                ("azurekeyvault:app?region=x", "timeout, domain and endpoint"),
            ] {
                let refused = try await box.run(["--source", source], shell: "true")
                #expect(refused.status == .exited(64) && refused.errorText.contains(message), "\(refused.errorText)")
            }
            for (name, status) in [("NONE", Int32(11)), ("DOWN", 20)] {
                let source = "azurekeyvault:app?names=\(name)&timeout=1s&\(end)"
                let shown = try await box.credfs("show", name, "--source", source, adding: variables)
                #expect(shown.status == .exited(status), "\(name): \(shown.errorText)")
            }
            try box.expectNothingLeft()
        }
    }
}
