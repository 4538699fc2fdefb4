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
        ("run --only NAME=V --if-missing warn -- true", 0), ("mount --only NAME=V", 11),
        ("import --from-env NAME=V", 64),
        ("import --only NAME=V --format dotenv -", 11), ("import --map NAME=A=V --format dotenv -", 64),
        ("import --preset V", 64), ("password V", 64), ("password --slot V", 15), ("keys remove V", 64),
        ("rotate --drop-slot V", 64), ("verify --slot V", 15), ("audit show --secret NAME=V", 0),
        ("list NAME=V", 11), ("list --store NAME=V", 64), ("verify --manifest=NAME=V", 64),
        ("doctor --state NAME=V", 64),
        ("verify --key-file NAME=V", 64), ("verify --password-file NAME=V", 64), ("verify --identity NAME=V", 64),
        ("mount NAME=V", 64), ("unmount NAME=V", 64), ("env NAME=V", 64), ("encrypt NAME=V", 64), ("import NAME=V", 64),
        ("import service/NAME=V", 64), ("import --fernet-key-file NAME=V -", 64), ("set ONE --value-file NAME=V", 64),
        ("rotate ONE --value-file NAME=V", 64), ("rotate --also-key-file NAME=V", 64), ("export --output NAME=V", 64),
        ("export -o NAME=V", 64), ("export -oNAME=V", 64), ("export -o=NAME=V", 64), ("init --key-file NAME=V", 64),
        ("keys add --new-key-file NAME=V", 64), ("password --new-password-file NAME=V", 64),
        ("run -- NAME=V true", 64), ("run --shared -- NAME=V/W true", 64),
        ("import --prefix NAME=V --format dotenv -", 64), ("import --service NAME=V --format dotenv -", 64),
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

    @Test func aPathWithAnEqualsSignIsTakenWhereItIsThereOrBeginsWithADot() async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        try sandbox.directory.write(Array("new".utf8), to: "A=B")
        let script = "cd \(sandbox.directory.path) && exec \"$@\""
        for arguments in [["set", "ONE", "--value-file", "A=B"], ["export", "--force", "-o", "./C=D"]] {
            #expect(try await sandbox.shell(script, arguments).status == .exited(0))
        }
        #expect(try await sandbox.value("ONE") == Array("new".utf8))
        #expect(Files.exists(sandbox.directory.path("C=D")))
        _ = try await sandbox.directory.writeProgram("#!/bin/sh\nexit 3\n", to: "E=F")
        #expect(try await sandbox.shell(script, ["run", "--", "./E=F"]).status == .exited(3))
    }

    @Test func aVariableInFrontOfTheProgramIsAnsweredWithEnv() async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        (try await sandbox.run("run", "--", "LEVEL=hunter2", "true"))
            .expectRefusal(64, "program", hint: "credfs run -- env LEVEL=... PROGRAM")
        #expect(try await sandbox.run("run", "--", "env", "LEVEL=3", "printenv", "LEVEL").outputText == "3\n")
        (try await sandbox.run("mount", "LEVEL=hunter2")).expectRefusal(
            64,
            "'./'",
            hint: "other users can see arguments"
        )
    }

    /// A shell variable that is not set makes one; a store that only recipients open would then have no key slot at all.
    @Test(arguments: [
        "init --empty --recipient ,", "init --require A,,B", "keys add --recipient ,", "rotate ,",
        "rotate --drop-slot ,", "export ,", "import --from-env ,", "import --only , --format dotenv -",
        "run --only , -- true", "run --env , -- true", "run --file-var , -- true", "mount --only ONE,",
    ])
    func aListWithAnEmptyItemIsAnErrorOfUsage(arguments: String) async throws {
        let sandbox = arguments.hasPrefix("init") ? try Sandbox() : try await Sandbox(["ONE": "value"])
        let words = arguments.split(separator: " ").map(String.init)
        (try await sandbox.run(words, input: Array("ONE=value\n".utf8))).expectRefusal(64, "empty item")
        if arguments.hasPrefix("init") {
            #expect(!Files.exists(sandbox.path("secrets.yaml")))
        } else {
            #expect(try await sandbox.value("ONE") == Array("value".utf8))
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
        ("help verfy", "verify"), ("keys lst", "list"), ("audit shwo --help", "show"),
        ("set ONE --vlaue-file x", "--value-file"),
        ("verify --no-kye", "--no-key"), ("unmout", "unmount"),
    ])
    func aMisspelledWordIsRefusedWithTheNearest(arguments: String, word: String) async throws {
        let outcome = try await Sandbox().run(arguments.split(separator: " ").map(String.init))
        outcome.expectRefusal(64, "", hint: "did you mean '\(word)'? see credfs ")
        #expect(outcome.standardOutput.isEmpty)
    }

    @Test(arguments: [
        "frobnicate", "frobnicate --help", "help frobnicate", "keys frobnicate", "xyzl", "set --frobnicate", "q",
    ])
    func whatIsFarFromEveryWordIsNotGuessedAt(arguments: String) async throws {
        let outcome = try await Sandbox().run(arguments.split(separator: " ").map(String.init))
        outcome.expectRefusal(64, "", hint: "see credfs ")
        #expect(!outcome.errorText.contains("did you mean"))
    }

    @Test(arguments: ["run true", "run --", "run", "exec --only A true"])
    func aProgramThatIsNotBehindTheDashesIsExplained(arguments: String) async throws {
        let outcome = try await Sandbox().run(arguments.split(separator: " ").map(String.init))
        outcome.expectRefusal(64, "", hint: "credfs run -- PROGRAM")
    }

    @Test func optionsInFrontOfTheCommandAreExplained() async throws {
        (try await Sandbox().run("--store", "x", "list"))
            .expectRefusal(64, "unknown option '--store'", hint: "options follow the name of the command")
    }

    @Test func listsHaveCommasWhereverANameMayBeRepeated() async throws {
        let sandbox = try Sandbox()
        try await sandbox.succeed("init", "--require", "ONE,TWO", "THREE")
        #expect(try await sandbox.succeed("list").outputText == "ONE\nTHREE\nTWO\n")
        let variables = ["ONE": "1", "TWO": "2", "THREE": "3"]
        try await sandbox.succeed("import", "--overwrite", "--from-env", "ONE,TWO", "THREE", adding: variables)
        let job = "echo $A $B $THREE; cat $F $G"
        let run = ["run", "--env", "ONE=A,TWO=B", "--env", "THREE", "--file-var", "ONE=F,TWO=G", "--", "sh", "-c", job]
        #expect(try await sandbox.run(run).outputText == "1 2 3\n12")
        #expect(try await sandbox.succeed("export", "ONE,TWO").outputText == "ONE=1\nTWO=2\n")
        (try await sandbox.run("export", "ONE,FOUR")).expectRefusal(11, "'FOUR'")
        (try await sandbox.run("rotate", "ONE,TWO", input: [65])).expectRefusal(64, "one name")
        let file = try sandbox.directory.write(Array("x: 4\ny: 5\n".utf8), to: "file.yaml")
        try await sandbox.succeed("import", "--map", "x=X,y=Y", file)
        #expect(try await sandbox.value("Y") == Array("5".utf8))
    }

    @Test func aSecretWithACommaInItsNameIsNoList() async throws {
        let sandbox = try await Sandbox(["A,B": "value", "A": "a", "B": "b"])
        #expect(try await sandbox.succeed("export", "--format", "json", "A,B").outputText.contains("value"))
        try await sandbox.succeed("rotate", "A,B", input: [66])
        #expect(try await sandbox.value("A,B") == [66])
        #expect(try await sandbox.value("A") == Array("a".utf8))
    }

    @Test func everyListThatIsRepeatedCounts() async throws {
        let sandbox = try await Sandbox(["ONE": "1", "TWO": "2", "THREE": "3"])
        let list = [
            "run", "--only", "ONE", "--only", "TWO", "--audit", "sync", "--audit", "default", "--", "/bin/sh", "-c",
        ]
        #expect(try await sandbox.succeed(list + ["ls $CREDENTIALS_DIRECTORY"]).outputText == "ONE\nTWO\n")
        (try await sandbox.run("run", "--audit", "sync", "--audit", "bogus", "--", "true")).expectRefusal(
            64,
            "--audit takes"
        )
        let file = try sandbox.directory.write(Array("W: dw==\nX: eA==\nY: eQ==\nZ: z\n".utf8), to: "file.yaml")
        try await sandbox.succeed(
            "import",
            "--only",
            "X",
            "--only",
            "Y,W",
            "--base64",
            "X",
            "--base64",
            "Y",
            file
        )
        #expect(try await sandbox.value("X") == [120])
        #expect(try await sandbox.value("Y") == [121])
        #expect(try await sandbox.value("W") == Array("dw==".utf8))
        (try await sandbox.run("show", "Z")).expectRefusal(11)
        let variables = ["OPENAI_API_KEY": "o", "ANTHROPIC_API_KEY": "a"]
        try await sandbox.succeed("import", "--preset", "openai", "--preset", "anthropic", adding: variables)
        #expect(try await sandbox.value("OPENAI_API_KEY") == [111])
        #expect(try await sandbox.value("ANTHROPIC_API_KEY") == [97])
    }

    @Test func aSecretWithACommaInItsNameIsNoListForAJob() async throws {
        let sandbox = try await Sandbox(["A,B": "both", "A": "a", "B": "b"])
        let script = "ls $CREDENTIALS_DIRECTORY; printenv V W; cat $P"
        func run(_ options: String...) async throws -> String {
            try await sandbox.succeed(["run"] + options + ["--", "/bin/sh", "-c", script + "; true"]).outputText
        }
        #expect(try await run("--only", "A,B", "--env", "A,B=V", "--file-var", "A,B=P") == "A,B\nboth\nboth")
        #expect(try await run("--only", "A,B", "--only", "B", "--env", "A,B=V", "--env", "B=W") == "A,B\nB\nboth\nb\n")
        #expect(try await run("--only", "B,A", "--env", "A=V,B=W") == "A\nB\na\nb\n")
        let file = try sandbox.directory.write(Array(#"{"X,Y": "both", "X": "x"}"#.utf8), to: "file.json")
        try await sandbox.succeed("import", "--only", "X,Y", "--map", "X,Y=XY", file)
        #expect(try await sandbox.value("XY") == Array("both".utf8))
        (try await sandbox.run("show", "X")).expectRefusal(11)
    }

    @Test func aListOfOneService() async throws {
        let sandbox = try await Sandbox(["billing/KEY": "1", "billing/TOKEN": "2", "ONE": "3"])
        #expect(try await sandbox.succeed("list", "billing").outputText == "billing.KEY\nbilling.TOKEN\n")
        #expect(try await sandbox.succeed("ls", "billing/").outputText == "billing.KEY\nbilling.TOKEN\n")
        #expect(!(try await sandbox.succeed("list", "--json", "billing").outputText.contains("ONE")))
        (try await sandbox.run("list", "biling")).expectRefusal(11, "service", hint: "did you mean 'billing'?")
        (try await sandbox.run("list", "nothing")).expectRefusal(11, "service", hint: "services are billing")
        (try await Sandbox(["ONE": "1"]).run("list", "ONE")).expectRefusal(
            11,
            "service",
            hint: "no secret has a service"
        )
    }

    @Test func quietVerificationSaysAFailureOnce() async throws {
        let sandbox = try Sandbox()
        try await sandbox.succeed("init", "--require", "ONE")
        let outcome = try await sandbox.run("verify", "--quiet")
        outcome.expectRefusal(17, "ONE")
        #expect(outcome.standardOutput.isEmpty)
    }

    @Test func aNewStoreSaysWhatItsJobsNeed() async throws {
        let required = try await Sandbox().succeed("init", "--require", "ONE,TWO").errorText
        #expect(required.contains("give values to ONE, TWO: credfs set NAME"))
        #expect(!(try await Sandbox().succeed("init", "--empty").errorText.contains("give values")))
    }

    @Test func aTimeWithoutAUnitIsExplained() async throws {
        (try await Sandbox().run("run", "--linger", "5", "--", "true")).expectRefusal(
            64,
            "--linger",
            hint: "a time has a unit"
        )
    }

    @Test(
        .enabled(if: isRoot, "only root gives secrets away"),
        arguments: [
            ("nobody", "65534 -1"), ("nobody:daemon", "65534 1"), ("65534:daemon", "65534 1"),
            ("nobody:65534", "65534 65534"),
        ]
    )
    func anOwnerHasANameOrANumber(owner: String, numbers: String) async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        let outcome = try await sandbox.succeed("run", "--owner", owner, "--", "sh", "-c", "stat -c '%u %g' $ONE_FILE")
        let group = try await ChildProcess.run("/usr/bin/id", ["-g", "nobody"]).outputText.dropLast()
        #expect(outcome.outputText == numbers.replacing("-1", with: group) + "\n")
    }

    @Test func anOwnerThatNobodyKnowsIsRefused() async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        for (owner, text) in [
            ("nobodyatall", "no user"), ("0:nobodyatall", "no group"), ("4294967295", "numbers below"),
        ] {
            (try await sandbox.run("run", "--owner", owner, "--", "true")).expectRefusal(64, text)
        }
        for owner in [":", "1:", ":1", "1:2:3"] {
            (try await sandbox.run("run", "--owner", owner, "--", "true")).expectRefusal(64, "--owner takes")
        }
    }
}
