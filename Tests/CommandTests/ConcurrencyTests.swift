// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Testing

@Suite struct ConcurrencyTests {
    @Test func everyOneOfManyParallelWritersIsKept() async throws {
        let sandbox = try await Sandbox(["KEPT": "old"])
        let generation = try sandbox.generation()
        let count = 24
        let writers = try (0..<count).map { number in
            try ChildProcess.Running(
                credfs,
                ["set", "NAME\(number)"],
                environment: sandbox.environment,
                input: .bytes(Array("value \(number)".utf8))
            )
        }
        for writer in writers {
            let outcome = try await writer.end()
            #expect(outcome.status == .exited(0), "\(outcome.errorText)")
        }
        #expect(try sandbox.generation() == generation + count)
        for number in 0..<count {
            #expect(try await sandbox.value("NAME\(number)") == Array("value \(number)".utf8))
        }
        #expect(try await sandbox.run("verify").status == .exited(0))
        #expect(try sandbox.snapshot().leftovers == [])
    }

    @Test func readersBesideAWriterSeeOneManifestOrTheOther() async throws {
        let sandbox = try await Sandbox(["ONE": "value 0"])
        let environment = sandbox.environment
        let writing = Task {
            for number in 1...40 {
                let outcome = try await ChildProcess.run(
                    credfs,
                    ["set", "ONE"],
                    environment: environment,
                    standardInput: Array("value \(number)".utf8)
                )
                #expect(outcome.status == .exited(0), "\(outcome.errorText)")
            }
        }
        for round in 0..<60 {
            let outcome = try await sandbox.run(round % 2 == 0 ? ["verify"] : ["show", "ONE"])
            #expect(outcome.status == .exited(0), "\(outcome.outputText)\(outcome.errorText)")
            #expect(round % 2 == 0 || outcome.outputText.hasPrefix("value "))
        }
        try await writing.value
        #expect(try await sandbox.value("ONE") == Array("value 40".utf8))
    }

    @Test func aWriterWaitsForTheLockAndSaysSo() async throws {
        let sandbox = try await Sandbox(["ONE": "old"])
        let pipe = PipePair()
        let holder = try ChildProcess.Running(
            "/usr/bin/env",
            ["flock", sandbox.path("state/lock"), "sh", "-c", "echo held; read line"],
            input: .descriptor(pipe.output),
            output: nil
        )
        try await Task.sleep(for: .milliseconds(200))
        let writer = try ChildProcess.Running(
            credfs,
            ["set", "ONE", "-v"],
            environment: sandbox.environment,
            input: .bytes([65])
        )
        try await Task.sleep(for: .milliseconds(300))
        #expect(try await sandbox.value("ONE") == Array("old".utf8))
        pipe.closeInput()
        _ = try await holder.end()
        let outcome = try await writer.end()
        #expect(outcome.status == .exited(0))
        #expect(outcome.errorText.contains("waiting for another command"))
        #expect(try await sandbox.value("ONE") == [65])
    }
}
