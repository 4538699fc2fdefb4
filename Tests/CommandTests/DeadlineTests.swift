// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

/// Opens that wait for a log or a digest: each has its answer in time, and nobody waits for another's.
@Suite(.serialized, .timeLimit(.minutes(20)))
struct DeadlineTests {
    /// A program that runs from a file system which answers nobody any more still is who it is.
    @Test(.enabled(if: isRoot, "mounts")) func whoRunsFromAFileSystemThatHangsIsNotWaitedFor() async throws {
        let box = try await JobBox(["T": "t"])
        let (source, place) = (try box.makeDirectory("source"), try box.makeDirectory("place"))
        // Small, so that all of it is in memory once it runs.
        _ = try await ChildProcess.run("/bin/cp", ["/bin/dash", "\(source)/reader"])
        let script = """
            set -eu
            bindfs -f -o attr_timeout=0,entry_timeout=0 \(source) \(place) & server=$!
            end() { kill -CONT $server; umount -l \(place); wait $server || true; }
            trap end EXIT
            until mountpoint -q \(place); do kill -0 $server; sleep 0.02; done
            mkfifo \(source)/go
            \(place)/reader -c 'read -r go; read -r x <"$T_FILE" || true; echo "$x"' <\(source)/go & reader=$!
            exec 5>\(source)/go
            cat \(place)/reader >/dev/null
            sleep 0.3
            kill -STOP $server
            echo >&5
            # A stat that asked its server would wait for ever.
            for i in $(seq 300); do kill -0 $reader 2>/dev/null || { wait $reader; exit; }; sleep 0.05; done
            echo hangs
            """
        let outcome = try await box.run(["--shared"], shell: script)
        #expect(outcome.outputText == "t\n", "\(outcome.errorText)")
        let seen = try await box.credfs("audit", "show", "--json").outputText
        #expect(seen.contains("/place/reader"))
        try box.expectNothingLeft()
    }

    /// Opens from many threads at once; prints the number of each outcome and, as an error, the longest time.
    private static let openers = """
        import collections, errno, os, sys, threading, time
        def attempt(path, results, times):
            start = time.monotonic()
            try: os.close(os.open(path, os.O_RDONLY)); results.append("opened")
            except OSError as error: results.append(errno.errorcode[error.errno])
            times.append(time.monotonic() - start)
        def attempts(paths):
            results, times = [], []
            threads = [threading.Thread(target=attempt, args=(path, results, times)) for path in paths]
            [thread.start() for thread in threads]
            [thread.join() for thread in threads]
            print(sorted(collections.Counter(results).items()), max(times) < float(sys.argv[1]))
            print(max(times), file=sys.stderr)

        """

    private func program(_ box: JobBox, _ text: String) throws -> String {
        try box.sandbox.directory.write(Array((Self.openers + text).utf8), to: "openers.py")
    }

    /// Many secrets, so that no open is the repeat of another.
    private func box() async throws -> JobBox {
        try await JobBox(Dictionary(uniqueKeysWithValues: (0..<20).map { ("S\($0)", "v") }))
    }

