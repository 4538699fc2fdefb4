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
    }
}
