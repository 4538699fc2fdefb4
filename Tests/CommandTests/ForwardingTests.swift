// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

/// Copies of audit entries for the journal, the system logger and standard error; each with a receiver of its own in a mount
/// namespace.
@Suite(.serialized, .timeLimit(.minutes(20)))
struct ForwardingTests {
    private static let secret = "not-a-real-value"

    private func box(_ destination: String) async throws -> JobBox {
        let box = try await JobBox(["T": Self.secret, "U": Self.secret, "TRAP": Self.secret])
        try await box.sandbox.succeed("policy", "set", "U", "--allow-exe", "/usr/bin/head")
        try await box.sandbox.succeed("policy", "set", "TRAP", "--decoy")
        try configure(box, "audit:\n  forward: \(destination)\n")
        return box
    }

    private func configure(_ box: JobBox, _ text: String) throws {
        try box.sandbox.directory.write(Array(text.utf8), to: "store/credfs.yaml")
    }

    /// Runs a script of bash in a mount namespace with a /run of its own; `$0` is credfs, `$1` a directory.
    private func isolated(_ box: JobBox, _ script: String) async throws -> ChildProcess.Outcome {
        let start = "mount -t tmpfs -o mode=755 run /run; mkdir -p /run/systemd/journal; "
        return try await ChildProcess.run(
            "/usr/bin/unshare",
            [
                "--mount", "--propagation", "private", "/bin/bash", "-c", start + script, credfs,
                box.sandbox.directory.path,
            ],
            environment: box.environment.merging(["PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONUNBUFFERED": "1"]) {
                $1
            }
        )
    }

    private static let journal = "/lib/systemd/systemd-journald"

    @Test(.enabled(if: isRoot && Files.exists(journal), "systemd-journald runs in a mount namespace"))
    func theJournalHasAFieldForEverything() async throws {
        let box = try await box("journald")
        let outcome = try await isolated(
            box,
            """
            set -e
            echo 0123456789abcdef0123456789abcdef >$1/id; mount --bind $1/id /etc/machine-id
            mkdir -p $1/etc /run/log/journal; mount --bind $1/etc /etc/systemd
            printf '[Journal]\\nStorage=volatile\\nReadKMsg=no\\nAudit=no\\n' >/etc/systemd/journald.conf
            \(Self.journal) 2>/dev/null & journal=$!
            until [ -S /run/systemd/journal/socket ]; do kill -0 $journal; sleep 0.02; done
            mkdir $1/odd; cp /bin/cat "$1/odd/two"$'\\n'"lines"
            $0 run --label team=red -- /bin/bash -c \
                'cat $T_FILE $TRAP_FILE; cat $U_FILE; "$(echo '$1'/odd/*)" $T_FILE' >/dev/null 2>&1 || true
            $0 export >/dev/null
            journalctl --sync 2>/dev/null || true
            journalctl --directory /run/log/journal -o json SYSLOG_IDENTIFIER=SECRET_OP
            kill $journal; wait $journal
            """
        )
        #expect(outcome.status == .exited(0), "\(outcome.errorText)")
        #expect(!outcome.outputText.contains(Self.secret))
        let entries = try outcome.outputText.split(separator: "\n").map {
            try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
        }
        func text(_ entry: [String: Any], _ field: String) -> String? {
            if let bytes = entry[field] as? [UInt8] { return String(decoding: bytes, as: UTF8.self) }
            return entry[field] as? String
        }
        func lines(_ fields: String...) -> [String] {
            entries.map { entry in fields.map { text(entry, $0) ?? "-" }.joined(separator: " ") }
        }
        let (open, operation) = ("9963fb5d16a940c3a17224ca219c6892", "56933c5476b94b29940a56b3fffd5cdf")
        let expected = [
            "job success - 6 \(operation)", "run success - 6 \(operation)", "open success T 6 \(open)",
            "alert success TRAP 2 d4493f362907462aa4058e0938d944f3", "open success TRAP 6 \(open)",
            "open denied U 4 dd4c7e44b2ad4568b73bbc9b0f0948bb", "open success T 6 \(open)",
            "run success - 6 \(operation)",
        ]
        let found = lines("CREDFS_OPERATION", "CREDFS_STATUS", "CREDFS_SECRET", "PRIORITY", "MESSAGE_ID")
        #expect(Array(found.dropLast()) == expected, "\(found)")
        let exported = try #require(entries.last)
        #expect(exported["CREDFS_OPERATION"] as? String == "export")
        #expect(Set(exported["CREDFS_SECRET"] as? [String] ?? []) == ["T", "U", "TRAP"])
        #expect(text(entries[0], "CREDFS_LABEL") == "team=red")
        #expect(text(entries[5], "CREDFS_REASON") == "policy: executables")
        #expect(text(entries[5], "CREDFS_EXECUTABLE")?.hasSuffix("/cat") == true)
        #expect(text(entries[5], "MESSAGE")?.hasPrefix("denied open U uid=0 pid=") == true)
        #expect(text(entries[6], "CREDFS_EXECUTABLE")?.hasSuffix("/odd/two\nlines") == true, "\(entries[6])")
        let mounts = Set(lines("CREDFS_MOUNT").dropLast())
        #expect(mounts.count == 1 && mounts != ["-"], "\(mounts)")
        try await box.sandbox.succeed("audit", "verify")
    }

