// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import SystemCalls
import SystemPackage
import Testing

@Suite struct ProgramOutputTests {
    private func shell(
        _ script: String,
        seconds: Int64 = 30,
        limit: Int = 1 << 20
    ) async throws -> ProgramOutput? {
        try await timedShell(script, seconds: seconds, limit: limit).output
    }

    /// Also tells how long it took, without the time until a crowd of tests lets this one go on.
    private func timedShell(
        _ script: String,
        seconds: Int64,
        limit: Int = 1 << 20
    ) async throws -> (output: ProgramOutput?, time: Duration) {
        try await onItsOwnThread {
            let start = ContinuousClock.now
            let output = try ProgramOutput.of(
                "/bin/sh",
                arguments: ["sh", "-c", script],
                environment: ["PATH=/usr/bin:/bin"],
                seconds: seconds,
                limit: limit
            )
            return (output, ContinuousClock.now - start)
        }
    }

    @Test func outputAndStatusComeBack() async throws {
        #expect(try await shell("printf abc; exit 7") == ProgramOutput(status: 7, bytes: Array("abc".utf8)))
        // Standard input is empty, standard error nobody's.
        #expect(try await shell("cat; echo x >&2")?.bytes.isEmpty == true)
        #expect(try await shell("kill -9 $$") == ProgramOutput(status: nil, bytes: []))
    }

    @Test func aProgramThatTakesTooLongIsEnded() async throws {
        // The other one has closed its output, and goes on.
        for script in ["exec sleep 600", "exec >/dev/null; exec sleep 600"] {
            let (output, time) = try await timedShell(script, seconds: 1)
            #expect(output == nil)
            #expect(time < .seconds(60))
        }
    }

    @Test func aProgramThatSaysTooMuchIsEnded() async throws {
        #expect(try await shell("exec yes", limit: 100_000) == nil)
    }

    @Test func aProgramThatIsNotThereIsAnError() {
        #expect(throws: Errno.noSuchFileOrDirectory) {
            try ProgramOutput.of("/nonexistent", arguments: ["x"], environment: [], seconds: 1)
        }
    }

    @Test func pathsAreAskedWithAndWithoutTheirLinks() throws {
        #expect(try FileStatus.ofPath("/proc/self/exe", followingLink: false).kind == .symbolicLink)
        #expect(try FileStatus.ofPath("/proc/self/exe", followingLink: true).kind == .regular)
        #expect(throws: Errno.noSuchFileOrDirectory) { try FileStatus.ofPath("/nonexistent", followingLink: true) }
        #expect(OwnedDescriptor.realPath("/proc/../usr/./bin") == OwnedDescriptor.realPath("/usr/bin"))
        #expect(OwnedDescriptor.realPath("/nonexistent") == nil)
    }
}
