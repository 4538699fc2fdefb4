// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

/// AWS as a source of real jobs and mounts, against a server on this machine that checks signatures and rights.
extension RunTests {
    @Suite(.timeLimit(.minutes(20))) struct AWSSources {
        private func text(_ path: String) -> String? {
            (try? Files.read(path)).map { String(decoding: $0, as: UTF8.self) }
        }

        @Test func parametersAndSecretsAreFilesOfAJob() async throws {
            let server = try await AWSServer.get()
            let box = try await JobBox(["S": "store", "P01": "store"])
            let variables = server.variables(server.facts.reader)
            let sources = [
                "--source", "ssm:/app", "--source", "ssm:/other?names=OLD=VERSIONED:1",
                "--source", "secretsmanager:prod/?names=token,PASSWORD=db#password", "--source", "ssm:alone",
            ]
            let script = """
                cd $CREDENTIALS_DIRECTORY; ls | wc -l; cat S P24; for n in OLD token PASSWORD alone; do echo "$(cat $n)"; done
                """
            let outcome = try await box.run(sources, shell: script, adding: variables)
            let expected = "30\nstorevalue 24\n\"\u{e9}\"first\na token\nnew\nno path\n"
            #expect(outcome.outputText == expected, "\(outcome.errorText)")
            let explained = try await box.credfs("explain", "P01", "--source", "ssm:/app", adding: variables)
            #expect(explained.outputText.hasPrefix("ssm:/app  has the value that counts\n"), "\(explained.errorText)")
            let absent = try await box.credfs("explain", "S", "--source", "ssm:/app", adding: variables)
            let lines = "ssm:/app  has none\nstore  has the value that counts\n"
            #expect(absent.outputText == lines, "\(absent.errorText)")
            try box.expectNothingLeft()
        }

        @Test func aListedNameThatNoSecretCanHaveIsWarnedOf() async throws {
            let server = try await AWSServer.get()
            let box = try await JobBox(["S": "store"])
            try await server.put("/odd/.hidden", "v")
            try await server.put("/odd/GOOD", "v")
            let outcome = try await box.run(
                ["--source", "ssm:/odd", "--if-missing=error"],
                shell: "cat $GOOD_FILE",
                adding: server.variables(server.facts.reader)
            )
            #expect(outcome.outputText == "v" && outcome.status == .exited(0), "\(outcome.errorText)")
            #expect(outcome.errorText.contains("a key is left out, which no secret can be called: '.hidden'"))
        }

        /// The commands of the examples, as they stand there.
        @Test(arguments: ["kubernetes/pod-ssm.yaml", "container/compose-sources.yaml"])
        func anExampleRuns(_ file: String) async throws {
            let server = try await AWSServer.get()
            let box = try JobBox()
            try await server.put("/my-service/production/WORKER_TOKEN", "of the example")
            let text = String(decoding: try Files.read("\(PackageDirectory.root)examples/\(file)"), as: UTF8.self)
            let commands = text.split(separator: "\n").filter { $0.contains("command: [") }
            let line = try #require(commands.first { $0.contains("ssm:") })
            let words = line.split(separator: "[")[1].dropLast().split(separator: ",").map { word in
                word.trimmingCharacters(in: CharacterSet(charactersIn: " \""))
            }
            let outcome = try await ChildProcess.run(
                CommandTests.credfs,
                Array(words.dropFirst().prefix { $0 != "--" }) + ["--", "/bin/sh", "-c", "cat $WORKER_TOKEN_FILE"],
                environment: box.environment.merging(server.variables(server.facts.reader)) { $1 }
            )
            #expect(outcome.outputText == "of the example" && outcome.status == .exited(0), "\(outcome.errorText)")
            try box.expectNothingLeft()
        }

        @Test func aSourceWithoutRegionStopsTheStart() async throws {
            let box = try await JobBox(["S": "store"])
            let outcome = try await box.run(["--source", "ssm:/app"], shell: "true")
            #expect(outcome.status == .exited(125) && outcome.errorText.contains("ssm:/app: no AWS region is named"))
            #expect(outcome.errorText.contains("hint: set AWS_REGION"), "\(outcome.errorText)")
        }

        @Test func aMountSeesNewValuesAndNewParameters() async throws {
            let server = try await AWSServer.get()
            let box = try await JobBox(["S": "store"])
            try await server.put("/live/A", "first")
            let variables = server.variables(server.facts.reader)
            let mount = try await box.mount("--source", "ssm:/live?ttl=300ms", adding: variables)
            #expect(text("\(mount.path)/A") == "first")
            try await server.put("/live/A", "second")
            try await Eventually.holds("the new value", within: .seconds(60)) { text("\(mount.path)/A") == "second" }
            try await server.put("/live/B", "new")
            try await Eventually.holds("the new name", within: .seconds(60)) { text("\(mount.path)/B") == "new" }
            #expect(try await box.credfs("refresh", "--all").status == .exited(0))
            try await box.unmountAll()
        }

        @Test func whatFailsForAWhileIsAskedForAgain() async throws {
            let server = try await AWSServer.get()
            let box = try await JobBox(["S": "store"])
            let variables = server.variables(server.facts.reader)
            func source(_ path: String) -> [String] {
                ["--source", "ssm:/app?names=A&timeout=60s&endpoint=\(server.facts.double)/\(path)"]
            }
            for path in ["throttled/run", "failing/run"] {
                let outcome = try await box.run(source(path), shell: "cat $A_FILE", adding: variables)
                #expect(outcome.outputText == "of the double", "\(path): \(outcome.errorText)")
            }
            let down = try await box.run(source("down/run") + ["--only", "A"], shell: "true", adding: variables)
            #expect(down.status == .exited(125) && down.errorText.contains("AWS fails for now: InternalServerError"))
            #expect(try await server.count("down/run") == 4, "attempts of one request")
            let denied = try await box.run(source("skewed/run") + ["--only", "A"], shell: "true", adding: variables)
            #expect(denied.errorText.contains("set the clock of this machine"), "\(denied.errorText)")
            #expect(try await server.count("skewed/run") == 1, "what another attempt cannot better is not repeated")
        }

        @Test func aListingThatFailsIsSaidAndTriedAgain() async throws {
            let server = try await AWSServer.get()
            let box = try await JobBox(["S": "store"])
            var variables = server.variables(server.facts.nobody)
            let outcome = try await box.run(["--source", "ssm:/app"], shell: "cat $S_FILE", adding: variables)
            #expect(outcome.outputText == "store", "\(outcome.errorText)")
            #expect(outcome.errorText.contains("ssm:/app: AWS refuses: AccessDenied"), "\(outcome.errorText)")
            #expect(outcome.errorText.contains("ssm:GetParametersByPath"))
            let only = try await box.run(["--source", "ssm:/app", "--only", "P01"], shell: "true", adding: variables)
            #expect(only.status == .exited(125) && only.errorText.contains("'P01': AWS refuses"), "\(only.errorText)")
            let explained = try await box.credfs("explain", "P01", "--source", "ssm:/app", adding: variables)
            #expect(explained.status == .exited(20) && explained.outputText.contains("cannot tell: AWS refuses"))
            let health = try await box.credfs("health", "--source", "ssm:/app", "--json", adding: variables)
            let sources = try #require(try health.json()["sources"] as? [[String: Any]])
            #expect(health.status == .exited(20) && sources[0]["authenticated"] as? Bool == false)
            #expect(sources[0]["reachable"] as? Bool == true)
            variables = server.variables(server.facts.reader)
            let well = try await box.credfs("health", "--source", "ssm:/app", adding: variables)
            #expect(well.outputText.hasPrefix("ok  ssm:/app  25 values"), "\(well.outputText)\(well.errorText)")
        }

        @Test func variablesAddAPathOfParameters() async throws {
            let server = try await AWSServer.get()
            let box = try await JobBox(["S": "store"])
            func names(_ changes: [String: String]) async throws -> ChildProcess.Outcome {
                let variables = server.variables(server.facts.reader).merging(changes) { $1 }
                return try await box.run([], shell: "ls $CREDENTIALS_DIRECTORY | wc -l", adding: variables)
            }
            let none = ["AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""]
            let cases: [(variables: [String: String], count: Int)] = [
                ([:], 1), (["CREDFS_SSM_PREFIX": "/app"], 26), (["CLARITY_SSM_PREFIX": "/app"], 26),
                (["CREDFS_SSM_PREFIX": "/app", "CREDFS_USE_SSM": "false"], 1),
                (["CREDFS_SSM_PREFIX": "/app", "CLARITY_USE_SSM": "true"], 26),
                (["CREDFS_SSM_PREFIX": "/app", "CREDFS_USE_SSM": "false", "CLARITY_USE_SSM": "true"], 1),
                (["CREDFS_USE_SSM": "false"], 1), (["CREDFS_SSM_PREFIX": "/app"].merging(none) { $1 }, 1),
            ]
            for (changes, count) in cases {
                let outcome = try await names(changes)
                #expect(outcome.outputText == "\(count)\n", "\(changes): \(outcome.errorText)")
            }
            for (changes, message) in [
                (["CREDFS_USE_SSM": "true"], "there is no prefix"),
                (["CREDFS_USE_SSM": "maybe"], "takes true or false"),
                (["CREDFS_SSM_PREFIX": "app"], "CREDFS_SSM_PREFIX takes a path"),
            ] {
                let outcome = try await names(changes)
                #expect(outcome.status == .exited(64) && outcome.errorText.contains(message), "\(outcome.errorText)")
            }
            // With keys that are nowhere the source is asked all the same, and says so.
            let wanted = try await names(none.merging(["CREDFS_SSM_PREFIX": "/app", "CREDFS_USE_SSM": "true"]) { $1 })
            #expect(
                wanted.outputText == "1\n" && wanted.errorText.contains("there are no AWS keys"),
                "\(wanted.errorText)"
            )
        }

        @Test func theConfigurationNamesRegionProfileAndIDs() async throws {
            let server = try await AWSServer.get()
            let box = try await JobBox(["S": "store"])
            let keys = server.facts.reader
            let profile = """
                [deploy]
                aws_access_key_id = \(keys.id)
                aws_secret_access_key = \(keys.secret)

                """
            let credentials = try box.sandbox.directory.write(
                Array(profile.utf8),
                to: "credentials",
                permissions: 0o600
            )
            let configuration = """
                sources:
                  - source: secretsmanager:prod/
                    names: [token, "USER=db#user"]
                    region: \(server.facts.region)
                    profile: deploy
                    endpoint: \(server.facts.aws)

                """
            let file = try box.sandbox.directory.write(
                Array(configuration.utf8),
                to: "credfs.yaml",
                permissions: 0o644
            )
            let outcome = try await box.run(
                [],
                shell: "cat $TOKEN_FILE $USER_FILE",
                adding: ["CREDFS_CONFIG": file, "AWS_SHARED_CREDENTIALS_FILE": credentials]
            )
            #expect(outcome.outputText == "a tokenu2", "\(outcome.errorText)")
        }

        @Test func whatCannotBeMeantIsRefused() async throws {
            let box = try await JobBox(["S": "store"])
            for (source, message) in [
                ("ssm:/app?newline=exact", "keys are names, ttl, max-stale, timeout, region, profile and endpoint"),
                ("ssm:/app?names=", "no name for a secret"), ("ssm:/app?names=A=", "no name for a secret"),
                ("ssm:/app?region=", "region has no value"), ("ssm:arn:aws:ssm:r:1:parameter/a", "needs a name"),
                ("ssm:alone?names=A", "names are for a path"), ("secretsmanager:/", "takes names"),
                ("secretsmanager:arn:aws:secretsmanager:r:1:secret:a", "needs a name"),
                ("exec:x?region=a", "the keys are names, ttl, max-stale, timeout and newline"),
            ] {
                let outcome = try await box.run(["--source", source], shell: "true")
                #expect(
                    outcome.status == .exited(64) && outcome.errorText.contains(message),
                    "\(source): \(outcome.errorText)"
                )
            }
        }

