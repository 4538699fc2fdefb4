// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

/// `edit` with editors that are programs of others or short scripts.
@Suite(.serialized, .enabled(if: isRoot, "what is left on the machine is looked at as root"), .timeLimit(.minutes(20)))
struct EditTests {
    @Suite struct Documents {
        @Test func onlyWhatChangedIsSealedAgain() async throws {
            let box = try await EditBox(["ONE": "old-value", "TWO": "kept"])
            try await box.sandbox.succeed("set", "BINARY", input: [0, 255, 1])
            let before = try box.sandbox.manifest().split(separator: "\n")
            let outcome = try await box.edit("sed -i s/old-value/new-value/")
            #expect(outcome.status == .exited(0), "\(outcome.errorText)")
            #expect(outcome.errorText == "credfs: changed: ONE: value changed\n")
            #expect(outcome.standardOutput.isEmpty)
            #expect(try await box.sandbox.value("ONE") == Array("new-value".utf8))
            #expect(try await box.sandbox.value("TWO") == Array("kept".utf8))
            #expect(try await box.sandbox.value("BINARY") == [0, 255, 1])
            // A line for the value, and perhaps one for when it changed; generation, time and signature of the whole.
            let after = try box.sandbox.manifest().split(separator: "\n")
            let changed = Set(after).subtracting(before).map { $0.drop { $0 == " " }.prefix { $0 != ":" } }
            #expect(
                Set(changed).isSubset(of: ["value", "rotated", "generation", "updated", "signature"]),
                "\(changed)"
            )
            #expect(changed.count(where: { $0 == "value" }) == 1)
            #expect(try await box.sandbox.run("verify").status == .exited(0))
            let log = try await box.sandbox.run("audit", "show").outputText
            #expect(log.contains("edit"), "\(log)")
            try box.expectNothingLeft()
        }

        @Test func everyValueStaysAsItWasWhateverBytesItHas() async throws {
            let values = [
                "", "\n", "a\n", "a\n\n", "\na", " a", "a ", "a\nb\n", "a\nb", "\ta\n\tb", "a\r\nb\r\n", "#a", "a #b",
                "'\"\\",
                "caf\u{e9}\u{85}\u{2028}\u{feff}\u{1f600}", "ENC[", "ENC[AES256_GCM,data:", "---\na: b\n...\n", "true",
                "~", "0",
                "-----BEGIN X-----\nbm9uZQ==\n-----END X-----\n", "a\n\n\n b\n", "\u{1}\u{1b}[2J", "\u{0}",
            ]
            let box = try await EditBox(["AA": "old"])
            for (index, value) in values.enumerated() {
                try await box.sandbox.succeed("set", "V\(index)", "--allow-empty", input: Array(value.utf8))
            }
            let sealed = try box.sandbox.manifest().split(separator: "\n").filter { $0.contains("value:") }
            let outcome = try await box.edit("sed -i 's/value: old/value: new/'")
            #expect(outcome.errorText == "credfs: changed: AA: value changed\n")
            let now = try box.sandbox.manifest().split(separator: "\n").filter { $0.contains("value:") }
            #expect(sealed.dropFirst() == now.dropFirst())
            #expect(sealed.first != now.first)
        }

        @Test func entriesAreAddedChangedRemovedAndRenamed() async throws {
            let box = try await EditBox(["GONE": "g", "OLD": "renamed value", "STAYS": "s"])
            try await box.sandbox.succeed("set", "RAW", input: [0, 1, 2])
            let outcome = try await box.editScript(
                """
                # Writes another file and puts it into the place of the first, as many editors do.
                cp "$1" "$1~"
                sed -e '/^  GONE:/,/rotated/d' -e 's/^  OLD:/  NEW:/' -e 's/^  RAW:/  RAW2:/' "$1" > "$1.tmp"
                printf '  ADDED:\\n    value: |\\n      two\\n      lines\\n    required: true\\n' >> "$1.tmp"
                sed -i '1i expires: 2099-01-01T00:00:00Z' "$1.tmp"
                mv "$1.tmp" "$1"
                """
            )
            #expect(outcome.status == .exited(0), "\(outcome.errorText)")
            for line in [
                "manifest: expires never -> 2099-01-01T00:00:00Z", "NEW: added", "RAW2: added", "ADDED: added",
                "GONE: removed", "OLD: removed", "RAW: removed",
            ] {
                #expect(outcome.errorText.contains("credfs: changed: \(line)\n"), "\(outcome.errorText)")
            }
            #expect(try await box.sandbox.value("NEW") == Array("renamed value".utf8))
            #expect(try await box.sandbox.value("RAW2") == [0, 1, 2])
            #expect(try await box.sandbox.value("ADDED") == Array("two\nlines\n".utf8))
            #expect(try await box.sandbox.run("verify").status == .exited(0))
        }

