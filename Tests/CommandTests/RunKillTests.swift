// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

extension RunTests {
    /// SIGKILL of credfs, of the process that becomes the job, and of the job itself, at each phase.
    @Suite(.timeLimit(.minutes(20))) struct Killed {
        /// The calls by which a job is begun, served, waited for and cleaned up after.
        static let calls = [
            "openat", "mkdirat", "fchmodat", "flock", "renameat", "unlinkat", "ftruncate", "clone3", "execve", "mount",
            "prctl",
            "sendmsg", "recvmsg", "poll", "waitid", "write", "read", "close",
        ]

        /// Every how manyth call of a kind is one at which a process is killed, where not all are.
        static func step(_ call: String) -> Int {
            switch call {
            case _ where FaultInjectionTests.isExhaustive: 1
            case "openat", "read", "close": 9
            case "prctl", "execve", "write", "poll": 2
            default: 1
            }
        }

        @Test(arguments: calls) func leavesNothingAndTheNextRunWorks(call: String) async throws {
            var number = 1
            var hits = 0
            while true {
                // Each process counts its own calls: whichever comes to this one is killed.
                let box = try await JobBox(["T": "t"])
                let wasHit = try await kill(at: call, number, box)
                try await box.checkItWorks("SIGKILL at \(call) \(number)")
                guard wasHit else { break }
                hits += 1
                number += Self.step(call)
            }
            #expect(hits > 0, "\(call) is never made")
        }

        /// Files in the system's memory, seen by the test alone.
        @Test(arguments: ["mkdirat", "fchmodat", "renameat"])
        func aDirectoryInMemoryIsNeverWithoutItsRecord(call: String) async throws {
            let box = try await JobBox(["T": "t"])
            let script = """
                mount -t tmpfs -o mode=1777 tmpfs /dev/shm
                for number in 1 2 3 4 5 6 7 8 9 10 11 12; do
                    strace -f -q -o /dev/null -e trace=\(call) -e inject=\(call):signal=KILL:when=$number \
                        "$@" run --backend shm -- true 2>/dev/null
                    "$@" run -- true || echo failed
                    for wait in 1 2 3 4 5 6 7 8 9 10; do [ -z "$(ls /dev/shm)" ] && break; sleep 0.2; done
                    [ -z "$(ls /dev/shm)" ] || { echo "left at \(call) $number"; rm -r /dev/shm/*; }
                done
                """
            let outcome = try await ChildProcess.run(
                "/usr/bin/unshare",
                ["--mount", "/bin/sh", "-c", script, "sh", credfs],
                environment: box.environment,
                timeout: .seconds(120)
            )
            #expect(outcome.status == .exited(0) && outcome.outputText.isEmpty, "\(outcome.outputText)")
        }

        /// Runs a job that reads a secret; whether any process was killed.
        private func kill(at call: String, _ number: Int, _ box: JobBox) async throws -> Bool {
            let log = box.sandbox.directory.path("trace")
            let outcome = try await ChildProcess.run(
                "/usr/bin/strace",
                [
                    "-f", "-q", "-o", log, "-e", "trace=\(call)", "-e",
                    "inject=\(call):signal=KILL:when=\(number)", credfs, "run", "--", "/bin/cat", "/proc/self/fd/0",
                ],
                environment: box.environment,
                standardInput: Array("what the job reads".utf8)
            )
            let what: Comment = "SIGKILL at \(call) \(number): \(outcome.errorText)"
            switch outcome.status {
            case .exited(0): #expect(outcome.outputText == "what the job reads", what)
            // Of credfs; of the process that becomes the job; of the job.
            case .signal(SIGKILL), .exited(125), .exited(137): break
            default: Issue.record("\(what) \(outcome.status)")
            }
            return String(decoding: try Files.read(log), as: UTF8.self).contains("+++ killed by SIGKILL")
        }
    }
}

extension JobBox {
    /// Expects that a job runs, and that it leaves nothing of itself or of those before it.
    func checkItWorks(_ what: String, at location: SourceLocation = #_sourceLocation) async throws {
        let outcome = try await run([], shell: "cat $T_FILE")
        #expect(outcome.status == .exited(0), "\(what): \(outcome.errorText)", sourceLocation: location)
        #expect(outcome.outputText == "t", "\(what)", sourceLocation: location)
        #expect(try leftovers == [], "\(what)", sourceLocation: location)
        try expectNothingLeft(at: location)
    }
}
