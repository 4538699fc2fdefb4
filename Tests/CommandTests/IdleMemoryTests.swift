// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

/// Memory of the processes of a job and a mount with sources of the network, once nobody asks for anything.
extension RunTests {
    @Suite(.timeLimit(.minutes(20)), .enabled(if: isRoot)) struct IdleMemory {
        /// What shall be nowhere, with its name for messages, and what has to be found, so that it was looked at all.
        private struct Search {
            var secrets: [(name: String, text: String)]
            let control: String

            /// The beginning and the end of each, too: a copy may be overwritten in part.
            var parts: [(name: String, text: String)] {
                secrets.flatMap { secret in
                    let half = secret.text.count / 2
                    guard half >= 16 else { return [secret] }
                    return [
                        secret, ("the start of \(secret.name)", String(secret.text.prefix(min(half, 32)))),
                        ("the end of \(secret.name)", String(secret.text.suffix(min(half, 32)))),
                    ]
                }
            }
        }

        /// The processes of a server that are credfs: itself and those that it started, which hold no job.
        private func processes(of server: Int32) async throws -> [(id: Int32, name: String)] {
            let list = try await ChildProcess.run("/bin/ps", ["-e", "-o", "pid=,ppid=,comm="])
            let rows = list.outputText.split(separator: "\n").map { $0.split(separator: " ", maxSplits: 2) }
            var found: [(id: Int32, name: String)] = [(server, "server")]
            var index = 0
            while index < found.count {
                for row in rows where row.count == 3 && Int32(row[1]) == found[index].id && row[2].hasPrefix("credfs") {
                    found.append((Int32(row[0]) ?? -1, "\(row[2])"))
                }
                index += 1
            }
            return found
        }

        /// Expects that no process of a server has anything of what is looked for, a moment after its last request.
        private func expectNothing(_ search: Search, of server: Int32) async throws {
            let processes = try await processes(of: server)
            // Its keeper and the process that asks at least.
            try #require(processes.count > 2, "\(processes)")
            var places: [String] = []
            // A listing has the values for two seconds more.
            for _ in 0..<20 {
                places = []
                for process in processes {
                    let parts = search.parts
                    let kept = process.name == "server" ? 0 : try ProcessMemory.copiesOfKept(in: process.id)
                    for place in try await ProcessMemory.places(of: parts.map(\.text), in: process.id) {
                        // Without memfd_secret what is kept for the next request is in locked memory.
                        let isValue = parts[place.text].name.hasSuffix("the value")
                        if place.mapping == "anonymous", place.count <= kept, !isValue { continue }
                        places.append("\(process.name): \(parts[place.text].name) \(place.count)x in \(place.mapping)")
                    }
                    // What takes a mount away gets no environment.
                    guard ["server", "credfs-remote"].contains(process.name) else { continue }
                    let control = try await ProcessMemory.count(of: search.control, in: process.id)
                    try #require(control > 0, "\(process.name) was not looked into")
                }
                if places.isEmpty { return }
                try await Task.sleep(for: .milliseconds(200))
            }
            Issue.record("\(places.joined(separator: "\n"))")
        }

        /// What stands in the environment of every process of a run, and is no secret.
        private let control = "Control" + UUID().uuidString

        @Test func noKeyTokenOrValueOfAWSIsInTheMemoryOfARun() async throws {
            let server = try await AWSServer.get()
            let box = try await JobBox(["S": "store"])
            let value = "Value" + UUID().uuidString
            let path = "/idle-\(UUID().uuidString)"
            try await server.put("\(path)/A", value)
            let keys = server.facts.session
            var variables = server.variables(server.facts.reader)
            variables["AWS_ACCESS_KEY_ID"] = keys.accessKeyID
            variables["AWS_SECRET_ACCESS_KEY"] = keys.secretAccessKey
            variables["AWS_SESSION_TOKEN"] = keys.token
            variables["CONTROL"] = control
            let job = try await box.start(
                ["--source", "ssm:\(path)"],
                shell: "cat $A_FILE > /dev/null && echo $$ > $READY; exec sleep 600",
                adding: variables
            )
            let search = Search(
                secrets: [
                    ("the value", value), ("the key", keys.secretAccessKey), ("the token of the session", keys.token),
                ],
                control: control
            )
            try await expectNothing(search, of: job.credfs.id)
            // The job has them, by decision 0121; and so would be found what another process had.
            #expect(try await ProcessMemory.count(of: keys.secretAccessKey, in: job.process) > 0)
            #expect(try await ProcessMemory.count(of: keys.token, in: job.process) > 0)
            // After another request, too.
            let refreshed = try await box.credfs("refresh", "--all")
            #expect(refreshed.status == .exited(0), "\(refreshed.outputText)\(refreshed.errorText)")
            try await expectNothing(search, of: job.credfs.id)
            kill(job.process, SIGKILL)
            _ = try await job.credfs.end()
        }

        @Test func noTokenOrValueOfVaultIsInTheMemoryOfAMount() async throws {
            let server = try await VaultServer.get()
            let box = try await JobBox(["S": "store"])
            let variables = [
                "VAULT_ADDR": server.facts.address, "VAULT_TOKEN": server.facts.token, "CONTROL": control,
            ]
            let mount = try await box.mount("--source", "vault:secret/app?names=DB_PASSWORD", adding: variables)
            #expect(try Files.read("\(mount.path)/DB_PASSWORD") == Array("second".utf8))
            let search = Search(secrets: [("the token", server.facts.token)], control: control)
            try await expectNothing(search, of: mount.process)
            let refreshed = try await box.credfs("refresh", "--all")
            #expect(refreshed.status == .exited(0), "\(refreshed.outputText)\(refreshed.errorText)")
            try await expectNothing(search, of: mount.process)
            try await box.unmountAll()
        }

        @Test func noKeyOfALoginIsInTheMemoryOfAMount() async throws {
            let server = try await VaultServer.get()
            let box = try await JobBox(["S": "store"])
            let variables = [
                "VAULT_ADDR": server.facts.address, "VAULT_ROLE_ID": server.facts.role,
                "VAULT_SECRET_ID": server.facts.secret, "CONTROL": control,
            ]
            let mount = try await box.mount("--source", "vault:secret/app?names=DB_PASSWORD", adding: variables)
            #expect(try Files.read("\(mount.path)/DB_PASSWORD") == Array("second".utf8))
            let search = Search(secrets: [("the secret id", server.facts.secret)], control: control)
            try await expectNothing(search, of: mount.process)
            try await box.unmountAll()
        }

        /// A program inherits what it needs to be let in, and the processes around it do not have it between two calls.
        @Test func noKeyThatAProgramInheritsIsInTheMemoryOfAMount() async throws {
            let box = try await JobBox(["S": "store"])
            let key = "Key" + UUID().uuidString
            let program = try await box.sandbox.directory.writeProgram(
                "#!/bin/sh\nprintf '%s' \"$AWS_SECRET_ACCESS_KEY\" | md5sum | cut -c1-32\n",
                to: "provider"
            )
            let mount = try await box.mount(
                "--source",
                "exec:\(program)?names=A",
                adding: ["AWS_SECRET_ACCESS_KEY": key, "CONTROL": control]
            )
            let sum = try await ChildProcess.run("/usr/bin/md5sum", standardInput: Array(key.utf8))
            #expect(try Files.read("\(mount.path)/A") == Array(sum.standardOutput.prefix(32)))
            try await expectNothing(Search(secrets: [("the key", key)], control: control), of: mount.process)
            try await box.unmountAll()
        }
    }
}
