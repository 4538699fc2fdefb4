// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

extension EditTests {
    /// What the processes of credfs hold while the editor is open.
    @Suite struct Memories {
        /// Prints how often a text is found in the readable memory of each process.
        private static let search = """
            import re, sys
            marker = sys.argv[1].encode()
            for process in sys.argv[2:]:
                found = 0
                with open(f"/proc/{process}/mem", "rb", 0) as memory, open(f"/proc/{process}/maps") as maps:
                    for line in maps:
                        start, end = (int(part, 16) for part in line.split()[0].split("-"))
                        try:
                            memory.seek(start)
                            found += memory.read(end - start).count(marker)
                        except (OSError, OverflowError):
                            pass  # what even root may not read
                print(found)
            """

        @Test func theEditingProcessKeepsNoPlaintextWhileTheEditorIsOpen() async throws {
            let marker = "Marker" + UUID().uuidString.replacing("-", with: "")
            let box = try await EditBox([
                "ONE": marker, "TWO": "first\n\(marker)\nlast\n", "THREE": "\t\(marker)\u{85}",
            ])
            let large = String(repeating: "x", count: 300_000) + marker
            try await box.sandbox.succeed("set", "LARGE", input: Array(large.utf8))
            let search = try box.sandbox.directory.write(Array(Self.search.utf8), to: "search")
            let editor = try box.script(
                """
                credfs=$(awk '/^PPid/ { print $2 }' /proc/$PPID/status)
                grep -q \(marker) "$1"
                python3 -I -B \(search) \(marker) $PPID "$credfs" self > "$NEWS"
                """
            )
            let run = try box.start(editor)
            #expect(try await box.nextLine() == "0")
            #expect(try await box.nextLine() == "0")
            // The search itself finds what is there.
            #expect(try #require(Int(try await box.nextLine())) > 0)
            let outcome = try await run.end()
            #expect(outcome.status == .exited(0), "\(outcome.errorText)")
        }
    }

    /// Every write of every process of an edit, as the kernel sees it.
    @Suite struct Traces {
        private static let calls = [
            "write", "pwrite64", "writev", "pwritev", "pwritev2", "sendto", "sendmsg", "sendfile", "copy_file_range",
            "splice", "tee", "vmsplice",
        ]

        /// Runs an edit and finds the calls with a marker in them.
        private func writes(of marker: String, _ editor: String, _ box: EditBox) async throws -> [String] {
            let log = box.sandbox.directory.path("trace")
            let outcome = try await ChildProcess.run(
                "/usr/bin/strace",
                ["-f", "-qq", "-y", "-s", "1000000", "-o", log, "-e", "signal=none", "--seccomp-bpf"]
                    + ["-e", "trace=\(Self.calls.joined(separator: ","))", credfs, "edit"],
                environment: box.environment(editor),
                timeout: .seconds(120)
            )
            try #require(outcome.status == .exited(0), "\(outcome.errorText)")
            return String(decoding: try Files.read(log), as: UTF8.self).split(separator: "\n").map(String.init)
                .filter { line in
                    line.contains(marker)
                        // What these move is not shown: all that they do counts.
                        || ["sendfile(", "copy_file_range(", "splice(", "tee(", "vmsplice("].contains {
                            line.contains($0)
                        }
                }
        }

        @Test(arguments: [
            "sed -i.backup s/before/after/",
            "vim -es -u NONE -c 'set backup writebackup undofile swapfile viminfo=' -c '%s/before/after/' -c 'preserve' -c wq",
            "cp --backup=numbered -f",
        ])
        func noPlaintextIsWrittenToAnyDisk(_ editor: String) async throws {
            let marker = "Marker" + UUID().uuidString.replacing("-", with: "")
            let box = try await EditBox(["ONE": "\(marker) before", "TWO": "first \(marker)\nsecond \(marker)\n"])
            let isCopy = editor.hasPrefix("cp")
            let command =
                isCopy
                ? try box.script("cp \"$1\" \"$1.copy\"; mv \"$1.copy\" \"$1\"; sed -i s/before/after/ \"$1\"") : editor
            let lines = try await writes(of: marker, command, box)
            let memory = "\(box.box.runtime)/credfs/edit-"
            #expect(lines.contains { $0.contains("<\(memory)") })
            for line in lines {
                // The descriptor that is written to is the first one with a path, but for those that name two.
                let paths = line.matches(of: /[ (][0-9]+<([^>]*)>/).map { String($0.1) }
                #expect(!paths.isEmpty && paths.allSatisfy { $0.hasPrefix(memory) }, "\(line.prefix(300))")
            }
            #expect(try await box.sandbox.value("ONE") == Array("\(marker) after".utf8))
            for (name, entry) in try box.sandbox.snapshot().entries where name != "trace" {
                #expect(Data(entry.bytes).range(of: Data(marker.utf8)) == nil, "\(name)")
            }
            try box.expectNothingLeft()
        }
    }
}