    /// Binds a socket that nobody reads at first, and has a job refused so many times, then once more.
    private static let silent = """
        import os, re, socket, subprocess, sys, time
        program, directory, path = sys.argv[1:]
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        listener.bind(path)
        listener.setblocking(False)
        job = "for i in {1..600}; do read x <$U_FILE; done 2>/dev/null; touch D/done; until [ -e D/go ]; do sleep 0.02; done; read x <$U_FILE"
        start = time.monotonic()
        running = subprocess.Popen([program, "run", "--", "/bin/bash", "-c", job.replace("D/", directory + "/")],
            stderr=subprocess.PIPE, text=True)
        while not os.path.exists(directory + "/done"): time.sleep(0.02)
        print("seconds", time.monotonic() - start, file=sys.stderr)
        def drain():
            found = []
            while True:
                try: found.append(listener.recv(1 << 20).decode())
                except BlockingIOError: return found
        first = drain()
        open(directory + "/go", "w").close()
        errors = running.communicate()[1]
        second = drain()
        lost = next(text for text in second if "were not forwarded" in text or "was not forwarded" in text)
        count = int(re.search(r"(\\d+) entr(?:y was|ies were) not forwarded", lost).group(1))
        # The start of the run, the opens, the last one, the end.
        print(len(first) + count + len(second) - 1, errors.count("entries are not forwarded"), errors.count("credfs: warning"))
        """

    @Test(.enabled(if: isRoot, "makes a mount namespace"), arguments: ["journald", "syslog"])
    func aReceiverThatReadsNothingDelaysNobodyAndIsToldWhatItMissed(destination: String) async throws {
        let box = try await box(destination)
        let script = try box.sandbox.directory.write(Array(Self.silent.utf8), to: "silent.py")
        let path = destination == "syslog" ? "/dev/log" : "/run/systemd/journal/socket"
        let outcome = try await isolated(box, Self.ownDevices + "exec python3 \(script) $0 $1 \(path)")
        #expect(outcome.outputText == "603 1 1\n", "\(outcome.errorText)")
        try await box.sandbox.succeed("audit", "verify")
        let log = try await box.sandbox.succeed("audit", "show", "--secret", "U").outputText
        #expect(log.split(separator: "\n").count { $0.contains(" denied open U ") } == 601)
    }

    /// A /dev of its own, with what a job needs.
    private static let ownDevices = """
        mkdir $1/dev; mount --bind /dev $1/dev; mount -t tmpfs -o mode=755 dev /dev
        for name in null zero full random urandom fuse; do touch /dev/$name; mount --bind $1/dev/$name /dev/$name; done
        ln -s /proc/self/fd /dev/fd
        """ + "\n"

    @Test(.enabled(if: isRoot, "makes a mount namespace"))
    func theSystemLoggerGetsOneLineOfJSON() async throws {
        let box = try await box("syslog")
        let receiver = """
            import os, socket, subprocess, sys
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            listener.bind("/dev/log")
            subprocess.run([sys.argv[1], "run", "--", "/bin/bash", "-c", "cat $T_FILE $TRAP_FILE; cat $U_FILE"],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            listener.setblocking(False)
            while True:
                try: print(listener.recv(1 << 20).decode())
                except BlockingIOError: break
            """
        let script = try box.sandbox.directory.write(Array(receiver.utf8), to: "receive.py")
        let outcome = try await isolated(box, Self.ownDevices + "exec python3 \(script) $0")
        #expect(!outcome.outputText.contains(Self.secret))
        let lines = outcome.outputText.split(separator: "\n")
        #expect(lines.count == 6, "\(outcome.outputText) \(outcome.errorText)")
        let form = /<(8\d)>[A-Z][a-z]{2} [ 123]\d \d\d:\d\d:\d\d SECRET_OP\[\d+\]: (\{.*\})/
        let matches = try lines.map { try #require(try form.wholeMatch(in: $0), "\($0)") }
        #expect(matches.map { String($0.1) } == ["86", "86", "82", "86", "84", "86"])
        let denied = try #require(
            try JSONSerialization.jsonObject(with: Data(matches[4].2.utf8)) as? [String: Any]
        )
        #expect(denied["secret"] as? String == "U" && denied["status"] as? String == "denied")
    }

