// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

@Suite struct TerminalTests {
    private let password = "four random words \(UUID().uuidString)"

    /// Starts credfs on a terminal.
    private func start(_ sandbox: Sandbox, _ arguments: String...) throws -> PseudoTerminal {
        let terminal = try PseudoTerminal()
        try terminal.start(credfs, arguments, environment: sandbox.environment)
        return terminal
    }

    @Test(arguments: ["encrypt", "import", "rotate"]) func longWorkShowsHowFarItIs(command: String) async throws {
        let sandbox = try await Sandbox([:])
        let indices = 1...50_000
        let template = "secrets:\n" + indices.map { "  N\($0):\n    value: v\($0)\n" }.joined()
        let dotenv = indices.map { "N\($0)=v\($0)\n" }.joined()
        let source = try sandbox.directory.write(
            Array((command == "encrypt" ? template : dotenv).utf8),
            to: "source.env"
        )
        if command == "rotate" {
            let silent = try await sandbox.succeed("import", source)
            #expect(!silent.errorText.contains("["))
        }
        let arguments = command == "rotate" ? ["rotate"] : [command, source]
        let terminal = try PseudoTerminal()
        try terminal.start(credfs, arguments, environment: sandbox.environment)
        let title = command == "rotate" ? "rotating" : "sealing"
        try await terminal.expect("\rcredfs: \(title) [#", within: .seconds(60))
        try await terminal.expect("/50000", within: .seconds(60))
        // The bar is taken away.
        try await terminal.expect("\r\u{1b}[K", within: .seconds(60))
        let last = ["encrypt": "overwriting proves", "import": "still holds", "rotate": "old values"][command]
        try await terminal.expect(last ?? "", within: .seconds(60))
        #expect(try await terminal.end() == .exited(0))
    }

    @Test func aNewPasswordIsAskedForTwiceWithoutEcho() async throws {
        let sandbox = try Sandbox()
        let terminal = try start(sandbox, "init", "--empty", "--password")
        try await terminal.expect("new password for \(sandbox.store): ")
        #expect(!terminal.isEchoing)
        terminal.type(password + "\n")
        try await terminal.expect("the same password again: ")
        #expect(!terminal.isEchoing)
        terminal.type(password + "\n")
        #expect(try await terminal.end() == .exited(0))
        #expect(terminal.isEchoing)
        #expect(!terminal.transcript.contains(password))
        #expect(!Files.exists(sandbox.path("secrets.key")))

        try await sandbox.succeed("set", "ONE", input: [65, 66], adding: ["CREDFS_PASSWORD": password])
        let show = try start(sandbox, "show", "ONE")
        try await show.expect("password for \(sandbox.store): ")
        show.type(password + "\n")
        try await show.expect("AB\r\n")
        #expect(try await show.end() == .exited(0))

        let wrong = try start(sandbox, "show", "ONE")
        try await wrong.expect("password for")
        wrong.type(password + "x\n")
        try await wrong.expect("credfs: warning: incorrect password, 4 attempts remaining")
        try await wrong.expect("password for")
        wrong.type(password + "\n")
        try await wrong.expect("AB\r\n")
        #expect(try await wrong.end() == .exited(0))
    }