        @Test func thatNothingWasChangedIsSaid() async throws {
            let box = try await EditBox(["ONE": "a b", "TWO": "1\n2\n"])
            let manifest = try box.sandbox.manifest().replacing("  ONE:", with: "  # a comment\n  ONE:")
            try box.sandbox.replaceManifest(manifest.utf8)
            let before = try box.sandbox.snapshot()
            // Spaces and quotes are no change either.
            for editor in ["true", "touch", "sed -i \"s/'a b'/\\\"a b\\\"/\"", "vim -es -c wq"] {
                let outcome = try await box.edit(editor)
                #expect(outcome.status == .exited(0), "\(editor): \(outcome.errorText)")
                #expect(outcome.errorText == "credfs: nothing was changed\n", "\(editor)")
            }
            #expect(try box.sandbox.snapshot().entries["store"] == before.entries["store"])
            #expect(try box.sandbox.manifest() == manifest)
            try box.expectNothingLeft()
        }

        @Test func commentsAreKeptButNoneThatHoldsAValue() async throws {
            let box = try await EditBox(["ONE": "long-enough-value", "TWO": "first line\nsecond line\n"])
            let outcome = try await box.edit("sed -i 's/^  ONE:/  # for the mail server\\n  ONE:/'")
            #expect(outcome.errorText.contains("changed: comments or order"), "\(outcome.errorText)")
            #expect(outcome.lines("warning").contains { $0.contains("comments are stored as they are") })
            let manifest = try box.sandbox.manifest()
            #expect(manifest.contains("  # for the mail server\n  ONE:\n"))
            #expect(!manifest.contains("plain text. This file"))
            let before = try box.sandbox.snapshot()
            for change in [
                "s/^    value: long/    # &/", "s/^  TWO:/  # second line\\n&/", "$a # was: long-enough-value",
            ] {
                let refused = try await box.edit("sed -i '\(change)'")
                refused.expectRefusal(17)
                #expect(!refused.errorText.contains("long-enough-value"))
            }
            #expect(try box.sandbox.snapshot() == before)
        }

