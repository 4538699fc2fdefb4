// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

/// What a caller can get wrong or do on purpose, and what may not be lost or shown then.
@Suite struct HostileCallerTests {
    /// Runs `encrypt` with a shell script between the moment the document was read and the password.
    private func encrypt(_ sandbox: Sandbox, _ arguments: [String], meanwhile script: String) async throws
        -> ChildProcess.Outcome
    {
        try #require(unsafe mkfifo(sandbox.directory.path("fifo"), 0o600) == 0)
        return try await sandbox.shell(
            """
            cd "$HOME/.."
            "$@" --password-fd 9 9<fifo &
            exec 8>fifo
            sleep 1
            \(script)
            cat password >&8
            exec 8>&-
            wait $!
            """,
            ["encrypt"] + arguments
        )
    }

    private func sandboxWithPassword() async throws -> Sandbox {
        let sandbox = try Sandbox()
        let file = try sandbox.directory.write(Array("four random words: \(UUID().uuidString)".utf8), to: "password")
        try Files.setMode(0o600, file)
        try await sandbox.succeed("init", "--empty", "--password-file", file)
        return sandbox
    }

    @Test func aTemplateThatIsWrittenToMeanwhileIsLeftAlone() async throws {
        let sandbox = try await sandboxWithPassword()
        let template = try sandbox.directory.write(Array("secrets:\n  ONE:\n    value: one\n".utf8), to: "template")
        let manifest = try sandbox.manifest()
        let change = "printf '  TWO:\\n    value: two\\n' >>template"
        let outcome = try await encrypt(sandbox, [template], meanwhile: change)
        outcome.expectRefusal(1, "changed meanwhile", hint: "run it again")
        #expect(String(decoding: try Files.read(template), as: UTF8.self).contains("two"))
        #expect(try sandbox.manifest() == manifest)
    }

    @Test(arguments: ["cat new >store/secrets.yaml", "mv new store/secrets.yaml"])
    func aManifestThatIsWrittenToMeanwhileIsLeftAlone(change: String) async throws {
        let sandbox = try await sandboxWithPassword()
        let sealed = try sandbox.manifest()
        func adding(_ name: String) -> String {
            sealed.replacingOccurrences(of: "secrets: {}", with: "secrets:\n  \(name):\n    value: plain")
        }
        try sandbox.replaceManifest(adding("ONE").utf8)
        try Files.setMode(0o600, sandbox.directory.write(Array(adding("LONGER").utf8), to: "new"))
        let outcome = try await encrypt(sandbox, [], meanwhile: change)
        outcome.expectRefusal(1, "changed meanwhile", hint: "run it again")
        #expect(try sandbox.manifest() == adding("LONGER"))
    }

