// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

/// Processes that ask sources and were killed, as by a kernel without memory: the next request has another one.
extension RunTests {
    @Suite(.timeLimit(.minutes(20))) struct SourceRestarts {
        private func text(_ path: String) -> String? {
            (try? Files.read(path)).map { String(decoding: $0, as: UTF8.self) }
        }

        /// The process below a server that asks, whoever started it.
        private func asker(_ name: String, of server: Int32) async throws -> Int32? {
            let list = try await ChildProcess.run("/bin/ps", ["-e", "-o", "pid=,ppid=,stat=,args="])
            let rows = list.outputText.split(separator: "\n").map { $0.split(separator: " ", maxSplits: 3) }
            let children = rows.filter { $0.count == 4 && Int32($0[1]) == server }.compactMap { Int32($0[0]) }
            let found = rows.filter { row in
                guard row.count == 4, let parent = Int32(row[1]), !row[2].hasPrefix("Z") else { return false }
                return (parent == server || children.contains(parent)) && row[3].drop { $0 == " " }.hasPrefix(name)
            }
            return found.first.flatMap { Int32($0[0]) }
        }

        private func killAsker(_ name: String, of server: Int32) async throws -> Int32 {
            let process = try #require(try await asker(name, of: server))
            kill(process, SIGKILL)
            try await Eventually.holds("the end of \(process)", within: .seconds(20)) {
                !ProcessState.isAlive(process)
            }
            return process
        }

        @Test func aKilledProcessOfTheNetworkIsReplacedByTheNextRequest() async throws {
            let server = try await AWSServer.get()
            let box = try await JobBox(["S": "store"])
            let path = "/restart-\(UUID().uuidString)"
            try await server.put("\(path)/A", "first")
            let mount = try await box.mount(
                "--source",
                "ssm:\(path)?ttl=1h",
                adding: server.variables(server.facts.reader)
            )
            #expect(text("\(mount.path)/A") == "first")
            let killed = try await killAsker("credfs-remote", of: mount.process)
            #expect(text("\(mount.path)/A") == "first", "what was told is served on")
            try await server.put("\(path)/A", "second")
            // It has the keys of the one before, though they are in no environment any more.
            let refreshed = try await box.credfs("refresh", "A", mount.path)
            #expect(refreshed.status == .exited(0), "\(refreshed.errorText)")
            #expect(text("\(mount.path)/A") == "second")
            let other = try #require(try await asker("credfs-remote", of: mount.process))
            #expect(other != killed)
            let health = try await box.credfs("health", mount.path)
            #expect(health.status == .exited(0), "\(health.outputText)")
            try await box.unmountAll()
            // Nothing of it is left.
            let last = try await asker("credfs-remote", of: mount.process)
            #expect(last == nil)
        }

        @Test func aRequestWhoseProcessIsKilledHasAnErrorOrAnotherAnswer() async throws {
            let server = try await AWSServer.get()
            let box = try await JobBox(["S": "store"])
            let part = "slow/restart-\(UUID().uuidString)"
            // An answer that takes eight seconds and more: the start does not wait for it.
            let mount = try await box.mount(
                "--source",
                "ssm:/app?names=A&ttl=1h&timeout=30s&endpoint=\(server.facts.double)/\(part)",
                adding: server.variables(server.facts.reader)
            )
            #expect(text("\(mount.path)/A") == "of the double")
            let began = try await server.count(part)
            async let refreshing = box.credfs("refresh", "A", mount.path)
            try await Eventually.holds("a request", within: .seconds(20)) { try await server.count(part) > began }
            _ = try await killAsker("credfs-remote", of: mount.process)
            #expect(text("\(mount.path)/A") == "of the double", "what was told is served on")
            // The same request is made once more, by another process.
            let refreshed = try await refreshing
            #expect(refreshed.status == .exited(0), "\(refreshed.errorText)")
            #expect(try await server.count(part) == began + 2)
            try await box.unmountAll()
        }

        @Test func aKilledProcessOfAProgramIsReplacedAndItsRequestFails() async throws {
            let box = try await JobBox(["S": "store"])
            let directory = box.sandbox.directory.path
            let program = try await box.sandbox.directory.writeProgram(
                """
                #!/bin/sh
                echo "$AWS_SECRET_ACCESS_KEY" >>\(directory)/calls
                [ -e \(directory)/hang ] && echo $$ >\(directory)/hanging && exec sleep 1000
                echo value
                """,
                to: "provider"
            )
            let mount = try await box.mount(
                "--source",
                "exec:\(program)?names=A&ttl=1h&timeout=60s",
                adding: ["AWS_SECRET_ACCESS_KEY": "of the caller"]
            )
            #expect(text("\(mount.path)/A") == "value")
            try box.sandbox.directory.write([], to: "hang")
            async let refreshing = box.credfs("refresh", "A", mount.path)
            try await Eventually.holds("a call", within: .seconds(20)) {
                text("\(directory)/calls")?.split(separator: "\n").count == 2
            }
            let name = "credfs ask-source"
            _ = try await killAsker(name, of: mount.process)
            let refused = try await refreshing
            refused.expectRefusal(20, "the process that asks the source has ended")
            #expect(text("\(mount.path)/A") == "value", "what was told is served on")
            // A program that hangs outlives the process that waited for it.
            let hanging = try #require(Int32(try await Eventually.text(of: "\(directory)/hanging")))
            kill(hanging, SIGKILL)
            try FileManager.default.removeItem(atPath: "\(directory)/hang")
            let refreshed = try await box.credfs("refresh", "A", mount.path)
            #expect(refreshed.status == .exited(0), "\(refreshed.errorText)")
            #expect(text("\(directory)/calls") == String(repeating: "of the caller\n", count: 3))
            // One that ends again and again is not started in a loop.
            var early: ChildProcess.Outcome?
            for _ in 0..<10 where early == nil {
                _ = try await killAsker(name, of: mount.process)
                let outcome = try await box.credfs("refresh", "A", mount.path)
                if outcome.status != .exited(0) { early = outcome }
            }
            try #require(early).expectRefusal(20, "is started again in", hint: "see what ended it")
            try await Eventually.holds("another process", within: .seconds(120)) {
                try await box.credfs("refresh", "A", mount.path).status == .exited(0)
            }
            try await box.unmountAll()
        }

        /// Whoever kills the keeper, too, is told what to do.
        @Test func withoutTheKeeperTheErrorSaysWhatToDo() async throws {
            let box = try await JobBox(["S": "store"])
            let program = try await box.sandbox.directory.writeProgram("#!/bin/sh\necho value\n", to: "provider")
            let mount = try await box.mount("--source", "exec:\(program)?names=A&ttl=1h")
            _ = try await killAsker("credfs keep-sources", of: mount.process)
            #expect(try await box.credfs("refresh", "A", mount.path).status == .exited(0))
            _ = try await killAsker("credfs ask-source", of: mount.process)
            let refused = try await box.credfs("refresh", "A", mount.path)
            refused.expectRefusal(20, "has ended", hint: "mount, or run, anew")
            #expect(text("\(mount.path)/A") == "value")
            #expect(try await box.credfs("health", mount.path).outputText.contains("has ended"))
            try await box.unmountAll()
        }
    }
}