        @Test(arguments: [
            ("$a \\ \\ TWO: [", 17, "line"), ("s/value: old/value: old: x/", 17, "line 5, column"),
            ("s/value: old/valu: old/", 17, "unknown key at line 5"), ("1i slots: {}", 17, ""),
            ("1i version: 1", 17, "says more than"), ("s/value: old/value: ENC[x]/", 22, "line 5, column"),
            ("s/value: old/&\\n    format: json/", 17, "is not json"), ("1,$d", 17, "empty"),
            ("s/value: old/&\\n    mode: 0777/", 17, "line 6"), ("s/ONE/a:b/", 17, "bad name"),
            ("$a \\  one:\\n    value: old", 17, "'ONE' and 'one' would both have the variable ONE_FILE"),
            ("1i generation: 5", 17, "says more than"), ("s/.*/\\xff/", 17, ""),
        ])
        func whatIsNotValidChangesNothing(_ change: String, _ status: Int32, _ message: String) async throws {
            let box = try await EditBox(["ONE": "old"])
            let before = try box.sandbox.snapshot()
            let outcome = try await box.edit("sed -i '\(change)'")
            outcome.expectRefusal(status, message)
            #expect(outcome.lines("error").first?.contains("nothing was changed") == true, "\(outcome.errorText)")
            #expect(!outcome.errorText.contains("old"))
            #expect(try box.sandbox.snapshot() == before)
            try box.expectNothingLeft()
        }
    }

    @Suite struct Editors {
        @Test(arguments: [
            ("exit 3", "ended with status 3"), ("kill -SEGV $$", "ended by signal 11"), ("kill -9 $$", "by signal 9"),
            ("rm \"$1\"", "left no document"), ("rm \"$1\"; mkdir \"$1\"", "no regular file"),
            ("rm \"$1\"; ln -s /etc/passwd \"$1\"", "left no document"), ("echo x >> \"$1\"; exit 1", "status 1"),
        ])
        func oneThatFailsChangesNothing(_ script: String, _ message: String) async throws {
            let box = try await EditBox(["ONE": "old"])
            let before = try box.sandbox.snapshot()
            let outcome = try await box.editScript(script)
            #expect(outcome.lines("error").first?.contains(message) == true, "\(outcome.errorText)")
            #expect(outcome.lines("error").first?.contains("nothing was changed") == true)
            #expect([.exited(1), .exited(17)].contains(outcome.status))
            #expect(try box.sandbox.snapshot().entries["store/secrets.yaml"] == before.entries["store/secrets.yaml"])
            try box.expectNothingLeft()
        }

        @Test func itIsChosenByVariablesAndMayHaveArguments() async throws {
            let box = try await EditBox(["ONE": "old"])
            let before = try box.sandbox.snapshot()
            let none = try await box.edit("/nowhere/editor")
            none.expectRefusal(1, "cannot be run", hint: "CREDFS_EDITOR")
            let variables = ["EDITOR": "sed -i s/old/editor/", "VISUAL": "sed -i s/old/visual/"]
            for (adding, value) in [
                (variables, "visual"), (["EDITOR": "sed -i s/visual/'second time'/"], "second time"),
            ] {
                let outcome = try await box.edit("", adding: adding)
                #expect(outcome.status == .exited(0), "\(outcome.errorText)")
                #expect(try await box.sandbox.value("ONE") == Array(value.utf8))
            }
            let bare = try await box.edit("", adding: ["PATH": box.sandbox.directory.path("home")])
            bare.expectRefusal(1, "there is no editor", hint: "credfs set")
            #expect(try box.sandbox.snapshot() != before)
        }

        @Test func itGetsNoKeyAndNoDescriptorAndWritesNowhereElse() async throws {
            let box = try await EditBox(["ONE": "old"])
            let key = String(decoding: try Files.read(box.sandbox.path("secrets.key")), as: UTF8.self)
            let editor = try box.script(
                """
                exec > "$NEWS"
                env | grep -c -E '^(CREDFS_KEY|CREDFS_PASSWORD|CREDFS_AGE_KEY|SOPS_AGE_KEY)' || true
                ls /proc/self/fd | wc -w
                for place in "$HOME" /tmp /dev/shm /run / "$CREDFS_STORE" "$XDG_RUNTIME_DIR"; do
                    if touch "$place/credfs-edit-test" 2>/dev/null; then echo "wrote $place"; fi
                done
                stat -f -c %T "$PWD" "$TMPDIR" "$XDG_STATE_HOME" "$XDG_CACHE_HOME" | sort -u
                stat -c '%a %u' "$1" "$PWD"
                ulimit -c
                grep -E '^CapBnd' /proc/self/status | cut -f 2
                trap - INT; grep -E '^Sig(Blk|Ign)' /proc/self/status | cut -f 2
                case $1 in "$PWD"/*) echo inside;; esac
                """
            )
            let run = try ChildProcess.Running(
                credfs,
                ["edit"],
                environment: box.environment(editor).merging(
                    ["CREDFS_KEY": key, "CREDFS_PASSWORD": "x", "SOPS_AGE_KEY_FILE": "/x"]
                ) { $1 }
            )
            #expect(try await box.nextLine() == "0")
            // 0 to 2, and the one of ls itself.
            #expect(try await box.nextLine() == "4")
            #expect(try await box.nextLine() == "ramfs")
            #expect(try await box.nextLine() == "600 \(geteuid())")
            #expect(try await box.nextLine() == "700 \(geteuid())")
            #expect(try await box.nextLine() == "0")
            let capabilities = try #require(UInt64(try await box.nextLine(), radix: 16))
            #expect(capabilities & 1 << 21 == 0)
            #expect(try await box.nextLine() == "0000000000000000")
            // But for two that belong to the C library, which nobody can give another action.
            let ignored = try #require(UInt64(try await box.nextLine(), radix: 16))
            #expect(ignored & ~(3 << 31) == 0)
            #expect(try await box.nextLine() == "inside")
            #expect(try await run.end().status == .exited(0))
            try box.expectNothingLeft()
        }

        @Test func outsideThePathLeadsNowhereAndItsDirectoryIsNotWritable() async throws {
            let box = try await EditBox(["ONE": "old"])
            let run = try box.start(try box.script("echo \"$1\" > \"$NEWS\"; read -r line < \"$ORDERS\""))
            let path = try await box.nextLine()
            let names = try box.box.leftovers.filter { $0.hasPrefix("credfs/edit-") }
            #expect(names.count == 1)
            let directory = "\(box.box.runtime)/\(names.first ?? "")"
            #expect(path.hasPrefix(directory + "/"))
            #expect(try Files.mode(directory) == 0o500)
            #expect(!Files.exists(path))
            // Not even root, who may write where the mode says otherwise.
            let touch = try await ChildProcess.run("/usr/bin/touch", [path])
            #expect(touch.errorText.contains("No such file or directory"), "\(touch.errorText)")
            box.order()
            #expect(try await run.end().status == .exited(0))
            try box.expectNothingLeft()
        }

        @Test func whatItLeavesRunningEndsWithTheEdit() async throws {
            let box = try await EditBox(["ONE": "old"])
            let run = try box.start(try box.script("sleep 600 & echo $! > \"$NEWS\"; sed -i s/old/new/ \"$1\""))
            let process = try #require(Int32(try await box.nextLine()))
            let outcome = try await run.end()
            #expect(outcome.status == .exited(0), "\(outcome.errorText)")
            #expect(!ProcessState.isAlive(process))
            #expect(try await box.sandbox.value("ONE") == Array("new".utf8))
        }

        @Test func vimWithSwapBackupUndoAndHistory() async throws {
            let box = try await EditBox(["ONE": "old"])
            let home = try #require(box.sandbox.environment["HOME"])
            // Settings that people have, all of which would keep plaintext in the home directory.
            for name in ["swap", "backup", "undo"] {
                try FileManager.default.createDirectory(
                    atPath: "\(home)/.vim/\(name)",
                    withIntermediateDirectories: true
                )
            }
            let settings = """
                set nocompatible backup undofile viminfo='100,<1000,s1000
                set directory=~/.vim/swap// backupdir=~/.vim/backup// undodir=~/.vim/undo//
                """
            try box.sandbox.directory.write(Array(settings.utf8), to: "home/.vimrc")
            try box.sandbox.directory.write([], to: "home/.viminfo")
            let before = try Snapshot(home)
            let terminal = try box.startOnTerminal("vim")
            // It says that it has no place for its swap file, and goes on.
            try await terminal.expect("E303")
            terminal.type("\r")
            try await terminal.expect("old")
            terminal.type(":%s/old/changed in vim/\r\r")
            try await terminal.expect("changed in vim")
            terminal.type(":wq\r\r\r\r")
            try await terminal.expect("changed: ONE: value changed")
            #expect(try await terminal.end() == .exited(0))
            #expect(try await box.sandbox.value("ONE") == Array("changed in vim".utf8))
            #expect(try Snapshot(home) == before)
            try box.expectNothingLeft()
        }

        /// Its temporary file is in /tmp, wherever the document is.
        @Test(arguments: ["ed", "/usr/bin/ed -s"]) func ed(_ editor: String) async throws {
            let box = try await EditBox(["ONE": "old"])
            let outcome = try await ChildProcess.run(
                credfs,
                ["edit"],
                environment: box.environment(editor),
                standardInput: Array(",s/old/changed in ed/\nw\nq\n".utf8)
            )
            #expect(outcome.status == .exited(0), "\(outcome.errorText)")
            #expect(try await box.sandbox.value("ONE") == Array("changed in ed".utf8))
            try box.expectNothingLeft()
        }

        @Test func emacsOnATerminal() async throws {
            let box = try await EditBox(["ONE": "old"])
            let before = try Snapshot(box.sandbox.directory.path("home"))
            let terminal = try box.startOnTerminal("emacs -nw")
            try await terminal.expect("old")
            terminal.type("\u{1b}%old\remacs\r!")
            try await terminal.expect("Replaced 1")
            terminal.type("\u{18}\u{13}")
            try await terminal.expect("Wrote")
            terminal.type("\u{18}\u{3}")
            try await terminal.expect("changed: ONE: value changed")
            #expect(try await terminal.end() == .exited(0))
            #expect(try await box.sandbox.value("ONE") == Array("emacs".utf8))
            #expect(try Snapshot(box.sandbox.directory.path("home")) == before)
            try box.expectNothingLeft()
        }

        @Test func nanoWithBackupAndHistory() async throws {
            let box = try await EditBox(["ONE": "old"])
            try box.sandbox.directory.write(
                Array("set backup\nset historylog\nset positionlog\n".utf8),
                to: "home/.nanorc"
            )
            let before = try Snapshot(box.sandbox.directory.path("home"))
            let terminal = try box.startOnTerminal("nano")
            try await terminal.expect("old")
            // Replace, all of them.
            terminal.type("\u{1c}old\rnano\r")
            try await terminal.expect("?")
            terminal.type("a")
            try await terminal.expect("Replaced 1")
            terminal.type("\u{f}\r")
            try await terminal.expect("Wrote")
            terminal.type("\u{18}")
            try await terminal.expect("changed: ONE: value changed")
            #expect(try await terminal.end() == .exited(0))
            #expect(try await box.sandbox.value("ONE") == Array("nano".utf8))
            #expect(try Snapshot(box.sandbox.directory.path("home")) == before)
            try box.expectNothingLeft()
        }
    }

    @Suite struct Terminals {
        @Test func whatIsNotValidIsOfferedAgainAsItWasWritten() async throws {
            let box = try await EditBox(["ONE": "old"])
            let terminal = try box.startOnTerminal(
                try box.script(
                    """
                    if grep -q broken "$1"; then sed -i -e s/broken/value/ -e s/old/new/ "$1"; else sed -i s/value/broken/ "$1"; fi
                    """
                )
            )
            try await terminal.expect("credfs: error: unknown key at line")
            try await terminal.expect("edit again? [Y/n] ")
            #expect(terminal.isEchoing)
            terminal.type("\n")
            try await terminal.expect("changed: ONE: value changed")
            #expect(try await terminal.end() == .exited(0))
            #expect(try await box.sandbox.value("ONE") == Array("new".utf8))
            try box.expectNothingLeft()
        }

        @Test(arguments: ["n\n", "\u{4}", "\u{3}"]) func whoeverDoesNotWantToGoOnChangesNothing(_ answer: String)
            async throws
        {
            let box = try await EditBox(["ONE": "old"])
            let before = try box.sandbox.manifest()
            let terminal = try box.startOnTerminal("sed -i s/value/broken/")
            try await terminal.expect("edit again? [Y/n] ")
            terminal.type(answer)
            #expect(try await terminal.end() == .exited(answer == "\u{3}" ? 130 : 17))
            #expect(try box.sandbox.manifest() == before)
            try box.expectNothingLeft()
        }

        @Test func itsKeysAreTheEditors() async throws {
            let box = try await EditBox(["ONE": "old"])
            let script =
                "trap 'echo interrupted' INT; echo ready; read -r line || true; read -r line; sed -i s/old/$line/ \"$1\""
            let terminal = try box.startOnTerminal(try box.script(script))
            try await terminal.expect("ready")
            terminal.type("\u{3}")
            try await terminal.expect("interrupted")
            terminal.type("one\ntwo\n")
            try await terminal.expect("changed: ONE: value changed")
            #expect(try await terminal.end() == .exited(0))
            #expect(try ["one", "two"].contains(String(decoding: await box.sandbox.value("ONE"), as: UTF8.self)))
        }

        @Test func anEditorThatStopsStopsCredfsAndGoesOnWithIt() async throws {
            let box = try await EditBox(["ONE": "old"])
            let run = try box.start(try box.script("kill -STOP $$; sed -i s/old/new/ \"$1\""))
            try await Eventually.holds("the stop") { ProcessState.letter(run.id) == "T" }
            kill(run.id, SIGCONT)
            let outcome = try await run.end()
            #expect(outcome.status == .exited(0), "\(outcome.errorText)")
            #expect(try await box.sandbox.value("ONE") == Array("new".utf8))
        }

        @Test(arguments: [
            ("vim", "\u{1a}", ":%s/old/new/\r:wq\r"), ("nano", "\u{14}\u{1a}", "\u{1c}old\rnew\ra\u{f}\r\u{18}"),
        ])
        func aShellStopsItAndGoesOnWithIt(_ editor: String, _ stop: String, _ keys: String) async throws {
            let box = try await EditBox(["ONE": "old"])
            let terminal = try PseudoTerminal()
            try terminal.start(
                "/bin/bash",
                ["--norc", "--noprofile", "-i"],
                environment: box.environment(editor).merging(["PS1": "shell> ", "CREDFS": credfs]) { $1 }
            )
            try await terminal.expect("shell> ")
            terminal.type("\"$CREDFS\" edit\r")
            try await terminal.expect("rotated")
            terminal.type(stop)
            try await terminal.expect("Stopped")
            try await terminal.expect("shell> ")
            terminal.type("fg\r")
            // Drawn again.
            try await terminal.expect("rotated")
            terminal.type(keys)
            try await terminal.expect("changed: ONE: value changed")
            try await terminal.expect("shell> ")
            terminal.type("exit\r")
            #expect(try await terminal.end() == .exited(0))
            #expect(try await box.sandbox.value("ONE") == Array("new".utf8))
            try box.expectNothingLeft()
        }

        @Test func theTerminalThatGoesAwayEndsIt() async throws {
            let box = try await EditBox(["ONE": "old"])
            let before = try box.sandbox.manifest()
            let terminal = try box.startOnTerminal(try box.script("echo $$ > \"$NEWS\"; exec sleep 600"))
            let editor = try #require(Int32(try await box.nextLine()))
            terminal.hangUp()
            #expect(try await terminal.end() == .exited(129))
            #expect(!ProcessState.isAlive(editor))
            #expect(try box.sandbox.manifest() == before)
            try box.expectNothingLeft()
        }
    }
}
