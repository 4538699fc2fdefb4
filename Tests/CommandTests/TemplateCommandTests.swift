// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

/// Rendered files through the commands.
@Suite(.timeLimit(.minutes(10))) struct TemplateCommandTests {
    static let canMount = isRoot && FileManager.default.isWritableFile(atPath: "/dev/fuse")

    private static let netrc = "machine ghcr.io login {{ GHCR_USER }} password {{ GHCR_TOKEN }}\n"
    private static let rendered = "machine ghcr.io login octocat password not-a-real-token\n"

    /// A store with two parts and a rendered file.
    private static func makeSandbox(_ template: String = netrc) async throws -> Sandbox {
        let sandbox = try await Sandbox(["GHCR_USER": "octocat", "GHCR_TOKEN": "not-a-real-token"])
        try await sandbox.succeed("set", "NETRC", "--template", "-", input: Array(template.utf8))
        return sandbox
    }

    @Test func aTemplateIsSetShownAndVerified() async throws {
        let sandbox = try await Self.makeSandbox()
        #expect(try await sandbox.value("NETRC") == Array(Self.rendered.utf8))
        #expect(try await sandbox.run("get", "--show", "NETRC").outputText == Self.rendered)
        let text = try await sandbox.run("get", "NETRC").outputText
        #expect(text.contains("template: |\n      \(Self.netrc)") && text.contains("parts: GHCR_USER, GHCR_TOKEN\n"))
        #expect(!text.contains("not-a-real-token"))
        let json = try await sandbox.run("get", "NETRC", "--json").outputText
        let data = try #require(JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any])
        let secrets = try #require(data["secrets"] as? [[String: Any]])
        #expect(secrets.first?["template"] as? String == Self.netrc && secrets.first?["filled"] as? Bool == true)
        let verified = try await sandbox.succeed("verify")
        #expect(verified.outputText.contains("0 values checked for format, 1 file rendered"))
        #expect(try sandbox.manifest().contains("    template: |\n      \(Self.netrc)"))
        let large = try await sandbox.run("verify", "--max-size", "20")
        large.expectRefusal(17, "the rendered file 'NETRC' is larger than 20 bytes", hint: "--max-size")
    }

    @Test(
        arguments: [
            (["--template", "-"], "{{ GHCR_USER", "template, line 1, column 3", nil),
            (
                ["--template", "-"], "{{ NOBODY }}", "names 'NOBODY', which is no secret of the store",
                "credfs set NOBODY"
            ),
            (["--template", "-"], "{{ OTHER }}", "names 'OTHER' itself", nil),
            (["--template", "-"], "{{ NETRC }}", "which has a template, too", nil),
            (["--template", "-"], "", "the template is empty", nil),
            (["--template", "-"], "{{ GHCR_USER | rot13 }}", "unknown filter", "base64"),
            (["--template", "-", "--format", "json"], "{{ GHCR_USER }}", "the value of 'OTHER' is not json", nil),
        ] as [([String], String, String, String?)]
    )
    func whatCannotBeRenderedIsRefused(_ options: [String], _ template: String, _ message: String, _ hint: String?)
        async throws
    {
        let sandbox = try await Self.makeSandbox()
        let before = try sandbox.manifest()
        let outcome = try await sandbox.run(["set", "OTHER"] + options, input: Array(template.utf8))
        outcome.expectRefusal(17, message, hint: hint)
        #expect(try sandbox.manifest() == before)
    }

    @Test(arguments: [
        ["-"], ["--value-file", "x"], ["--generate=32"], ["--keep-value"], ["--allow-empty"],
        ["--trailing-newline", "strip"],
    ])
    func aTemplateStandsForTheValue(_ options: [String]) async throws {
        let sandbox = try await Sandbox([:])
        try await sandbox.run(["set", "A", "--template", "-"] + options, input: Array("x".utf8)).expectRefusal(64)
    }

    /// What a set would break is found out before it is stored.
    @Test func aValueThatAFileCannotHoldIsRefused() async throws {
        let sandbox = try await Self.makeSandbox("{{ all | dotenv }}")
        let before = try sandbox.manifest()
        let outcome = try await sandbox.run("set", "NEW", input: Array("a\rb".utf8))
        outcome.expectRefusal(17, "'NETRC' cannot be rendered: NEW has a carriage return, which dotenv cannot hold")
        #expect(try sandbox.manifest() == before)
        try await sandbox.succeed("set", "NEW", input: Array("a b".utf8))
        let expected = "GHCR_TOKEN=not-a-real-token\nGHCR_USER=octocat\nNEW='a b'\n"
        #expect(try await sandbox.value("NETRC") == Array(expected.utf8))
    }

    @Test func valueAndTemplateReplaceEachOtherAndThatIsSaid() async throws {
        let sandbox = try await Self.makeSandbox()
        let value = try await sandbox.succeed("set", "NETRC", input: Array("plain".utf8))
        #expect(value.errorText == "credfs: the template of 'NETRC' was replaced by a value\n")
        #expect(try await sandbox.value("NETRC") == Array("plain".utf8))
        let template = try await sandbox.succeed("set", "NETRC", "--template", "-", input: Array("x".utf8))
        #expect(template.errorText == "credfs: the value of 'NETRC' was replaced by a template\n")
        #expect(try !sandbox.manifest().contains("NETRC:\n    value"))
    }

    @Test func commandsThatHaveNothingToDoWithATemplateSaySo() async throws {
        let sandbox = try await Self.makeSandbox()
        let before = try sandbox.manifest()
        try await sandbox.run("delete", "-y", "GHCR_USER").expectRefusal(
            17,
            "'GHCR_USER' is a part of NETRC",
            hint: "delete that first"
        )
        try await sandbox.run("rotate", "NETRC", "-", input: Array("x".utf8))
            .expectRefusal(17, "'NETRC' is rendered from a template", hint: "rotate its parts: GHCR_USER, GHCR_TOKEN")
        try sandbox.directory.write(Array("NETRC=x\n".utf8), to: "values.env")
        for options in [[], ["--overwrite"]] {
            try await sandbox.run(["import", sandbox.directory.path("values.env")] + options)
                .expectRefusal(17, "no value is imported over a template: NETRC", hint: "--skip-existing")
        }
        try await sandbox.succeed("import", sandbox.directory.path("values.env"), "--skip-existing")
        #expect(
            try sandbox.manifest().split(separator: "\n").filter { $0.contains("template") || $0.contains("value") }
                == before.split(separator: "\n").filter { $0.contains("template") || $0.contains("value") }
        )
        try await sandbox.succeed("delete", "-y", "NETRC")
        try await sandbox.succeed("delete", "-y", "GHCR_USER")
    }

    @Test func aRotationLeavesTheTemplateAndRendersTheParts() async throws {
        let sandbox = try await Self.makeSandbox()
        try await sandbox.succeed("rotate")
        #expect(try sandbox.manifest().contains(Self.netrc))
        #expect(try await sandbox.value("NETRC") == Array(Self.rendered.utf8))
        try await sandbox.succeed("rotate", "GHCR_TOKEN", "-", input: Array("new".utf8))
        #expect(try await sandbox.value("NETRC") == Array("machine ghcr.io login octocat password new\n".utf8))
    }

    @Test func anExportHoldsWhatIsRendered() async throws {
        let sandbox = try await Self.makeSandbox()
        let outcome = try await sandbox.succeed("export", "NETRC", "--format", "json")
        let object = try #require(JSONSerialization.jsonObject(with: Data(outcome.standardOutput)) as? [String: String])
        #expect(object == ["NETRC": Self.rendered])
        let all = try await sandbox.succeed("export", "--format", "json")
        let objects = try #require(JSONSerialization.jsonObject(with: Data(all.standardOutput)) as? [String: String])
        #expect(objects.keys.sorted() == ["GHCR_TOKEN", "GHCR_USER", "NETRC"])
    }

    @Test func handmadeTemplatesAreShownAndSigned() async throws {
        let sandbox = try await Self.makeSandbox()
        try sandbox.replaceManifest(
            sandbox.manifest().replacing("login {{ GHCR_USER }}", with: "login {{ GHCR_USER | url }}").utf8
        )
        try await sandbox.run("verify").expectRefusal(15, "signature")
        let outcome = try await sandbox.succeed("encrypt")
        #expect(outcome.errorText.contains("credfs: changed: NETRC: template changed\n"))
        #expect(try await sandbox.value("NETRC") == Array(Self.rendered.utf8))
        // A plaintext document can bring one.
        let document = "secrets:\n  OTHER:\n    template: '{{ FRESH | base64 }}'\n  FRESH:\n    value: abc\n"
        try await sandbox.succeed("encrypt", sandbox.directory.write(Array(document.utf8), to: "new.yaml"))
        #expect(try await sandbox.value("OTHER") == Array("YWJj".utf8))
        #expect(try sandbox.manifest().contains("OTHER:\n    template: '{{ FRESH | base64 }}'\n    rotated: "))
    }

    @Test func anEditorSeesTheTemplate() async throws {
        let box = try await EditBox(["GHCR_USER": "octocat", "GHCR_TOKEN": "not-a-real-token"])
        try await box.sandbox.succeed("set", "NETRC", "--template", "-", input: Array(Self.netrc.utf8))
        let outcome = try await box.editScript(
            """
            grep -q '^    template: |$' "$1"
            grep -q '^      machine ghcr.io login {{ GHCR_USER }} password' "$1"
            sed -i 's/machine ghcr.io/machine example.com/' "$1"
            """
        )
        #expect(outcome.errorText == "credfs: changed: NETRC: template changed\n")
        #expect(
            try await box.sandbox.value("NETRC") == Array(Self.rendered.replacing("ghcr.io", with: "example.com").utf8)
        )
        for (change, message) in [
            ("s/{{ GHCR_USER }}/{{ NOBODY }}/", "names 'NOBODY', which is no secret"),
            ("s/GHCR_USER }}/GHCR_USER/", "template, line 1"),
            ("s/^  GHCR_USER:/  RENAMED:/", "names 'GHCR_USER', which is no secret"),
        ] {
            let before = try box.sandbox.manifest()
            try await box.editScript("sed -i '\(change)' \"$1\"").expectRefusal(17, message)
            #expect(try box.sandbox.manifest() == before)
        }
    }

    /// Each way to show it has the same bytes, size and mode.
    @Test(.enabled(if: canMount, "needs root and /dev/fuse"), arguments: ["fuse", "tmpfs", "ramfs", "shm"])
    func everyBackendShowsIt(_ backend: String) async throws {
        let box = try JobBox(try await Self.makeSandbox())
        let script = #"cat "$NETRC_FILE"; stat -c "%s %a" "$NETRC_FILE"; ls "$CREDENTIALS_DIRECTORY""#
        let outcome = try await box.run(["--backend", backend, "--only", "NETRC"], shell: script)
        #expect(
            outcome.outputText == "\(Self.rendered)\(Self.rendered.utf8.count) 400\nNETRC\n",
            "\(outcome.errorText)"
        )
        try box.expectNothingLeft()
    }

    @Test(.enabled(if: canMount, "needs root and /dev/fuse"))
    func aVariableHoldsWhatIsRendered() async throws {
        let box = try JobBox(try await Self.makeSandbox())
        let outcome = try await box.run(["--env", "NETRC"], shell: #"printf %s "$NETRC""#)
        #expect(outcome.outputText == Self.rendered.trimmingCharacters(in: .newlines) + "\n", "\(outcome.errorText)")
        try await box.sandbox.succeed("policy", "set", "GHCR_TOKEN", "--allow-uid", "0")
        for options in [["--env", "NETRC"], ["--backend", "tmpfs", "--only", "NETRC"]] {
            let outcome = try await box.run(options, shell: "true")
            outcome.expectRefusal(21, "'NETRC'", hint: "--ignore-policy")
        }
        try box.expectNothingLeft()
    }

    /// A reader that has it open goes on with its generation; whoever opens it anew has all of the next.
    @Test(.enabled(if: canMount, "needs root and /dev/fuse"))
    func aReloadReplacesContentAndSizeAtOnce() async throws {
        let box = try JobBox(try await Self.makeSandbox())
        let steps = box.sandbox.directory.path("step")
        let job = try await box.start(
            [],
            shell: """
                exec 3<"$NETRC_FILE"
                head -c 10 <&3 >/dev/null
                echo ready >"$READY.new"; mv "$READY.new" "$READY"
                while ! test -e \(steps); do sleep 0.02; done
                stat -c %s "$NETRC_FILE"; wc -c <"$NETRC_FILE"; cat "$NETRC_FILE" - <&3
                """
        )
        try await box.sandbox.succeed("set", "GHCR_TOKEN", input: Array("a-much-longer-token-than-before".utf8))
        #expect(try await box.credfs("reload").status == .exited(0))
        try box.sandbox.directory.write([], to: "step")
        let outcome = try await job.credfs.end()
        let new = "machine ghcr.io login octocat password a-much-longer-token-than-before\n"
        #expect(
            outcome.outputText == "\(new.utf8.count)\n\(new.utf8.count)\n\(new)\(Self.rendered.dropFirst(10))",
            "\(outcome.errorText)"
        )
        try box.expectNothingLeft()
    }

    @Test(.enabled(if: canMount, "needs root and /dev/fuse"))
    func policiesOfPartsHoldAndTheLogNamesThem() async throws {
        let box = try JobBox(try await Self.makeSandbox())
        try await box.sandbox.succeed("policy", "set", "GHCR_TOKEN", "--max-reads", "2")
        let script =
            #"for try in 1 2 3; do cat "$NETRC_FILE" | wc -c; done; cat "$GHCR_USER_FILE"; test -r "$GHCR_TOKEN_FILE""#
        let outcome = try await box.run([], shell: script)
        #expect(outcome.outputText == "56\n56\n0\noctocat", "\(outcome.errorText)")
        let log = try await box.credfs("audit", "show", "--json", "--secret", "GHCR_TOKEN")
        let opens = log.outputText.split(separator: "\n").filter { $0.contains(#""operation":"open""#) }
        #expect(opens.count == 3, "\(log.outputText)")
        #expect(
            opens.allSatisfy {
                $0.contains(#""secret":"NETRC""#) && $0.contains(#""secrets":["GHCR_USER","GHCR_TOKEN"]"#)
            }
        )
        #expect(opens.last?.contains(#""reason":"policy of GHCR_TOKEN: max_reads""#) == true)
        #expect(!log.outputText.contains("not-a-real-token"))
        let test = try await box.credfs("policy", "test", "NETRC", "--uid", "1")
        #expect(test.outputText == "allow\n")
        try await box.sandbox.succeed("policy", "set", "GHCR_TOKEN", "--allow-uid", "0")
        let refused = try await box.credfs("policy", "test", "NETRC", "--uid", "1")
        #expect(refused.outputText == "deny: uids of GHCR_TOKEN\n" && refused.status == .exited(21))
    }

    @Test(.enabled(if: canMount, "needs root and /dev/fuse"))
    func aFileThatLacksAPartIsNotThere() async throws {
        let box = try JobBox(try await Self.makeSandbox())
        try await box.sandbox.makeExpired("OLD", "x", at: "2020-01-01T00:00:00Z")
        try await box.sandbox.succeed("set", "LATE", "--template", "-", input: Array("{{ OLD }}".utf8))
        let outcome = try await box.run([], shell: #"ls "$CREDENTIALS_DIRECTORY"; test -z "${LATE_FILE-}""#)
        #expect(outcome.outputText == "GHCR_TOKEN\nGHCR_USER\nNETRC\n", "\(outcome.errorText)")
        #expect(outcome.lines("warning") == ["expired and left out: OLD, LATE"])
        let named = try await box.run(["--only", "LATE"], shell: "true")
        named.expectRefusal(125, "'LATE' is rendered from 'OLD', which expired")
        try await box.run(["--only", "LATE", "--if-missing", "ignore"], shell: "true").expectNoError()
        try await box.sandbox.succeed("set", "LATE", "--keep-value", "--required")
        try await box.run([], shell: "true").expectRefusal(125, "required file 'LATE' is rendered from 'OLD'")
        try await box.sandbox.run("verify").expectRefusal(16, "required file 'LATE'")
    }

    /// While a file is open that was read, its server's memory holds neither a part of it nor what was rendered.
    @Test(.enabled(if: canMount, "needs root and /dev/fuse"))
    func nothingRenderedStaysInMemory() async throws {
        let marker = "Marker" + UUID().uuidString
        let encoded = Data("octocat:\(marker)".utf8).base64EncodedString()
        let sandbox = try await Sandbox(["GHCR_USER": "octocat", "GHCR_TOKEN": marker])
        let template = "{{ GHCR_TOKEN | json }} {{ GHCR_USER \":\" GHCR_TOKEN | base64 }} {{ all | json }}"
        try await sandbox.succeed("set", "FILE", "--template", "-", input: Array(template.utf8))
        let box = try JobBox(sandbox)
        let mounted = try await box.credfs("mount")
        let path = mounted.outputText.trimmingCharacters(in: .newlines)
        let file = unsafe open("\(path)/FILE", O_RDONLY)
        defer { close(file) }
        let content = String(decoding: try Files.read("\(path)/FILE"), as: UTF8.self)
        #expect(content.contains(marker) && content.contains(encoded))
        let status = try await box.credfs("status", "--json").outputText
        let object = try #require(JSONSerialization.jsonObject(with: Data(status.utf8)) as? [String: Any])
        let server = try #require((object["mounts"] as? [[String: Any]])?.first?["pid"] as? Int)
        let search = """
            import sys
            found = 0
            with open(f"/proc/{sys.argv[1]}/mem", "rb", 0) as memory, open(f"/proc/{sys.argv[1]}/maps") as maps:
                for line in maps:
                    start, end = (int(part, 16) for part in line.split()[0].split("-"))
                    try:
                        memory.seek(start)
                        content = memory.read(end - start)
                    except (OSError, OverflowError, ValueError):
                        continue
                    found += sum(content.count(word.encode()) for word in sys.argv[2:])
            print(found)
            """
        // What the template says is in memory: the search finds what is there.
        for (words, isThere) in [
            ([marker, encoded, String(encoded.dropFirst(20))], false), (["GHCR_TOKEN | json"], true),
        ] {
            let outcome = try await ChildProcess.run("/usr/bin/python3", ["-I", "-c", search, "\(server)"] + words)
            let count = try #require(Int(outcome.outputText.trimmingCharacters(in: .newlines)), "\(outcome.errorText)")
            #expect((count > 0) == isThere, "\(words.count) words: \(count)")
        }
        #expect(try await box.credfs("unmount", "--all").status == .exited(0))
    }

    @Test(.enabled(if: canMount, "needs root and /dev/fuse"))
    func whatIsMaskedIsTheFileToo() async throws {
        let box = try JobBox(try await Self.makeSandbox())
        let mount = try await box.credfs("mount")
        #expect(mount.status == .exited(0), "\(mount.errorText)")
        let outcome = try await box.credfs("env", "--mask", "github")
        #expect(outcome.errorText.contains("::add-mask::\(Self.rendered)"))
        #expect(outcome.outputText.contains("NETRC_FILE"))
        #expect(try await box.credfs("unmount", "--all").status == .exited(0))
    }
}

extension ChildProcess.Outcome {
    /// Expects success.
    fileprivate func expectNoError(at location: SourceLocation = #_sourceLocation) {
        #expect(status == .exited(0), "\(errorText)", sourceLocation: location)
    }
}
