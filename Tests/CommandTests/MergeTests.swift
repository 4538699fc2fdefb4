// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

/// A manifest in a git repository that two people change at the same time.
@Suite struct MergeTests {
    @Test func aConflictIsExplainedAndResolvedByEncrypt() async throws {
        // What is far enough apart merges by itself: the changed secret.
        let sandbox = try await Sandbox(["SHARED": "shared", "X": "x", "Y": "y"])
        try await git(sandbox, "init --quiet --initial-branch=main . && git add secrets.yaml && git commit -qm base")
        try await git(sandbox, "checkout -qb theirs")
        try await sandbox.succeed("set", "THEIRS", input: Array("of them".utf8))
        try await git(sandbox, "commit -qam theirs && git checkout -q main && chmod 600 secrets.yaml")
        // Another second, so that the times are in conflict, too.
        try await Task.sleep(for: .milliseconds(1001))
        try await sandbox.succeed("set", "OURS", input: Array("of us".utf8))
        // They changed it once, we twice: even the generation is in conflict.
        try await sandbox.succeed("set", "SHARED", input: Array("changed".utf8))
        try await git(sandbox, "commit -qam ours; ! git merge -q theirs")

        let before = try sandbox.manifest()
        for command in [["verify"], ["show", "SHARED"], ["set", "X"], ["encrypt"]] {
            let outcome = try await sandbox.run(command, input: [65])
            #expect(outcome.status == .exited(17), "\(command)")
            #expect(
                outcome.lines("error").first?.contains("conflict of a merge at line ") == true,
                "\(outcome.errorText)"
            )
            #expect(outcome.lines("hint").first?.contains("credfs encrypt") == true)
        }
        #expect(try sandbox.manifest() == before)

        // What docs/teams.md tells: no mark, no signature, no line at the margin twice.
        try await git(
            sandbox,
            """
            --version; sed -i '/^<<<<<<< /d;/^=======$/d;/^>>>>>>> /d;/^signature:/d' secrets.yaml
            awk '!/^[a-z]+: / || !seen[$1]++' secrets.yaml > merged; cat merged > secrets.yaml; rm merged
            """
        )
        let encrypted = try await sandbox.succeed("encrypt")
        #expect(encrypted.errorText.contains("changed: THEIRS: added"))
        #expect(!encrypted.errorText.contains("OURS"), "what was signed here is no change")
        #expect(try await sandbox.value("OURS") == Array("of us".utf8))
        #expect(try await sandbox.value("THEIRS") == Array("of them".utf8))
        #expect(try await sandbox.value("SHARED") == Array("changed".utf8))
        try await sandbox.succeed("verify")
    }

    @Test func valuesOfAnOldDataKeyAreNamedAndNothingChanges() async throws {
        let sandbox = try await Sandbox(["SHARED": "shared"])
        try await git(sandbox, "init --quiet --initial-branch=main . && git add secrets.yaml && git commit -qm base")
        try await git(sandbox, "checkout -qb theirs")
        try await sandbox.succeed("set", "THEIRS", input: Array("of them".utf8))
        let theirs = try sandbox.manifest()
        try await git(sandbox, "commit -qam theirs && git checkout -q main && chmod 600 secrets.yaml")
        try await sandbox.succeed("rotate")
        let entry = try #require(theirs.firstMatch(of: #/  THEIRS:\n(    .*\n)+/#)).output.0
        let mixed = try sandbox.manifest().replacing(/signature: .*\n/, with: "").appending(entry)
        try sandbox.replaceManifest(mixed.utf8)
        let outcome = try await sandbox.run("encrypt")
        outcome.expectRefusal(15, "'THEIRS'")
        #expect(try sandbox.manifest() == mixed)
    }

    /// Runs git, and what follows it, where the store is.
    private func git(_ sandbox: Sandbox, _ arguments: String) async throws {
        let outcome = try await ChildProcess.run(
            "/bin/sh",
            ["-c", "set -e; umask 077; cd '\(sandbox.store)'; git \(arguments)"],
            environment: [
                "HOME": sandbox.directory.path("home"), "PATH": "/usr/bin:/bin", "GIT_AUTHOR_NAME": "A",
                "GIT_AUTHOR_EMAIL": "a@example.com", "GIT_COMMITTER_NAME": "A",
                "GIT_COMMITTER_EMAIL": "a@example.com",
            ]
        )
        try #require(outcome.status == .exited(0), "\(outcome.outputText)\(outcome.errorText)")
    }
}
