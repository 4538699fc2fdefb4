// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

/// Real processes on both ends: what systemd does when it starts a unit with LoadCredential=, and the program that it starts
/// for that.
@Suite(.timeLimit(.minutes(20))) struct ServeCredentialsTests {
    /// The side of systemd: listens, hands the socket over when somebody connects, and asks as its executor does.
    ///
    /// Each argument is a name to be bound to, without its zero byte and its random number; `USER|NAME` asks as another user.
    private static let manager = """
        import os, socket, subprocess, sys
        program, path, options, *calls = sys.argv[1:]
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(path)
        os.chmod(path, 0o666)
        listener.listen(8)
        def start():
            os.dup2(listener.fileno(), 3, inheritable=True)
            script = os.environ.pop("BEFORE", "") + 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" serve-credentials "$@"'
            return subprocess.Popen(["/bin/sh", "-c", script, program] + options.split(), close_fds=True, pass_fds=[3])
        def ask(call):
            user, _, name = call.rpartition("|")
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    if user: os.setresuid(*[int(user)] * 3)
                    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                    if name: client.bind(b"\\0" + os.urandom(8).hex().encode() + name.encode())
                    client.connect(path)
                    client.shutdown(socket.SHUT_WR)
                    value = b""
                    while part := client.recv(4096): value += part
                    sys.stdout.write(repr(value.decode()[:40]) + " " + str(len(value)) + "\\n")
                    sys.stdout.flush()
                    status = 0
                finally: os._exit(status)
            assert os.waitpid(child, 0)[1] == 0
        server = start()
        for call in calls: ask(call)
        if "--idle" not in options: server.terminate()
        print(server.wait(60))
        """

    /// Asks one after the other; in a control group namespace of its own, so that no unit of the tester counts.
    private func ask(
        _ box: JobBox,
        _ calls: [String],
        options: String = "",
        adding variables: [String: String] = [:]
    ) async throws -> ChildProcess.Outcome {
        let arguments = ["python3", "-I", "-c", Self.manager, credfs, box.sandbox.directory.path("socket"), options]
        try? FileManager.default.removeItem(atPath: box.sandbox.directory.path("socket"))
        return try await ChildProcess.run(
            "/usr/bin/env",
            (isRoot ? ["unshare", "--cgroup"] : []) + arguments + calls,
            environment: box.environment.merging(variables) { $1 }
        )
    }

    private func opens(_ box: JobBox) throws -> [[String: Any]] {
        let log = String(decoding: try box.sandbox.directory.read("store/state/audit.log"), as: UTF8.self)
        return try log.split(separator: "\n").compactMap {
            try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any]
        }.filter { $0["operation"] as? String == "open" || $0["operation"] as? String == "alert" }
    }

    @Test func aSourceThatNeedsAProcessIsRefusedAtTheStart() async throws {
        let box = try await JobBox(["A": "a"])
        for source in ["exec:/bin/true?names=A", "vault:secret/app", "json:/tmp/a.json", "sops:/tmp/a.yaml"] {
            let outcome = try await box.credfs("serve-credentials", "--source", source)
            #expect(outcome.status == .exited(64), "\(source)")
            #expect(outcome.errorText.contains("a process of its own"), "\(outcome.errorText)")
        }
    }

    @Test func theManagerGetsWhatItAsksForAndEachAnswerIsRecorded() async throws {
        let box = try await JobBox(["TOKEN": "a value\n", "db password": "spaced"])
        let outcome = try await ask(
            box,
            ["/unit/web.service/TOKEN", "/unit/getty@tty1.service/db password", "/unit/web.service/NONE"]
        )
        #expect(outcome.outputText == "'a value\\n' 8\n'spaced' 6\n'' 0\n0\n", "\(outcome.errorText)")
        let entries = try opens(box)
        #expect(entries.map { $0["secret"] as? String } == ["TOKEN", "db password", "NONE"])
        #expect(entries.map { $0["status"] as? String } == ["success", "success", "failed"])
        #expect(entries.map { $0["unit"] as? String } == ["web.service", "getty@tty1.service", "web.service"])
        #expect(entries.allSatisfy { $0["uid"] as? Int == Int(geteuid()) && ($0["pid"] as? Int ?? 0) > 0 })
        #expect(try await box.credfs("audit", "verify").status == .exited(0))
    }

    @Test func aPolicyOnUnitsIsAppliedAndWhatCannotBeMetRefuses() async throws {
        let box = try await JobBox([
            "UNIT": "u", "OTHER": "o", "PROGRAM": "p", "ONCE": "1", "TIME": "t", "DECOY": "d", "FREE": "f",
        ])
        let sandbox = box.sandbox
        try await sandbox.succeed("policy", "set", "UNIT", "--allow-unit", "web.service")
        try await sandbox.succeed("policy", "set", "OTHER", "--allow-unit", "db.service")
        try await sandbox.succeed("policy", "set", "PROGRAM", "--allow-exe", "/bin/true")
        try await sandbox.succeed("policy", "set", "ONCE", "--max-reads", "1")
        try await sandbox.succeed("policy", "set", "TIME", "--not-after", "2020-01-01T00:00:00Z")
        try await sandbox.succeed("policy", "set", "DECOY", "--decoy")
        let names = ["UNIT", "OTHER", "PROGRAM", "ONCE", "TIME", "DECOY", "FREE"]
        let outcome = try await ask(box, names.map { "/unit/web.service/\($0)" })
        let answers = "'u' 1\n'' 0\n'' 0\n'' 0\n'' 0\n'd' 1\n'f' 1\n0\n"
        #expect(outcome.outputText == answers, "\(outcome.errorText)")
        let reasons = try opens(box).map { $0["reason"] as? String ?? "" }
        #expect(
            reasons == [
                "credential of web.service", "policy: units", "policy: executables", "policy: max_reads",
                "policy: not_after", "decoy opened", "credential of web.service", "credential of web.service",
            ]
        )
        #expect(outcome.errorText.contains("OTHER of web.service: policy: units"))
    }

    @Test(.enabled(if: isRoot, "takes two users")) func whoeverIsNotTheManagerGetsNothing() async throws {
        let box = try await JobBox(["TOKEN": "t"])
        try Files.setMode(0o711, box.sandbox.directory.path)
        let calls = [
            "\(stranger)|/unit/web.service/TOKEN", "", "/unit/web.service/", "/unit/web.service/a:b", "/unit//TOKEN",
            "/unit/web.service/TOKEN/x", "/user/web.service/TOKEN", "/unit/web service/TOKEN", "/unit/web.service/..",
            "/unit/web.service/TOKEN",
        ]
        let outcome = try await ask(box, calls)
        let nothing = String(repeating: "'' 0\n", count: calls.count - 1)
        #expect(outcome.outputText == nothing + "'t' 1\n0\n", "\(outcome.errorText)")
        let entries = try opens(box)
        #expect(entries.count == calls.count)
        #expect(entries.dropLast().allSatisfy { $0["status"] as? String == "denied" })
        #expect(entries.first?["reason"] as? String == "the caller is not the service manager")
        #expect(entries.first?["uid"] as? Int == 65534)
        #expect(entries[1]["reason"] as? String == "the caller names no credential of a unit")
    }

    /// Root can bind any name, and the kernel says where it is.
    @Test(.enabled(if: isRoot, "makes control groups")) func aCallerInAnotherUnitGetsNothing() async throws {
        let box = try await JobBox(["TOKEN": "t"])
        let script = """
            set -e
            umount --recursive /sys/fs/cgroup 2>/dev/null || true; mount -t cgroup2 none /sys/fs/cgroup
            group=/sys/fs/cgroup/web-$$.service
            mkdir $group
            trap 'echo $$ >/sys/fs/cgroup/cgroup.procs; sleep 0.1; rmdir $group' EXIT
            echo $$ >$group/cgroup.procs
            python3 -I -c "$1" "$2" "$3" "" "/unit/db.service/TOKEN" "/unit/web-$$.service/TOKEN"
            """
        let outcome = try await ChildProcess.run(
            "/usr/bin/unshare",
            [
                "--mount", "--propagation", "private", "/bin/bash", "-c", script, "bash", Self.manager, credfs,
                box.sandbox.directory.path("socket"),
            ],
            environment: box.environment
        )
        #expect(outcome.outputText == "'' 0\n't' 1\n0\n", "\(outcome.errorText)")
        let reason = try opens(box).first?["reason"] as? String ?? ""
        #expect(reason.hasPrefix("the caller belongs to web-") && reason.hasSuffix(", not to db.service"), "\(reason)")
    }

    @Test func aRejectedStoreAnswersNothingAndIsReadAgainForTheNext() async throws {
        let box = try await JobBox(["TOKEN": "t"])
        let manifest = try box.sandbox.manifest()
        try box.sandbox.replaceManifest(manifest.replacing("TOKEN:", with: "NEKOT:").utf8)
        let rejected = try await ask(box, ["/unit/web.service/TOKEN"])
        #expect(rejected.outputText == "'' 0\n0\n", "\(rejected.errorText)")
        #expect(try opens(box).last?["status"] as? String == "failed")
        try box.sandbox.replaceManifest(manifest.utf8)
        #expect(try await ask(box, ["/unit/web.service/TOKEN"]).outputText == "'t' 1\n0\n")
    }

    @Test func aLargeValueArrivesWholeAndARenderedOneToo() async throws {
        let box = try await JobBox(["BIG": String(repeating: "0123456789abcdef", count: 60_000), "PASS": "p\"w"])
        let template = """
            secrets:
              PGPASS:
                template: "user:{{ PASS }}"
            """
        try await box.sandbox.succeed("encrypt", try box.sandbox.directory.write(template.utf8, to: "t.yaml"))
        let outcome = try await ask(box, ["/unit/web.service/BIG", "/unit/web.service/PGPASS"])
        #expect(
            outcome.outputText == "'0123456789abcdef0123456789abcdef01234567' 960000\n'user:p\"w' 8\n0\n",
            "\(outcome.errorText)"
        )
        #expect(try opens(box).last?["secrets"] as? [String] == ["PASS"])
    }

    @Test func itEndsWhenNobodyAsksAndIsOnlyForASocket() async throws {
        let box = try await JobBox(["TOKEN": "t"])
        let outcome = try await ask(box, ["/unit/web.service/TOKEN"], options: "--idle 50ms")
        #expect(outcome.outputText == "'t' 1\n0\n", "\(outcome.errorText)")
        try await box.credfs("serve-credentials").expectRefusal(64, "there is no socket", hint: "credfs.socket")
        let wrong = try await ChildProcess.run(
            "/bin/sh",
            ["-c", "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" serve-credentials 3</dev/null", credfs],
            environment: box.environment
        )
        wrong.expectRefusal(64, "there is no socket")
        try await box.credfs("serve-credentials", "--key-fd", "3").expectRefusal(64, "name a file")
    }

    /// What must be recorded is not given out where it cannot be.
    @Test func withoutALogNothingIsGivenWhereOneIsRequired() async throws {
        let box = try await JobBox(["TOKEN": "t"])
        // As a disk that is full, for whatever is written.
        let full = ["BEFORE": "ulimit -f 0; "]
        let required = try await ask(
            box,
            ["/unit/web.service/TOKEN"],
            adding: full.merging(["CREDFS_AUDIT": "required"]) { $1 }
        )
        #expect(required.outputText == "'' 0\n0\n", "\(required.errorText)")
        let usual = try await ask(box, ["/unit/web.service/TOKEN"], adding: full)
        #expect(usual.outputText == "'t' 1\n0\n", "\(usual.errorText)")
        #expect(try opens(box).isEmpty)
    }
}
