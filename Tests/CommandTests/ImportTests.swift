// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

@Suite struct ImportTests {
    private func write(_ text: String, _ name: String, _ sandbox: Sandbox) throws -> String {
        try sandbox.directory.write(Array(text.utf8), to: name)
    }

    @Test func dotenvJSONAndYAMLAreTakenInOneWrite() async throws {
        let documents = [
            (".env", "A=1\nB='x # $y'\nC=\"two\\nlines\"\nEMPTY=\n"),
            ("values.json", #"{"A":1,"B":"x # $y","C":"two\nlines","EMPTY":""}"#),
            ("values.yaml", "A: 1\nB: 'x # $y'\nC: |-\n  two\n  lines\nEMPTY: ''\n"),
        ]
        for (name, text) in documents {
            let sandbox = try await Sandbox(["KEPT": "old"])
            let path = try write(text, name, sandbox)
            let generation = try sandbox.generation()
            let outcome = try await sandbox.succeed("import", path)
            #expect(outcome.outputText.isEmpty)
            #expect(outcome.errorText.contains("credfs: 4 added\n"), "\(outcome.errorText)")
            #expect(outcome.errorText.contains("\(path) still holds the values"))
            #expect(try sandbox.generation() == generation + 1)
            for (name, value) in ["A": "1", "B": "x # $y", "C": "two\nlines", "EMPTY": "", "KEPT": "old"] {
                #expect(try await sandbox.value(name) == Array(value.utf8), "\(name)")
            }
            #expect(try await sandbox.run("verify").status == .exited(0))
            #expect(Files.exists(path))
            let before = try sandbox.snapshot()
            #expect(try await sandbox.succeed("import", path).errorText.contains("credfs: 4 unchanged\n"))
            #expect(try sandbox.snapshot() == before)
        }
    }

    @Test func standardInputAndPipesAreRead() async throws {
        let sandbox = try await Sandbox([:])
        try await sandbox.succeed("import", "-", "--format", "dotenv", input: Array("A=1\n".utf8))
        let outcome = try await sandbox.shell(
            "cat >\"$HOME/x\"; mkfifo \"$HOME/f\"; cat \"$HOME/x\" >\"$HOME/f\" & \"$@\" \"$HOME/f\"",
            ["import", "--format", "json"],
            input: Array(#"{"B":"2"}"#.utf8)
        )
        #expect(outcome.status == .exited(0), "\(outcome.errorText)")
        #expect(try await sandbox.value("A") == [49])
        #expect(try await sandbox.value("B") == [50])
        // Nothing is left that somebody could remove.
        #expect(!outcome.errorText.contains("remove it"), "\(outcome.errorText)")
        let again = ["import", "/dev/stdin", "--format", "dotenv", "--overwrite"]
        let file = try write("A=1\n", "redirected", sandbox)
        let redirected = try await sandbox.shell("\"$@\" <\"\(file)\"", again)
        #expect(redirected.status == .exited(0) && !redirected.errorText.contains("/dev/stdin"))
        (try await sandbox.run("import", "-", input: [])).expectRefusal(64, "format of standard input")
        let path = try write("A=1", "values", sandbox)
        (try await sandbox.run("import", path)).expectRefusal(64, "does not tell its format", hint: "--format")
        (try await sandbox.run("import")).expectRefusal(64)
        (try await sandbox.run("import", path, "--from-env", "A")).expectRefusal(64)
    }

    @Test func anotherValueStopsEverythingUnlessItIsSaidWhatToDo() async throws {
        let sandbox = try await Sandbox(["ONE": "old", "TWO": "same"])
        let path = try write("NEW=x\nONE=new\nTWO=same\n", ".env", sandbox)
        let before = try sandbox.snapshot()
        (try await sandbox.run("import", path)).expectRefusal(17, "are there already: ONE", hint: "--overwrite")
        #expect(try sandbox.snapshot() == before)
        let plan = try await sandbox.succeed("import", path, "--overwrite", "--dry-run")
        #expect(plan.outputText == "add NEW\nreplace ONE\nsame TWO\n")
        let document = try await sandbox.succeed("import", path, "--overwrite", "--dry-run", "--json").json()
        #expect(document["schemaVersion"] as? Int == 1)
        let changes = [("add", "NEW"), ("replace", "ONE"), ("same", "TWO")].map { ["action": $0, "name": $1] }
        #expect(document["changes"] as? [[String: String]] == changes)
        (try await sandbox.run("import", path, "--json")).expectRefusal(64)
        #expect(try sandbox.snapshot() == before)
        let kept = try await sandbox.succeed("import", path, "--skip-existing")
        #expect(kept.errorText.contains("1 added, 1 kept as they were, 1 unchanged"))
        #expect(try await sandbox.value("ONE") == Array("old".utf8))
        let replaced = try await sandbox.succeed("import", path, "--overwrite")
        #expect(replaced.errorText.contains("1 replaced, 2 unchanged"))
        #expect(try await sandbox.value("ONE") == Array("new".utf8))
        (try await sandbox.run("import", path, "--overwrite", "--skip-existing")).expectRefusal(64)
    }

    @Test func aPlaceholderIsFilledAndKeepsWhatItSays() async throws {
        let sandbox = try Sandbox()
        try await sandbox.succeed("init", "--require", "TOKEN", "HASH")
        try await sandbox.succeed("set", "HASH", "--format", "hex32", "--trailing-newline", "strip", "--keep-value")
        let digits = String(repeating: "0f", count: 32)
        let bad = try write(#"{"HASH":"no digits"}"#, "bad.json", sandbox)
        let before = try sandbox.snapshot()
        (try await sandbox.run("import", bad)).expectRefusal(17, "'HASH' is not hex32")
        #expect(try sandbox.snapshot() == before)
        let good = try write("{\"TOKEN\":\"t\",\"HASH\":\"\(digits)\\n\"}", "good.json", sandbox)
        #expect(try await sandbox.succeed("import", good).errorText.contains("2 added"))
        #expect(try await sandbox.value("HASH") == Array(digits.utf8))
        #expect(try await sandbox.succeed("import", good).errorText.contains("2 unchanged"))
        #expect(try await sandbox.run("verify").status == .exited(0))
        #expect(try await sandbox.run("get", "TOKEN").outputText.contains("required: yes"))
    }

    @Test func namesAreMapped() async throws {
        let sandbox = try await Sandbox([:])
        let path = try write("APP_ONE=1\nAPP_TWO=2\nOTHER=3\n", ".env", sandbox)
        let arguments = ["import", path, "--strip-prefix", "APP_", "--prefix", "X_", "--map", "OTHER=billing/KEY"]
        #expect(try await sandbox.run(arguments).status == .exited(0))
        #expect(try await sandbox.succeed("list").outputText == "X_ONE\nX_TWO\nbilling.KEY\n")
        #expect(try await sandbox.run("get", "billing/KEY").outputText.contains("service: billing\n"))
        try await sandbox.succeed("import", path, "--only", "APP_ONE,OTHER", "--service", "shop")
        #expect(
            try await sandbox.succeed("list").outputText == "X_ONE\nX_TWO\nbilling.KEY\nshop.APP_ONE\nshop.OTHER\n"
        )
        let names = try await sandbox.succeed("list").outputText
        (try await sandbox.run("import", path, "--map", "OTHER=APP_ONE")).expectRefusal(17, "would both be 'APP_ONE'")
        (try await sandbox.run("import", path, "--only", "NONE")).expectRefusal(11, "there is no 'NONE'")
        (try await sandbox.run("import", path, "--map", "NONE=A")).expectRefusal(11, "there is no 'NONE'")
        (try await sandbox.run("import", path, "--map", "OTHER")).expectRefusal(64)
        (try await sandbox.run("import", path, "--strip-prefix", "OTHER")).expectRefusal(17, "bad name")
        let clash = try write(#"{"shop":{"OTHER":"3"},"billing.KEY":"3"}"#, "a.json", sandbox)
        try await sandbox.succeed("import", clash)
        let foreign = try write(#"{"X_ONE":{"A":"3"},"billing.KEY":"3"}"#, "b.json", sandbox)
        (try await sandbox.run("import", foreign, "--map", "X_ONE/A=X_ONE", "--map", "billing.KEY=shop/OTHER"))
            .expectRefusal(17, "X_ONE")
        (try await sandbox.run("import", clash, "--service", "a")).expectRefusal(17, "bad name", hint: "--service")
        #expect(try await sandbox.succeed("list").outputText == names)
    }

    @Test func whatCannotBeReadChangesNothingAndIsNotRepeated() async throws {
        let sandbox = try await Sandbox(["ONE": "old"])
        let marker = UUID().uuidString
        let documents = [
            (".env", "A=1\n\(marker)\n"), (".env", "A='\(marker)"), (".env", "A=1\nA=\(marker)\n"),
            ("a.json", "{\"A\":[\"\(marker)\"]}"), ("a.json", "{\"A\":\"\(marker)"), ("a.yaml", "A: [\(marker)]\n"),
            ("a.yaml", "\(marker)"), ("a.yaml", "secrets:\n  A:\n    value: \(marker)\n"),
            ("a.json", "{\"\(marker):x\":1}"),
        ]
        for (name, text) in documents {
            let path = try write(text, name, sandbox)
            let before = try sandbox.snapshot()
            let outcome = try await sandbox.run("import", path)
            outcome.expectRefusal(17)
            #expect(outcome.errorText.contains("line"), "\(outcome.errorText)")
            #expect(!outcome.errorText.contains(marker), "\(text)")
            #expect(try sandbox.snapshot() == before)
        }
        let path = try write("A=\(String(repeating: "x", count: 100))", ".env", sandbox)
        (try await sandbox.run("import", path, "--max-size", "99")).expectRefusal(17, "larger than 99 bytes")
        (try await sandbox.run("import", sandbox.directory.path("none.env"))).expectRefusal(1, "no such file")
    }

    @Test func whatOthersReadOtherwiseIsSaidByName() async throws {
        let sandbox = try await Sandbox([:])
        let dotenv = try write("A=$HOME\nB='$HOME'\n", ".env", sandbox)
        let outcome = try await sandbox.succeed("import", dotenv)
        #expect(outcome.lines("warning") == ["variables and commands in values are not expanded: A"])
        #expect(try await sandbox.value("A") == Array("$HOME".utf8))
        let json = try write(#"{"N":null,"C":"c"}"#, "a.json", sandbox)
        let nulls = try await sandbox.succeed("import", json)
        #expect(nulls.lines("warning") == ["without a value (null) and left out: N"])
        let twice = try write("D=1\nD=2\n", "twice.env", sandbox)
        (try await sandbox.run("import", twice)).expectRefusal(17, "twice, at lines 1 and 2", hint: "--duplicates")
        try await sandbox.succeed("import", twice, "--duplicates", "last")
        #expect(try await sandbox.value("D") == [50])
        #expect(try await sandbox.succeed("list").outputText == "A\nB\nC\nD\n")
    }

    @Test func aFileThatOthersCouldReadOrThatGitMayKnowIsWarnedOf() async throws {
        let sandbox = try await Sandbox([:])
        let directory = sandbox.directory.path("tree")
        try FileManager.default.createDirectory(atPath: "\(directory)/.git", withIntermediateDirectories: true)
        let path = try write("A=1\n", "tree/.env", sandbox)
        try Files.setMode(0o644, path)
        let warnings = try await sandbox.succeed("import", path).lines("warning")
        #expect(warnings.contains("\(path) could be read by others: whoever did has its values"))
        #expect(warnings.contains { $0.contains("is in a git work tree") })
    }

    @Test func theFileIsOverwrittenAndRemovedIfThatIsAsked() async throws {
        let sandbox = try await Sandbox([:])
        let path = try write("A=plaintext\n", ".env", sandbox)
        let second = sandbox.directory.path("second")
        try FileManager.default.linkItem(atPath: path, toPath: second)
        (try await sandbox.run("import", path, "--remove", "--only", "A")).expectRefusal(64)
        (try await sandbox.run("import", "-", "--remove")).expectRefusal(64)
        let outcome = try await sandbox.succeed("import", path, "--remove")
        #expect(outcome.errorText.contains("\(path) was overwritten and removed"))
        #expect(!Files.exists(path))
        #expect(try Files.read(second).allSatisfy { $0 == 0 })
        #expect(try await sandbox.value("A") == Array("plaintext".utf8))
    }

    @Test func variablesAreTakenByNameOrByPreset() async throws {
        let sandbox = try await Sandbox([:])
        let variables = ["ONE": "a\nb ", "OPENAI_API_KEY": "k", "AWS_ACCESS_KEY_ID": "i", "EMPTY": ""]
        let outcome = try await sandbox.succeed(
            "import",
            "--from-env",
            "ONE",
            "EMPTY",
            "--preset",
            "openai,aws",
            adding: variables
        )
        #expect(outcome.errorText.contains("4 added"))
        #expect(outcome.lines("warning") == ["AWS_SECRET_ACCESS_KEY is not set"])
        #expect(outcome.errorText.contains("credfs: not set: OPENAI_ORG_ID"))
        #expect(try await sandbox.value("ONE") == Array("a\nb ".utf8))
        #expect(try await sandbox.value("EMPTY") == [])
        #expect(try await sandbox.run("get", "OPENAI_API_KEY").outputText.contains("description: OpenAI API key\n"))
        (try await sandbox.run("import", "--from-env", "NONE")).expectRefusal(11, "'NONE' is not set")
        (try await sandbox.run("import", "--preset", "gemini")).expectRefusal(
            11,
            "no variable of the preset 'gemini'",
            hint: "GOOGLE_GEMINI_API_KEY"
        )
        (try await sandbox.run("import", "--preset", "none")).expectRefusal(64, hint: "openai, gemini, anthropic")
    }

    @Test(arguments: ["openai", "gemini", "anthropic", "supabase", "github", "aws"])
    func everyPresetTakesWhatItNames(preset: String) async throws {
        let sandbox = try await Sandbox([:])
        let refusal = try await sandbox.run("import", "--preset", preset)
        refusal.expectRefusal(11)
        let hint = try #require(refusal.lines("hint").first?.split(separator: " are ").last)
        let names = hint.split(separator: ", ").map(String.init)
        let variables = Dictionary(uniqueKeysWithValues: names.map { ($0, "value of \($0)") })
        let outcome = try await sandbox.succeed("import", "--preset", preset, adding: variables)
        #expect(outcome.errorText == "credfs: \(names.count) added\n")
        for name in names { #expect(try await sandbox.value(name) == Array("value of \(name)".utf8)) }
    }

    @Test func aDirectoryHasAFileForEachSecret() async throws {
        let sandbox = try await Sandbox([:])
        let bytes: [UInt8] = [0, 255, 10]
        let directory = sandbox.directory.path("secrets")
        let manager = FileManager.default
        try manager.createDirectory(atPath: "\(directory)/sub", withIntermediateDirectories: true)
        try sandbox.directory.write(bytes, to: "secrets/binary")
        try sandbox.directory.write([], to: "secrets/empty")
        try sandbox.directory.write([1], to: "secrets/.hidden")
        let outcome = try await sandbox.succeed("import", directory)
        #expect(outcome.lines("warning") == ["hidden files and directories are left out: .hidden, sub"])
        #expect(try await sandbox.value("binary") == bytes)
        #expect(try await sandbox.value("empty") == [])
        try manager.createSymbolicLink(atPath: "\(directory)/link", withDestinationPath: "binary")
        (try await sandbox.run("import", directory)).expectRefusal(14, "symbolic link")
        (try await sandbox.run("import", directory, "--format", "dotenv")).expectRefusal(64)
        try manager.removeItem(atPath: "\(directory)/link")
        try sandbox.directory.write([1], to: "secrets/a:b")
        (try await sandbox.run("import", directory)).expectRefusal(17, "a:b")
    }

    @Test func aKubernetesVolumeIsReadThroughItsLinks() async throws {
        let sandbox = try await Sandbox([:])
        let directory = sandbox.directory.path("volume")
        let manager = FileManager.default
        try manager.createDirectory(atPath: "\(directory)/..2026_01", withIntermediateDirectories: true)
        try sandbox.directory.write(Array("one".utf8), to: "volume/..2026_01/ONE")
        try manager.createSymbolicLink(atPath: "\(directory)/..data", withDestinationPath: "..2026_01")
        try manager.createSymbolicLink(atPath: "\(directory)/ONE", withDestinationPath: "..data/ONE")
        let outcome = try await sandbox.succeed("import", directory)
        #expect(outcome.lines("warning") == [])
        #expect(try await sandbox.value("ONE") == Array("one".utf8))
        try manager.removeItem(atPath: "\(directory)/..data")
        try manager.createSymbolicLink(atPath: "\(directory)/..data", withDestinationPath: "/etc")
        (try await sandbox.run("import", directory)).expectRefusal(14, "..data is a symbolic link")
    }

    @Test func secretsAreIgnoredOnlyWhereTheyAreShown() async throws {
        let sandbox = try await Sandbox([:])
        let path = try write("A=1\n", ".env", sandbox)
        try await sandbox.succeed("import", path, adding: ["CREDFS_IGNORE_SECRETS": "1"])
        (try await sandbox.run("export", adding: ["CREDFS_IGNORE_SECRETS": "1"])).expectRefusal(21)
    }

    @Test func aWrongKeyOrABrokenSignatureTakesNothing() async throws {
        let sandbox = try await Sandbox(["ONE": "old"])
        let path = try write("A=1\n", ".env", sandbox)
        let before = try sandbox.snapshot()
        (try await sandbox.run("import", path, adding: ["CREDFS_KEY": "x"])).expectRefusal(15)
        #expect(try sandbox.snapshot() == before)
        try sandbox.replaceManifest(try sandbox.manifest().replacing("ONE:\n", with: "ONE:\n    required: true\n").utf8)
        (try await sandbox.run("import", path)).expectRefusal(15, "signature")
    }

    @Test func longWorkIsShownOnATerminalAndNowhereElse() async throws {
        let sandbox = try await Sandbox([:])
        let lines = (0..<20_000).map { "NAME\($0)=value number \($0)\n" }.joined()
        let path = try write(lines, ".env", sandbox)
        let outcome = try await sandbox.succeed("import", path, "--dry-run")
        #expect(!outcome.errorText.contains("sealing ["))
        let terminal = try PseudoTerminal()
        try terminal.start(credfs, ["import", path], environment: sandbox.environment)
        try await terminal.expect("20000 added")
        #expect(try await terminal.end() == .exited(0))
        #expect(try await sandbox.value("NAME19999") == Array("value number 19999".utf8))
    }
}