    @Test func aGenerationThatCannotGrowIsAnError() async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        let text = try sandbox.manifest().replacing(/generation: \d+/, with: "generation: \(UInt64.max)")
        try sandbox.replaceManifest(text.utf8)
        (try await sandbox.run("encrypt")).expectRefusal(17, "generation", hint: "restore")
        #expect(try sandbox.manifest() == text)
    }

    @Test(arguments: ["a\u{fffe}b", "\u{ffff}", "a\u{61c}b"])
    func aDescriptionThatNoManifestCanHoldIsRefused(description: String) async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        let before = try sandbox.snapshot()
        let outcome = try await sandbox.run("set", "ONE", "--description", description, input: [1])
        outcome.expectRefusal(64, "description")
        #expect(try sandbox.snapshot() == before)
    }

    @Test(arguments: ["ulimit -n 32", "exec 100</dev/null 101</dev/null 102</dev/null 103</dev/null"])
    func theHelperNeedsNoCertainDescriptors(setting: String) async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        let template = try sandbox.directory.write(Array("secrets:\n  TWO:\n    value: two\n".utf8), to: "template")
        let script = "\(setting); exec \"$@\""
        let outcome = try await ChildProcess.run(
            "/bin/bash",
            ["-c", script, "bash", credfs, "encrypt", template],
            environment: sandbox.environment
        )
        #expect(outcome.status == .exited(0), "\(outcome.errorText)")
        #expect(outcome.standardOutput.isEmpty)
        #expect(try await sandbox.value("TWO") == Array("two".utf8))
    }

    @Test func aParentThatIgnoresItsChildrenDoesNotMatter() async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        let template = try sandbox.directory.write(Array("secrets:\n  TWO:\n    value: two\n".utf8), to: "template")
        let program = """
            import os, signal, sys
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            os.execv(sys.argv[1], sys.argv[1:])
            """
        let outcome = try await ChildProcess.run(
            "/usr/bin/env",
            ["python3", "-c", program, credfs, "encrypt", template],
            environment: sandbox.environment
        )
        #expect(outcome.status == .exited(0), "\(outcome.errorText)")
    }

    @Test func aPasswordCommandGetsNeitherTheValueNorOtherDescriptors() async throws {
        let sandbox = try await sandboxWithPassword()
        let command = "cat >$HOME/input; test -e /proc/$$/fd/9 && echo open >>$HOME/input; cat $HOME/../password"
        let set = try await sandbox.shell(
            "exec \"$@\" 9</dev/null",
            ["set", "ONE"],
            input: Array("the value".utf8),
            adding: ["CREDFS_PASSWORD_CMD": command]
        )
        #expect(set.status == .exited(0), "\(set.errorText)")
        #expect(try Files.read(sandbox.directory.path("home/input")).isEmpty)
        let shown = try await sandbox.run("show", "ONE", "--password-file", sandbox.directory.path("password"))
        #expect(shown.outputText == "the value")
    }

    @Test(arguments: [
        ["set", "ONE", "-----BEGIN PRIVATE KEY-----\nMARK\n-----END PRIVATE KEY-----"], ["set", "ONE", "-----MARK"],
        ["set", "ONE", "--MARK+/=="], ["set", "ONE", "--key-fd=-MARK"], ["set", "ONE", "--key-fd", "MARK"],
        ["set", "ONE", "-xMARK"],
    ])
    func aValueTakenForAnArgumentIsNotRepeated(arguments: [String]) async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        let outcome = try await sandbox.run(arguments, input: [1])
        outcome.expectRefusal(64)
        #expect(!outcome.errorText.contains("MARK"), "\(outcome.errorText)")
    }

    @Test func aStandardStreamIsNeverClosed() async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        let key = sandbox.path("secrets.key")
        let both = try await sandbox.shell("exec \"$@\" <'\(key)'", ["set", "ONE", "--allow-empty", "--key-fd", "0"])
        both.expectRefusal(64, "standard input")
        let error = try await sandbox.shell(
            "exec \"$@\" 2<'\(key)'",
            ["set", "-v", "TWO", "--key-fd", "2"],
            input: [1]
        )
        #expect(error.status == .exited(0))
        #expect(try Files.read(sandbox.path("state/lock")).isEmpty)
        let value = try sandbox.directory.write([7], to: "value")
        let input = ["set", "TWO", "--key-fd", "0", "--value-file", value]
        #expect(try await sandbox.shell("exec \"$@\" <'\(key)'", input).status == .exited(0))
        #expect(try await sandbox.value("TWO") == [7])
    }

    @Test func whatIsNotUTF8IsNotTakenForSomethingElse() async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        let before = try sandbox.snapshot()
        for variable in ["CREDFS_STORE", "CREDFS_MANIFEST", "CREDFS_STATE", "CREDFS_KEY_FILE", "XDG_CONFIG_HOME"] {
            let script = "export \(variable)=\"$HOME/x$(printf '\\377')\"; exec \"$@\""
            (try await sandbox.shell(script, ["init"])).expectRefusal(64, "\(variable) is not UTF-8", hint: "unset")
        }
        let argument = try await sandbox.shell("exec \"$@\" \"$HOME/x$(printf '\\377')\"", ["init", "--store"])
        argument.expectRefusal(64, "not UTF-8")
        #expect(try sandbox.snapshot() == before)
    }

    @Test func aDirectoryThatOthersUseIsNotMadeAStore() async throws {
        let sandbox = try Sandbox()
        try FileManager.default.createDirectory(atPath: sandbox.store, withIntermediateDirectories: false)
        try Files.setMode(0o755, sandbox.store)
        try sandbox.directory.write([1], to: "store/other")
        let before = try sandbox.snapshot()
        (try await sandbox.run("init")).expectRefusal(14, "not empty", hint: "chmod 0700")
        #expect(try sandbox.snapshot() == before)
        #expect(try Files.mode(sandbox.store) == 0o755)
        try Files.setMode(0o700, sandbox.store)
        try await sandbox.succeed("init", "--empty")
    }

    @Test func aFileNameCannotForgeAMessage() async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        let template = try sandbox.directory.write(Array("secrets:\n  TWO:\n    value: two\n".utf8), to: "template")
        try sandbox.directory.write([], to: ".template.sw\u{1b}]0;x\u{7}\ncredfs: error: forged")
        let outcome = try await sandbox.succeed("encrypt", template)
        #expect(outcome.lines("error").isEmpty)
        #expect(outcome.lines("warning").contains { $0.contains("\\u{1b}]0;x\\u{7}\\u{a}credfs: error: forged") })
        #expect(!outcome.errorText.contains("\u{1b}"))
    }

    @Test(arguments: ["", "/", "//"])
    func aLinkedStoreIsRefusedHoweverItIsWritten(suffix: String) async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        let link = sandbox.directory.path("link")
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: sandbox.store)
        (try await sandbox.run("list", "--store", link + suffix)).expectRefusal(14, "symbolic link")
        try await sandbox.succeed("init", "--empty", "--store", sandbox.directory.path("new") + suffix)
        try await sandbox.succeed("list", "--store", sandbox.directory.path("new") + suffix)
    }

    @Test(.enabled(if: isRoot, "only root can become somebody else"))
    func aQuestionNeedsLittleLockedMemory() async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        let identity = try sandbox.giveToStranger()
        let terminal = try PseudoTerminal()
        try terminal.start(
            "/bin/sh",
            ["-c", "ulimit -l 64; exec \(identity) \"$@\"", "sh", credfs, "set", "ONE"],
            environment: sandbox.environment
        )
        for question in ["value of ONE: ", "the same value again: "] {
            try await terminal.expect(question)
            terminal.type("typed\n")
        }
        #expect(try await terminal.end() == .exited(0))
    }
}
