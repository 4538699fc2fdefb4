// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

/// Limits for readers whom nobody answers, which take half a minute: beside the other tests, not between those of `RunTests`.
@Suite(.enabled(if: isRoot && Files.exists("/dev/fuse"), "needs root and /dev/fuse"), .timeLimit(.minutes(20)))
struct ReaderLimitTests {
    /// A job is stopped with its server, for as long as somebody likes; a mount has readers who know of neither.
    @Test(.enabled(if: limitsRequests, "takes Linux 6.15"))
    func aStoppedMountGivesItsReadersAnErrorAndAStoppedJobKeepsItsSecrets() async throws {
        let box = try await JobBox(["T": "t"])
        let go = box.sandbox.directory.path("go")
        let job = try await box.start(
            [],
            shell: "echo $$ >$READY; while [ ! -e \(go) ]; do sleep 0.02; done; exec cat $T_FILE"
        )
        kill(job.credfs.id, SIGSTOP)
        try await Eventually.holds("the stop") { ProcessState.letter(job.credfs.id) == "T" }
        try box.sandbox.directory.write([], to: "go")
        let mount = try await box.mount()
        #expect(try Files.read("\(mount.path)/T") == Array("t".utf8))
        kill(mount.process, SIGSTOP)
        try await Eventually.holds("the stop") { ProcessState.letter(mount.process) == "T" }
        let reader = try await ChildProcess.run("/bin/cat", ["\(mount.path)/T"], timeout: .seconds(300))
        #expect(reader.status == .exited(1) && reader.outputText.isEmpty)
        #expect(
            ["connection abort", "not connected"].contains { reader.errorText.contains($0) },
            "\(reader.errorText)"
        )
        // What nobody can use any more goes as soon as its server goes on.
        kill(mount.process, SIGCONT)
        try await Eventually.holds("its end") { !ProcessState.isAlive(mount.process) }
        let log = try await box.credfs("audit", "show").outputText
        #expect(log.contains("the kernel has ended the mount"), "\(log)")
        kill(job.credfs.id, SIGCONT)
        let outcome = try await job.credfs.end()
        #expect(outcome.outputText == "t" && outcome.status == .exited(0), "\(outcome.errorText)")
        try box.expectNothingLeft()
    }

    @Test(.enabled(if: canResend, "takes Linux 6.9")) func readersGetAnErrorWhereNoServerComes() async throws {
        let box = try await JobBox(["T": "t"])
        let directory = try box.makeDirectory("place")
        let mount = try await box.mount("--keeper", directory)
        let started = ContinuousClock.now
        kill(mount.process, SIGKILL)
        try await Eventually.holds("its end") { !ProcessState.isAlive(mount.process) }
        let readers = try (0..<8).map { _ in try ChildProcess.Running("/bin/cat", ["\(directory)/T"]) }
        for reader in readers {
            let outcome = try await reader.end()
            #expect(outcome.status == .exited(1) && outcome.outputText.isEmpty)
        }
        #expect(ContinuousClock.now - started < .seconds(120))
        try await Eventually.holds("the end of the mount") {
            !String(decoding: try Files.read("/proc/self/mountinfo"), as: UTF8.self).contains(" \(directory) ")
        }
        _ = try await box.credfs("status")
        try box.expectNothingLeft()
    }
}
