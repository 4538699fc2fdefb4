// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

/// What a person types by mistake or out of habit.
@Suite struct ArgumentTests {
    private static let value = "hunter2"

    @Test(arguments: [
        ("set NAME=V", 64), ("set NAME=V -", 64), ("set service/NAME=V", 64), ("set NAME V", 64),
        ("set NAME=https://V@host", 64), ("-v set NAME=V", 64), ("set -v NAME=V", 64), ("NAME=V", 64), ("V.1", 64),
        ("get NAME=V", 11), ("get -v --show NAME=V", 11), ("show NAME=V", 11), ("delete -y NAME=V", 11),
        ("rotate NAME=V", 11), ("export NAME=V", 11), ("init --require NAME=V", 64), ("run --only NAME=V -- true", 125),
        ("run --env NAME=V -- true", 125), ("run --env NAME=V= -- true", 64), ("run --file-var NAME=V -- true", 125),
        ("run --only NAME=V --if-missing warn -- true", 0), ("mount --only NAME=V", 11), ("import --from-env NAME=V", 64),
        ("import --only NAME=V --format dotenv -", 11), ("import --map NAME=A=V --format dotenv -", 64),
        ("import --preset V", 64), ("password V", 64), ("password --slot V", 15), ("keys remove V", 64),
        ("rotate --drop-slot V", 64), ("verify --slot V", 15), ("audit show --secret NAME=V", 0),
    ])
    func aValueForANameIsNeitherStoredNorShownNorRecorded(arguments: String, status: Int32) async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        let manifest = try sandbox.manifest()
        let words = arguments.replacing("V", with: Self.value).split(separator: " ").map(String.init)
        let outcome = try await sandbox.run(words, input: Array("ONE=value\n".utf8))
        #expect(outcome.status == .exited(status), "\(outcome.errorText)")
        #expect(!outcome.errorText.contains(Self.value) && !outcome.outputText.contains(Self.value))
        #expect(try sandbox.manifest() == manifest)
        for (path, entry) in try sandbox.snapshot().entries {
            #expect(entry.bytes.firstRange(of: Array(Self.value.utf8)) == nil, "\(path)")
        }
    }

    @Test func whatIsNamedWithAnEqualsSignAlreadyKeepsItsName() async throws {
        let sandbox = try await Sandbox([:])
        let template = try sandbox.directory.write(Array("secrets:\n  A=B:\n    value: old\n".utf8), to: "template")
        try await sandbox.succeed("encrypt", template)
        #expect(try await sandbox.value("A=B") == Array("old".utf8))
        try await sandbox.succeed("set", "A=B", input: Array("new".utf8))
        #expect(try await sandbox.succeed("run", "--env", "A=B=C", "--", "printenv", "C").outputText == "new\n")
        let log = try await sandbox.succeed("audit", "show", "--secret", "A=B").outputText
        #expect(log.contains("set") && log.contains("show"))
        try await sandbox.succeed("delete", "--yes", "A=B")
        (try await sandbox.run("set", "A=B", input: [65])).expectRefusal(64, "a value is never an argument")
    }

    @Test(arguments: [
        ("ls", "list"), ("rm -y ONE", "delete -y ONE"), ("umount --all", "unmount --all"),
        ("exec -- printenv ONE_FILE", "run -- printenv ONE_FILE"), ("exec -- sh -c 'exit 3'", "run -- sh -c 'exit 3'"),
        ("check -q", "verify -q"), ("check", "verify"), ("passwd", "password"), ("passwd --help", "password --help"),
        ("help ls", "help list"), ("exec", "run"),
    ])
    func namesThatOtherProgramsHaveForTheSameWork(alias: String, name: String) async throws {
        var outcomes: [ChildProcess.Outcome] = []
        for arguments in [alias, name] {
            let sandbox = try await Sandbox(["ONE": "value"])
            let outcome = try await sandbox.run(arguments.split(separator: " ").map(String.init))
            #expect(outcome.status != .signal(SIGKILL))
            outcomes.append(outcome)
        }
        func text(_ outcome: ChildProcess.Outcome) -> String {
            (outcome.outputText + outcome.errorText).replacing(/\/[^ ]*\//, with: "/").replacing(/line \d+/, with: "")
        }
        #expect(outcomes[0].status == outcomes[1].status)
        #expect(text(outcomes[0]) == text(outcomes[1]))
    }

    @Test func helpNamesEveryAliasThatWorks() async throws {
        let help = try await Sandbox().succeed("--help").outputText
        for names in ["list, ls", "delete, rm", "unmount, umount", "run, exec", "verify, check", "password, passwd"] {
            #expect(help.contains("  \(names) "))
        }
    }

    @Test(arguments: [
        ("lst", "list"), ("delet ONE", "delete"), ("rnu -- true", "run"), ("verfy --help", "verify"),
        ("help verfy", "verify"), ("keys lst", "list"), ("audit shwo --help", "show"), ("set ONE --vlaue-file x", "--value-file"),
        ("verify --no-kye", "--no-key"), ("unmout", "unmount"),
    ])
    func aMisspelledWordIsRefusedWithTheNearest(arguments: String, word: String) async throws {
        let outcome = try await Sandbox().run(arguments.split(separator: " ").map(String.init))
        outcome.expectRefusal(64, "", hint: "did you mean '\(word)'? see credfs ")
        #expect(outcome.standardOutput.isEmpty)
    }

    @Test(arguments: ["frobnicate", "frobnicate --help", "help frobnicate", "keys frobnicate", "xyzl", "set --frobnicate", "q"])
    func whatIsFarFromEveryWordIsNotGuessedAt(arguments: String) async throws {
        let outcome = try await Sandbox().run(arguments.split(separator: " ").map(String.init))
        outcome.expectRefusal(64, "", hint: "see credfs ")
        #expect(!outcome.errorText.contains("did you mean"))
    }

    @Test func optionsInFrontOfTheCommandAreExplained() async throws {
        (try await Sandbox().run("--store", "x", "list"))
            .expectRefusal(64, "unknown option '--store'", hint: "options follow the name of the command")
    }

    @Test func helpBeginsWithTheOptionsOfItsCommand() async throws {
        let help = try await Sandbox().succeed("run", "--help").outputText
        let titles = help.split(separator: "\n").filter { $0.hasSuffix(":") && $0 == $0.uppercased() && !$0.hasPrefix(" ") }
        #expect(titles.map(String.init) == ["ARGUMENTS:", "OPTIONS:", "SECRETS:", "MOUNT:", "KEY OR PASSWORD:", "STORE AND MESSAGES:"])
    }
}