    @Test func standardErrorGetsALineForEachAndWaitsForNobody() async throws {
        let box = try await box("stderr")
        let outcome = try await box.run([], shell: "cat $T_FILE; cat $U_FILE 2>/dev/null")
        let lines = outcome.errorText.split(separator: "\n").filter {
            $0.hasPrefix("SECRET_OP: {") && $0.hasSuffix("}")
        }
        #expect(lines.count == 4, "\(outcome.errorText)")
        #expect(!outcome.errorText.contains(Self.secret))
        // Somebody holds the pipe and reads nothing: alerts, warnings and copies are lost, answers are not.
        let fifo = box.sandbox.directory.path("fifo")
        let stuck = """
            mkfifo \(fifo); exec 3<>\(fifo)
            dd if=/dev/zero of=\(fifo) oflag=nonblock bs=4096 2>/dev/null
            "$0" run -- /bin/bash -c 'for i in {1..50}; do cat $TRAP_FILE $T_FILE 2>/dev/null; done | wc -c' 2>\(fifo)
            """
        let start = ContinuousClock.now
        let silent = try await ChildProcess.run(
            "/bin/bash",
            ["-c", stuck, credfs],
            environment: box.environment,
            timeout: .seconds(120)
        )
        #expect(silent.outputText == "\(50 * 2 * Self.secret.utf8.count)\n", "\(silent.errorText)")
        #expect(ContinuousClock.now - start < .seconds(60))
    }

    @Test func aMountInTheBackgroundLeavesStandardErrorAlone() async throws {
        let box = try await box("stderr")
        // Would wait for the end of the output if the server kept it open.
        let outcome = try await ChildProcess.run(
            "/bin/bash",
            ["-c", "text=$(\"$0\" mount 2>&1 >/dev/null); echo \"$text\"", credfs],
            environment: box.environment
        )
        #expect(outcome.outputText.contains("forwarded to standard error no longer: see --foreground"))
        #expect(try await box.credfs("unmount", "--all").status == .exited(0))
    }

    @Test(.enabled(if: isRoot, "makes a mount namespace"))
    func aReceiverThatIsMissingIsSaidOnceAndStopsNothing() async throws {
        let box = try await box("journald")
        let outcome = try await isolated(box, "$0 run -- /bin/bash -c 'cat $T_FILE; cat $TRAP_FILE'")
        #expect(outcome.outputText == Self.secret + Self.secret)
        let said = outcome.lines("warning").filter {
            $0.contains("cannot reach the journal: no such file or directory")
        }
        #expect(said.count == 1, "\(outcome.errorText)")
    }

    @Test(.enabled(if: isRoot, "makes a mount namespace"))
    func withoutALogOpensAreForwardedAllTheSame() async throws {
        let box = try await box("journald")
        let receiver = """
            import socket, subprocess, sys
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            listener.bind("/run/systemd/journal/socket")
            job = subprocess.run([sys.argv[1], "run"] + sys.argv[2:] + ["--", "/bin/bash", "-c", "cat $T_FILE"])
            listener.setblocking(False)
            try:
                while True: print(listener.recv(1 << 20).decode().split("\\n")[0])
            except BlockingIOError: print(job.returncode)
            """
        let script = try box.sandbox.directory.write(Array(receiver.utf8), to: "receive.py")
        try FileManager.default.removeItem(atPath: box.sandbox.path("state/audit.key"))
        let outcome = try await isolated(box, "exec python3 \(script) $0")
        #expect(outcome.outputText.contains("MESSAGE=success open T "), "\(outcome.errorText)")
        #expect(outcome.outputText.hasSuffix("\n0\n"))
        let required = try await isolated(box, "exec python3 \(script) $0 --audit required")
        #expect(required.outputText.hasSuffix("\n125\n") && !required.outputText.contains("open T"))
    }