    /// Every open has the answer of the rule in time, and why is said once.
    private func expect(
        _ outcome: ChildProcess.Outcome,
        of box: JobBox,
        _ rule: String,
        saying reason: String,
        at location: SourceLocation = #_sourceLocation
    ) async throws {
        let result = rule == "default" ? "opened" : "EIO"
        #expect(
            outcome.outputText == "[('\(result)', 20)] True\n",
            "\(outcome.errorText)",
            sourceLocation: location
        )
        let said = outcome.lines("warning").filter { $0.hasSuffix(reason) }
        #expect(said.count == 1, "\(outcome.errorText)", sourceLocation: location)
        try await box.sandbox.succeed("audit", "verify", at: location)
    }

    @Test(arguments: ["default", "required"])
    func aLogThatSomebodyKeepsLockedDelaysAnOpenByAQuarterOfASecond(rule: String) async throws {
        let box = try await box()
        let directory = "os.environ['CREDENTIALS_DIRECTORY']"
        let script = try program(
            box,
            """
            import fcntl
            lock = open(sys.argv[2], "a")
            fcntl.flock(lock, fcntl.LOCK_EX)
            attempts([\(directory) + "/S%d" % number for number in range(20)])
            """
        )
        let lock = box.sandbox.path("state/audit.lock")
        let outcome = try await box.run(
            ["--audit", rule, "--keep-store"],
            shell: "exec /usr/bin/python3 \(script) 2 \(lock)"
        )
        try await expect(outcome, of: box, rule, saying: "another process keeps the audit log locked")
    }

    @Test(.enabled(if: isRoot, "freezes a file system"), arguments: ["default", "required"])
    func aDiskThatHangsDelaysAnOpenByTheDeadline(rule: String) async throws {
        let box = try await box()
        let state = try Snapshot(box.sandbox.path("state"))
        let path = box.sandbox.path("state")
        let made = try await ChildProcess.run(
            "/bin/sh",
            [
                "-ec",
                "truncate -s 16M \(path).image; mkfs.ext4 -q \(path).image; mount -o loop \(path).image \(path); chmod 700 \(path)",
            ],
            environment: ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin"]
        )
        try #require(made.status == .exited(0), "\(made.errorText)")
        defer { unsafe umount2(path, Int32(MNT_DETACH)) }
        for (name, entry) in state.entries { try box.sandbox.directory.write(entry.bytes, to: "store/state/\(name)") }
        let directory = "os.environ['CREDENTIALS_DIRECTORY']"
        let script = try program(
            box,
            """
            import subprocess
            # Whatever becomes of this process, what waits for the disk goes on.
            guard = subprocess.Popen(["/bin/sh", "-c", "sleep 30; fsfreeze --unfreeze $0 2>/dev/null", sys.argv[2]], start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            subprocess.run(["fsfreeze", "--freeze", sys.argv[2]], check=True)
            try: attempts([\(directory) + "/S%d" % number for number in range(20)])
            finally:
                subprocess.run(["fsfreeze", "--unfreeze", sys.argv[2]], check=True)
                os.killpg(guard.pid, 9)
                guard.wait()
            """
        )
        let outcome = try await box.run(
            ["--audit", rule, "--keep-store"],
            shell: "PATH=$PATH:/usr/sbin exec /usr/bin/python3 \(script) 12 \(path)"
        )
        try await expect(outcome, of: box, rule, saying: "the disk of the audit log does not answer")
    }

    @Test(.enabled(if: isRoot, "mounts a tmpfs"))
    func largeExecutablesDelayNobodyElseAndThemselvesByTheDeadline() async throws {
        let box = try await JobBox(["SUM": "s", "FREE": "f"])
        try await box.sandbox.succeed("policy", "set", "SUM", "--allow-exe-sha256", "/bin/busybox")
        let programs = box.sandbox.directory.path("programs")
        let script = try program(
            box,
            """
            import subprocess
            directory = sys.argv[2]
            file = os.environ["SUM_FILE"]
            def run(program, times):
                start = time.monotonic()
                result = subprocess.run([program, "cat", file], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={"LC_ALL": "C"})
                results.append((result.stdout or result.stderr.split(b": ")[-1]).decode().strip())
                times.append(time.monotonic() - start)
            results, times = [], []
            run(directory + "/busybox-huge", times)
            run("/bin/busybox", times)
            print(results, max(times) < 3)
            results, times = [], []
            threads = [threading.Thread(target=run, args=("%s/busybox%d" % (directory, number), times)) for number in range(60)]
            [thread.start() for thread in threads]
            longest, count = 0, 0
            while any(thread.is_alive() for thread in threads):
                start = time.monotonic()
                open(os.environ["FREE_FILE"]).read()
                longest, count = max(longest, time.monotonic() - start), count + 1
                time.sleep(0.05)
            print(collections.Counter(results), max(times) < float(sys.argv[1]), longest < 2, count > 10)
            print(max(times), longest, file=sys.stderr)
            """
        )
        let make = """
            mkdir \(programs); mount -t tmpfs programs \(programs)
            for number in {0..59} -huge; do cp /bin/busybox \(programs)/busybox$number; done
            truncate -s 500M \(programs)/busybox[0-9]*; truncate -s 2G \(programs)/busybox-huge
            exec /usr/bin/python3 \(script) 12 \(programs)
            """
        let outcome = try await box.run([], shell: make)
        let expected = """
            ['Permission denied', 's'] True
            Counter({'Permission denied': 60}) True True True

            """
        #expect(outcome.outputText == expected, "\(outcome.errorText)")
        try await box.sandbox.succeed("audit", "verify")
    }
}
