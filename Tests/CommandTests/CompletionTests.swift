// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Testing

/// The completion scripts, in the shells they are for.
@Suite struct CompletionTests {
    @Test(arguments: [
        (["credfs", "show", ""], ["DB.PASSWORD", "GHCR_TOKEN", "GHCR_USER"]),
        (["credfs", "show", "GHCR_"], ["GHCR_TOKEN", "GHCR_USER"]),
        (["credfs", "get", "--json", "DB"], ["DB.PASSWORD"]),
        (["credfs", "delete", "GHCR_T"], ["GHCR_TOKEN"]),
        (["credfs", "set", "GHCR_U"], ["GHCR_USER"]),
        (["credfs", "rotate", "GHCR_USER", "GHCR_T"], ["GHCR_TOKEN"]),
        (["credfs", "run", "--only", "GHCR_USER,D"], ["GHCR_USER,DB.PASSWORD"]),
        (["credfs", "mount", "--only", "GHCR_U"], ["GHCR_USER"]),
        (["credfs", "show", "NONE"], []),
        (["credfs", "run", "--backend", ""], ["fuse", "ramfs", "shm", "tmpfs"]),
        (["credfs", "mount", "--callers", "o"], ["owner"]),
        (["credfs", "export", "--format", "d"], ["docker", "dotenv"]),
        (["credfs", "set", "X", "--format", "he"], ["hex32"]),
        (["credfs", "run", "--file-vars", ""], ["all", "auto", "none"]),
        (["credfs", "import", "--preset", "g"], ["gemini", "github"]),
        (["credfs", "import", "--duplicates", "l"], ["last"]),
        (["credfs", "import", "--inner-format", ""], ["dotenv", "json", "yaml"]),
        (["credfs", "keys", "remove", ""], ["password"]),
        (["credfs", "verify", "--slot", "p"], ["password"]),
        (["credfs", "run", "--", "printen"], ["printenv"]),
    ]) func bashCompletesNamesWithoutAPassword(words: [String], names: [String]) async throws {
        let sandbox = try await store()
        #expect(try await complete(words, sandbox) == names)
    }

    @Test func aStoreThatTheWordsNameIsTheOneThatIsRead() async throws {
        let sandbox = try await store()
        let elsewhere = ["CREDFS_STORE": "/nowhere"]
        let words = ["credfs", "show", "--store", sandbox.store, "GHCR_T"]
        #expect(try await complete(words, sandbox, adding: elsewhere) == ["GHCR_TOKEN"])
        // Bash makes three words of `--store=DIR`, other shells one.
        for option in [["--store", "=", sandbox.store], ["--store=\(sandbox.store)"]] {
            let call = ["---completion", "show", "--", "positional@0", "2", "0", "credfs", "show"] + option + [""]
            let names = try await sandbox.run(call, adding: elsewhere).outputText.split(separator: "\n").sorted()
            #expect(names == ["DB.PASSWORD", "GHCR_TOKEN", "GHCR_USER"])
        }
        #expect(try await complete(["credfs", "show", ""], sandbox, adding: elsewhere) == [])
    }

    // The manifest of a repository may come from anybody, and bash runs commands in what it is offered.
    @Test func aNameNeverRunsACommand() async throws {
        let sandbox = try Sandbox()
        try await sandbox.succeed("init", "--empty")
        let names = [
            "$(touch HOSTILE)", "`touch HOSTILE`", "A;touch HOSTILE", "A B", "SAFE", "C'D", "E\"F", "G\\H", "*",
        ]
        for name in names { try await sandbox.succeed("set", "--allow-empty", "--", name) }
        #expect(try await complete(["credfs", "show", ""], sandbox) == ["SAFE"])
        #expect(!Files.exists(sandbox.directory.path("HOSTILE")))
        // The shell does run what it is offered: without this the test could not fail.
        let echo = try await bash("compgen -W '$(touch HOSTILE)'; ls", sandbox)
        #expect(echo.outputText.contains("HOSTILE"))
    }

    @Test func aStoreThatCannotBeReadIsNoNoise() async throws {
        let sandbox = try await store()
        try sandbox.replaceManifest("not: [a manifest".utf8)
        let outcome = try await sandbox.run(
            "---completion",
            "show",
            "--",
            "positional@0",
            "2",
            "0",
            "credfs",
            "show",
            ""
        )
        #expect(outcome.status == .exited(0))
        #expect(outcome.outputText.allSatisfy { $0 == "\n" })
        #expect(outcome.errorText == "")
    }

    @Test func nothingIsRecordedAndNobodyIsAsked() async throws {
        let sandbox = try await store()
        let before = try Snapshot(sandbox.store)
        #expect(try await complete(["credfs", "show", "DB"], sandbox) == ["DB.PASSWORD"])
        #expect(try Snapshot(sandbox.store).entries == before.entries)
    }

    /// A store that only a password opens.
    private func store() async throws -> Sandbox {
        let sandbox = try Sandbox()
        let password = ["CREDFS_PASSWORD": "correct horse battery staple"]
        try await sandbox.succeed("init", "--empty", "--password", adding: password)
        for name in ["GHCR_TOKEN", "GHCR_USER", "DB.PASSWORD"] {
            try await sandbox.succeed("set", name, input: [65], adding: password)
        }
        return sandbox
    }

    /// What bash offers for the last of the words.
    private func complete(
        _ words: [String],
        _ sandbox: Sandbox,
        adding variables: [String: String] = [:]
    ) async throws -> [String] {
        let quoted = words.map { "'\($0)'" }.joined(separator: " ")
        let script = """
            source <(credfs --generate-completion-script bash)
            COMP_WORDS=(\(quoted)); COMP_CWORD=\(words.count - 1)
            COMP_LINE="${COMP_WORDS[*]}"; COMP_POINT=${#COMP_LINE}; COMPREPLY=()
            _credfs credfs "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
            for reply in "${COMPREPLY[@]}"; do printf '%s\\n' "$reply"; done
            """
        let outcome = try await bash(script, sandbox, adding: variables)
        try #require(outcome.errorText == "")
        let replies = outcome.outputText.split(separator: "\n").map(String.init)
        return replies.filter { !$0.hasPrefix("-") }.sorted()
    }

    private func bash(
        _ script: String,
        _ sandbox: Sandbox,
        adding variables: [String: String] = [:]
    ) async throws -> ChildProcess.Outcome {
        let path = PackageDirectory.program("credfs").split(separator: "/").dropLast().joined(separator: "/")
        let environment = sandbox.environment.merging(variables) { $1 }
            .merging(["PATH": "/\(path):/usr/bin:/bin"]) { $1 }
        return try await ChildProcess.run(
            "/bin/bash",
            ["-c", "cd '\(sandbox.directory.path)' || exit 1\n\(script)"],
            environment: environment
        )
    }
}