        /// A program beside credfs, and no other, is asked; PATH has another one here.
        @Test func theProgramThatAsksIsBesideCredfsAndNobodyElses() async throws {
            let box = try await JobBox(["S": "store"])
            let directory = box.sandbox.directory.path("installed")
            for place in ["bin", "libexec", "path"] {
                try FileManager.default.createDirectory(
                    atPath: "\(directory)/\(place)",
                    withIntermediateDirectories: true
                )
            }
            let copied = try await ChildProcess.run("/bin/cp", [credfs, "\(directory)/bin/credfs"])
            #expect(copied.status == .exited(0), "\(copied.errorText)")
            _ = try await box.sandbox.directory.writeProgram(
                "#!/bin/sh\ntouch \(directory)/ran\n",
                to: "installed/path/credfs-remote"
            )
            func run() async throws -> ChildProcess.Outcome {
                try await ChildProcess.run(
                    "\(directory)/bin/credfs",
                    ["explain", "A", "--source", "ssm:/app"],
                    environment: box.environment.merging(["PATH": "\(directory)/path:/usr/bin:/bin"]) { $1 }
                )
            }
            let missing = try await run()
            #expect(
                missing.outputText.contains("ssm: credfs-remote is missing"),
                "\(missing.outputText)\(missing.errorText)"
            )
            let program = "\(directory)/libexec/credfs-remote"
            let placed = try await ChildProcess.run("/bin/cp", [PackageDirectory.program("credfs-remote"), program])
            #expect(placed.status == .exited(0), "\(placed.errorText)")
            let found = try await run()
            #expect(found.outputText.contains("no AWS region is named"), "\(found.outputText)\(found.errorText)")
            try Files.setMode(0o777, program)
            let open = try await run()
            #expect(open.outputText.contains("insecure permissions"), "\(open.outputText)\(open.errorText)")
            #expect(!Files.exists("\(directory)/ran"))
            let alone = try await ChildProcess.run(PackageDirectory.program("credfs-remote"))
            #expect(alone.status == .exited(64) && alone.errorText.contains("is started by credfs"))
        }
    }
}