    @Test func aPersonIsAskedBeforeAHeaderThatWasChangedByHandIsSigned() async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        let edited = try sandbox.manifest().replacing(/generation: .*/, with: "generation: 77")
        for (answer, status) in [("\n", 1), ("n\n", 1), ("y\n", 0)] as [(String, Int32)] {
            try sandbox.replaceManifest(edited.utf8)
            let terminal = try start(sandbox, "encrypt")
            try await terminal.expect("sign them? [y/N] ")
            terminal.type(answer)
            #expect(try await terminal.end() == .exited(status))
            #expect(try (sandbox.manifest() == edited) == (status != 0))
        }
        try await sandbox.succeed("verify")
    }

    @Test func aPasswordIsAskedForThreeTimesAndNeverBeyondTheLockout() async throws {
        let sandbox = try Sandbox()
        let file = try sandbox.directory.write(Array(password.utf8), to: "password")
        try Files.setMode(0o600, file)
        try await sandbox.succeed("init", "--empty", "--password-file", file)
        let first = try start(sandbox, "verify")
        for remaining in ["4 attempts", "3 attempts", "2 attempts"] {
            try await first.expect("password for")
            first.type("wrong\n")
            try await first.expect("incorrect password, \(remaining) remaining")
        }
        #expect(try await first.end() == .exited(12))
        let second = try start(sandbox, "verify")
        let locked = ContinuousClock.now
        for _ in 1...2 {
            try await second.expect("password for")
            second.type("wrong\n")
        }
        try await second.expect("credfs: error: ")
        #expect(try await second.end() == .exited(13))
        #expect(second.transcript.contains("1 attempt remaining"))
        #expect(second.transcript.components(separatedBy: "password for").count == 3)
        // Nobody is there to be asked again.
        let script = try await sandbox.run("verify", "--password-file", file)
        // The first lockout lasts 30 seconds, in which a busy machine may have done nothing else.
        if ContinuousClock.now - locked < .seconds(25) { script.expectRefusal(13) }
    }

    @Test func verboseSaysInWordsWhatIsRecorded() async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        let terminal = try start(sandbox, "show", "-v", "ONE")
        try await terminal.expect("credfs: recorded: show ONE: success")
        #expect(try await terminal.end() == .exited(0))
        #expect(try await sandbox.succeed("show", "-v", "ONE").errorText.contains("event: {"))
    }

    @Test func initAsksWhatAStoreRequiresAndWhatOpensIt() async throws {
        let keyed = try Sandbox()
        let first = try start(keyed, "init")
        try await first.expect("no job may start without")
        first.type("ONE, TWO three/KEY\n")
        try await first.expect("[key/password] (key): ")
        first.type("maybe\n")
        try await first.expect("[key/password] (key): ")
        first.type("\n")
        try await first.expect("give values to ONE, TWO, three.KEY: credfs set NAME")
        #expect(try await first.end() == .exited(0))
        #expect(Files.exists(keyed.path("secrets.key")))
        #expect(try await keyed.succeed("list").outputText == "ONE\nTWO\nthree.KEY\n")

        let locked = try Sandbox()
        let second = try start(locked, "init")
        try await second.expect("no job may start without")
        second.type("\n")
        try await second.expect("[key/password] (key): ")
        second.type("password\n")
        try await second.expect("new password for")
        second.type(password + "\n")
        try await second.expect("again: ")
        second.type(password + "\n")
        #expect(try await second.end() == .exited(0))
        #expect(!Files.exists(locked.path("secrets.key")))
        #expect(try await locked.succeed("verify", adding: ["CREDFS_PASSWORD": password]).status == .exited(0))
    }

    @Test func initAsksOnlyWhatIsOpenAndMakesNothingWithoutAnAnswer() async throws {
        let sandbox = try Sandbox()
        let key = try await Sandbox([:]).path("secrets.key")
        let named = try start(sandbox, "init", "--key-file", key)
        try await named.expect("no job may start without")
        // The end of input, as a person types it.
        named.type("\u{4}")
        try await named.expect("credfs: hint: nothing was made")
        #expect(try await named.end() == .exited(1))
        let value = try start(sandbox, "init", "--password")
        try await value.expect("no job may start without")
        value.type("ONE=hunter2\n")
        #expect(try await value.end() == .exited(64))
        #expect(!Files.exists(sandbox.store))
        let plain = try start(sandbox, "init", "--empty")
        #expect(try await plain.end() == .exited(0))
        #expect(!plain.transcript.contains("?"))
        // There is nothing to ask about one that is there.
        let again = try start(sandbox, "init")
        #expect(try await again.end() == .exited(0))
        #expect(!again.transcript.contains("?"))
    }

    @Test(arguments: ["short", "abcabcabcabcabc", "password123456"])
    func aWeakPasswordIsRefused(weak: String) async throws {
        let sandbox = try Sandbox()
        let terminal = try start(sandbox, "init", "--empty", "--password")
        try await terminal.expect("new password")
        terminal.type(weak + "\n")
        try await terminal.expect("again: ")
        terminal.type(weak + "\n")
        try await terminal.expect("credfs: hint: a few random words")
        #expect(try await terminal.end() == .exited(64))
        #expect(!Files.exists(sandbox.path("secrets.yaml")))
        #expect(!terminal.transcript.contains(weak))
    }

    @Test func answersThatDifferChangeNothing() async throws {
        let new = try Sandbox()
        let initialization = try start(new, "init", "--empty", "--password")
        try await initialization.expect("new password")
        initialization.type(password + "\n")
        try await initialization.expect("again: ")
        initialization.type(password + "x\n")
        try await initialization.expect("credfs: error: the two answers differ")
        #expect(try await initialization.end() == .exited(1))
        #expect(!Files.exists(new.path("secrets.yaml")))

        let sandbox = try await Sandbox(["ONE": "value"])
        let before = try sandbox.snapshot()
        let setting = try start(sandbox, "set", "ONE")
        try await setting.expect("value of ONE: ")
        setting.type("first\n")
        try await setting.expect("the same value again: ")
        setting.type("second\n")
        try await setting.expect("credfs: error: the two answers differ")
        #expect(try await setting.end() == .exited(1))
        #expect(try sandbox.snapshot() == before)
    }

    @Test func aValueIsAskedForTwiceHidden() async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        let secret = UUID().uuidString
        let terminal = try start(sandbox, "set", "ONE")
        for question in ["value of ONE: ", "the same value again: "] {
            try await terminal.expect(question)
            #expect(!terminal.isEchoing)
            terminal.type(secret + "\n")
        }
        #expect(try await terminal.end() == .exited(0))
        #expect(!terminal.transcript.contains(secret))
        #expect(try await sandbox.value("ONE") == Array(secret.utf8))
    }

    @Test func aLineLongerThanATerminalHoldsIsRefusedInsteadOfCut() async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        let before = try sandbox.snapshot()
        let terminal = try start(sandbox, "set", "ONE")
        try await terminal.expect("value of ONE: ")
        for _ in 0..<5 { terminal.type(String(repeating: "x", count: 1000)) }
        terminal.type("\n")
        try await terminal.expect("credfs: hint: ")
        #expect(try await terminal.end() == .exited(1))
        #expect(try sandbox.snapshot() == before)
    }

    @Test func showAppendsANewlineAndListIsATable() async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        let show = try start(sandbox, "show", "ONE")
        #expect(try await show.end() == .exited(0))
        #expect(show.transcript == "value\r\n")
        let exact = try start(sandbox, "show", "ONE", "--newline=no")
        #expect(try await exact.end() == .exited(0))
        #expect(exact.transcript == "value")
        let list = try start(sandbox, "list")
        #expect(try await list.end() == .exited(0))
        #expect(list.transcript == "NAME  VALUE   REQUIRED  EXPIRES\r\nONE   sealed  no        never\r\n")
    }

    @Test(arguments: ["\n", "n\n", "\u{4}", "y\n", "YES\n"])
    func deletingAsksAndTakesOnlyYes(answer: String) async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        let before = try sandbox.snapshot()
        let terminal = try start(sandbox, "delete", "ONE")
        try await terminal.expect("delete 'ONE'? [y/N] ")
        terminal.type(answer)
        if answer.lowercased().hasPrefix("y") {
            #expect(try await terminal.end() == .exited(0))
            #expect(try await sandbox.run("list").outputText == "")
        } else {
            #expect(try await terminal.end() == .exited(1))
            #expect(terminal.transcript.contains("was not deleted"))
            #expect(try sandbox.snapshot() == before)
        }
    }

    @Test(arguments: [SIGINT, SIGQUIT, SIGTERM, SIGHUP])
    func aSignalDuringAQuestionEndsByItAndRestoresTheEcho(signal: Int32) async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        let before = try sandbox.snapshot()
        let terminal = try start(sandbox, "set", "ONE")
        try await terminal.expect("value of ONE: ")
        #expect(!terminal.isEchoing)
        switch signal {
        case SIGINT: terminal.type("half\u{3}")
        case SIGQUIT: terminal.type("half\u{1c}")
        default: terminal.send(signal)
        }
        #expect(try await terminal.end() == .signal(signal))
        #expect(terminal.isEchoing)
        #expect(!terminal.transcript.contains("half"))
        #expect(try sandbox.snapshot() == before)
    }

    @Test func aStopGivesTheEchoBackAndContinuingAsksAgain() async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        let terminal = try PseudoTerminal()
        // A shell with job control, since a process without one cannot be stopped from its terminal.
        try terminal.start(
            "/bin/bash",
            ["-mc", "\"$0\" set ONE; echo stopped; read -r answer; fg >/dev/null; echo \"ended $?\"", credfs],
            environment: sandbox.environment
        )
        try await terminal.expect("value of ONE: ")
        terminal.type("half\u{1a}")
        try await terminal.expect("stopped")
        #expect(terminal.isEchoing)
        terminal.type("\n")
        try await terminal.expect("value of ONE: ")
        #expect(!terminal.isEchoing)
        terminal.type("whole\n")
        try await terminal.expect("the same value again: ")
        terminal.type("whole\n")
        try await terminal.expect("ended 0")
        #expect(try await terminal.end() == .exited(0))
        #expect(!terminal.transcript.contains("half") && !terminal.transcript.contains("whole"))
        #expect(try await sandbox.value("ONE") == Array("whole".utf8))
    }

    @Test(arguments: [false, true])
    func aTerminalThatDisappearsEndsTheCommandAndNothingIsChanged(ignoringTheSignal: Bool) async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        let before = try sandbox.snapshot()
        let terminal = try PseudoTerminal()
        let trap = ignoringTheSignal ? "trap '' HUP; " : ""
        try terminal.start("/bin/sh", ["-c", trap + "exec \"$0\" set ONE", credfs], environment: sandbox.environment)
        try await terminal.expect("value of ONE: ")
        terminal.type("half")
        terminal.hangUp()
        #expect(try await terminal.end() == (ignoringTheSignal ? .exited(1) : .signal(SIGHUP)))
        #expect(try sandbox.snapshot() == before)
    }
}