    @Test func lostEntriesAreCountedInTheMetrics() async throws {
        let box = try await box("stderr")
        let file = box.sandbox.directory.path("credfs.prom")
        let outcome = try await ChildProcess.run(
            "/bin/bash",
            ["-c", "\"$0\" run --metrics \(file) -- /bin/bash -c 'cat $T_FILE $TRAP_FILE' 2>/dev/full", credfs],
            environment: box.environment
        )
        #expect(outcome.outputText == Self.secret + Self.secret)
        let text = String(decoding: try Files.read(file), as: UTF8.self)
        let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("credfs_audit_forward_lost_total ") })
        #expect(line == "credfs_audit_forward_lost_total 4", "\(text)")
    }

    @Test func aConfigurationThatIsNotUnderstoodOrCanBeWrittenByOthersStopsEveryCommand() async throws {
        let box = try await JobBox(["T": "t"])
        let cases = [
            ("audit:\n  forwrad: none\n", "credfs.yaml: unknown key at line 2, column 3", "the keys here are forward"),
            ("audti: {}\n", "credfs.yaml: unknown key at line 1, column 1", "the keys here are audit"),
            ("audit: {forward: hunter2}\n", "credfs.yaml: unknown word at line 1", "journald, syslog, stderr, none"),
            ("audit: {forward: none, forward: none}\n", "duplicate key", nil),
            ("- audit\n", "a mapping is expected", nil),
            ("audit: &a {forward: none}\n", "anchor", nil), ("a: b: c\n", "credfs.yaml: ", nil),
            (String(repeating: "#\n", count: 40_000), "credfs.yaml", nil),
        ]
        for (text, message, hint) in cases {
            try configure(box, text)
            for command in [["list"], ["show", "T"], ["run", "--", "true"], ["verify"]] {
                let outcome = try await box.sandbox.run(command, adding: ["XDG_RUNTIME_DIR": box.runtime])
                outcome.expectRefusal(command[0] == "run" ? 125 : 17, message, hint: hint)
                #expect(!outcome.errorText.contains("hunter2"))
            }
        }
        try configure(box, "audit: {forward: hunter2}\n")
        let doctor = try await box.credfs("doctor")
        #expect(doctor.status == .exited(1) && doctor.outputText.contains("problem  configuration    "))
        for text in ["", "# audit:\n#   forward: journald\n\n", "{}\n", "audit: {}\n", "audit:\n  forward: \"none\"\n"]
        {
            try configure(box, text)
            #expect(try await box.credfs("list").status == .exited(0), "\(text)")
        }
        try Files.setMode(0o664, box.sandbox.path("credfs.yaml"))
        try await box.credfs("list").expectRefusal(14, "insecure permissions on", hint: "chmod 0644")
        try FileManager.default.removeItem(atPath: box.sandbox.path("credfs.yaml"))
        let elsewhere = try box.sandbox.directory.write(Array("audit: {}\n".utf8), to: "elsewhere.yaml")
        try FileManager.default.createSymbolicLink(
            atPath: box.sandbox.path("credfs.yaml"),
            withDestinationPath: elsewhere
        )
        try await box.credfs("list").expectRefusal(14, "is a symbolic link")
    }

    @Test func theFirstConfigurationCountsAndANamedOneHasToBeThere() async throws {
        let box = try await JobBox(["T": "t"])
        let manager = FileManager.default
        let user = box.sandbox.directory.path("home/.config/credfs")
        try manager.createDirectory(atPath: user, withIntermediateDirectories: true)
        let forward = Array("audit: {forward: stderr}\n".utf8)
        let none = Array("audit: {forward: none}\n".utf8)
        func forwards(_ arguments: String..., adding variables: [String: String] = [:]) async throws -> Bool {
            let outcome = try await box.sandbox.succeed(["list"] + arguments, adding: variables)
            return outcome.errorText.contains("SECRET_OP: ")
        }
        #expect(try await !forwards())
        try box.sandbox.directory.write(forward, to: "home/.config/credfs/credfs.yaml")
        #expect(try await forwards())
        try box.sandbox.directory.write(none, to: "store/credfs.yaml")
        #expect(try await !forwards())
        let named = try box.sandbox.directory.write(forward, to: "named.yaml")
        let other = try box.sandbox.directory.write(none, to: "other.yaml")
        #expect(try await forwards("--config", named))
        #expect(try await forwards(adding: ["CREDFS_CONFIG": named]))
        #expect(try await !forwards("--config", other, adding: ["CREDFS_CONFIG": named]))
        #expect(try await !forwards(adding: ["CREDFS_CONFIG": ""]))
        try await box.sandbox.run("list", "--config", "/nonexistent/c.yaml").expectRefusal(
            1,
            "cannot open /nonexistent/c.yaml"
        )
    }
}
