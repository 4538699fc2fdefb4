// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

extension RunTests {
    @Suite(.timeLimit(.minutes(20))) struct Control {
        @Test func aReloadIsSeenByReadersWhenItReturns() async throws {
            let box = try await JobBox(["OLD": "o", "T": "first value"])
            let mount = try await box.mount()
            let file = unsafe open("\(mount.path)/T", O_RDONLY)
            defer { close(file) }
            for round in 1...20 {
                #expect(try size("\(mount.path)/T") > 0)
                let value = String(repeating: "v", count: 20 + round)
                try await box.sandbox.succeed("set", "T", input: Array(value.utf8))
                let reload = try await box.credfs("reload", round % 2 == 0 ? mount.path : "--quiet")
                #expect(reload.status == .exited(0), "\(reload.errorText)")
                #expect(try size("\(mount.path)/T") == value.utf8.count)
                #expect(try Files.read("\(mount.path)/T") == Array(value.utf8))
            }
            var bytes = [UInt8](repeating: 0, count: 40)
            unsafe #expect(pread(file, &bytes, bytes.count, 0) == 11)
            let generation = try box.sandbox.generation()
            #expect(try await box.credfs("status", "--json").outputText.contains("\"generation\" : \(generation),"))
            try await box.unmountAll()
        }

        @Test(arguments: [[], ["--shared"]]) func aJobSeesWhatAReloadBrings(_ options: [String]) async throws {
            let box = try await JobBox(["OLD": "o", "T": "first"])
            let go = box.sandbox.directory.path("go")
            let out = box.sandbox.directory.path("out")
            let job = try await box.start(
                options,
                shell: """
                    cd $CREDENTIALS_DIRECTORY; exec 5<T; stat -c %s T; echo $$ >$READY
                    until [ -e \(go) ]; do sleep 0.01; done
                    { stat -c %s T; cat T NEW <&5 T; cat <&5; ls; } >\(out); echo done >>\(out)
                    """
            )
            try await box.sandbox.succeed("set", "T", input: Array("second, longer".utf8))
            try await box.sandbox.succeed("set", "NEW", input: Array("n".utf8))
            try await box.sandbox.succeed("delete", "OLD", "-y")
            let reload = try await box.credfs("reload", try await box.id())
            #expect(reload.status == .exited(0), "\(reload.errorText)")
            try box.sandbox.directory.write([], to: "go")
            #expect(try await job.credfs.end().status == .exited(0))
            let text = String(decoding: try Files.read(out), as: UTF8.self)
            #expect(text == "14\nsecond, longernsecond, longerfirstNEW\nT\ndone\n")
            try await box.expectAudited("reloaded")
            try box.expectNothingLeft()
        }

        @Test func aManifestThatIsNotAcceptedChangesNothingAndSaysWhy() async throws {
            let box = try await JobBox(["T": "t"])
            let mount = try await box.mount()
            let manifest = try box.sandbox.manifest()
            try box.sandbox.replaceManifest(manifest.replacing("generation: ", with: "generation: 1").utf8)
            try await box.credfs("reload").expectRefusal(15, "signature")
            try box.sandbox.replaceManifest("secrets: [".utf8)
            try await box.credfs("reload").expectRefusal(17, "schema")
            try FileManager.default.removeItem(atPath: box.sandbox.path("secrets.yaml"))
            try await box.credfs("reload").expectRefusal(18)
            #expect(try Files.read("\(mount.path)/T") == Array("t".utf8))
            try box.sandbox.replaceManifest(manifest.utf8)
            try Files.setMode(0o600, box.sandbox.path("secrets.yaml"))
            #expect(try await box.credfs("reload").status == .exited(0))
            try await box.expectAudited("not reloaded: signature")
            try await box.unmountAll()
        }

        /// Whoever can write to its directory could put a store there that he has the key of.
        @Test func anotherStoreInItsPlaceIsNotServed() async throws {
            let box = try await JobBox(["T": "t"])
            let other = try await Sandbox(["T": "other"])
            let mount = try await box.mount()
            let (store, kept) = (box.sandbox.path(""), box.sandbox.directory.path("kept"))
            try FileManager.default.moveItem(atPath: store, toPath: kept)
            try FileManager.default.copyItem(atPath: other.path(""), toPath: store)
            try await box.credfs("reload").expectRefusal(15, "another store")
            #expect(try Files.read("\(mount.path)/T") == Array("t".utf8))
            try FileManager.default.removeItem(atPath: store)
            try FileManager.default.moveItem(atPath: kept, toPath: store)
            #expect(try await box.credfs("reload").status == .exited(0))
            try await box.unmountAll()
        }

        /// What shows secrets no longer works whatever the configuration says.
        @Test func aWrongConfigurationKeepsNobodyFromLocking() async throws {
            let box = try await JobBox(["T": "t"])
            let mount = try await box.mount()
            try box.sandbox.directory.write(Array("nonsense: true\n".utf8), to: "store/credfs.yaml")
            try await box.credfs("reload").expectRefusal(17, "unknown key")
            let locked = try await box.credfs("lock")
            #expect(locked.status == .exited(0) && locked.lines("warning").count == 1, "\(locked.errorText)")
            #expect(throws: (any Error).self) { try Files.read("\(mount.path)/T") }
            let unmounted = try await box.credfs("unmount", "--all")
            #expect(unmounted.status == .exited(0) && unmounted.lines("warning").count == 1, "\(unmounted.errorText)")
            try box.expectNothingLeft()
        }

        /// What it cannot look at is not what a dead server left.
        @Test(arguments: 4...12) func aCommandWithoutDescriptorsTakesNoServerItsSocket(_ limit: Int) async throws {
            let box = try await JobBox(["T": "t"])
            _ = try await box.mount()
            _ = try await ChildProcess.run(
                "/bin/sh",
                ["-c", "ulimit -n \(limit); exec \(CommandTests.credfs) status"],
                environment: box.environment
            )
            let reload = try await box.credfs("reload")
            #expect(reload.status == .exited(0), "\(reload.errorText)")
            try await box.unmountAll()
        }

        /// Nobody waits for a server that cannot answer.
        @Test func aServerThatIsStoppedIsSaidToBe() async throws {
            let box = try await JobBox(["T": "t"])
            let mount = try await box.mount()
            kill(mount.process, SIGSTOP)
            for command in ["reload", "lock"] {
                let started = ContinuousClock.now
                try await box.credfs(command).expectRefusal(19, "is stopped", hint: "kill -CONT \(mount.process)")
                // Where it is not seen the answer is waited for a minute.
                #expect(ContinuousClock.now - started < .seconds(50))
            }
            kill(mount.process, SIGCONT)
            // What was given up is not done later.
            #expect(try await box.credfs("unlock").errorText.contains("is not locked"))
            #expect(try Files.read("\(mount.path)/T") == Array("t".utf8))
            let name = try Files.read("/proc/\(mount.process)/comm")
            #expect(String(decoding: name, as: UTF8.self) == "credfs\n")
            try await box.unmountAll()
        }

        @Test func aMountIsFoundByItsDirectoryOrIdentifier() async throws {
            let box = try await JobBox(["T": "t"])
            try await box.credfs("reload").expectRefusal(10, "nothing is mounted")
            let first = try await box.mount()
            let second = try await box.mount(try box.makeDirectory("place"))
            try await box.credfs("reload").expectRefusal(64, "2 mounts are live")
            try await box.credfs("reload", "/").expectRefusal(10, "nothing of credfs is mounted at /")
            #expect(try await box.credfs("reload", second.path + "/").status == .exited(0))
            let id = try #require(first.path.split(separator: "/").last)
            #expect(try await box.credfs("reload", String(id)).status == .exited(0))
            try await box.unmountAll()
        }

        @Test(arguments: [["--backend", "shm"], ["--backend", "ramfs"]])
        func plainFilesSayThatTheyCannotChange(_ options: [String]) async throws {
            let box = try await JobBox(["T": "t"])
            let job = try await box.start(options, shell: "echo $$ >$READY; exec sleep 20")
            try await box.credfs("reload").expectRefusal(10, "cannot change")
            kill(job.credfs.id, SIGTERM)
            _ = try await job.credfs.end()
            try box.expectNothingLeft()
        }

        /// It is of the same user, and sees the sockets of all.
        @Test func aJobDoesNotControlItsOwnMount() async throws {
            let box = try await JobBox(["T": "t"])
            let outcome = try await box.run(
                [],
                shell:
                    "for way in '' 'setsid -w'; do $way \(credfs) reload; echo $?; done; (setsid \(credfs) reload; echo $?) & wait"
            )
            #expect(outcome.outputText == "21\n21\n21\n", "\(outcome.errorText)")
            #expect(outcome.errorText.contains("a job does not control its own mount"))
            // Its own inner mount belongs to it.
            let inner = try await box.run(
                ["--keep-store"],
                shell: "p=$(\(credfs) mount) && \(credfs) reload $p; echo $?; \(credfs) unmount $p"
            )
            #expect(inner.outputText == "0\n", "\(inner.errorText)")
            try box.expectNothingLeft()
        }

        @Test(.enabled(if: isRoot)) func anotherUserReachesNoSocket() async throws {
            let box = try await JobBox(["T": "t"])
            let mount = try await box.mount()
            // Whoever is let through by mistake is asked who it is.
            for path in [
                box.sandbox.directory.path, box.runtime, "\(box.runtime)/credfs", "\(box.runtime)/credfs/control",
            ] {
                try Files.setMode(0o755, path)
            }
            let id = try #require(mount.path.split(separator: "/").last)
            let socket = "\(box.runtime)/credfs/control/\(id)"
            #expect(try Files.mode(socket) == 0o600)
            let program = """
                import socket, sys
                client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                try:
                    client.connect(sys.argv[1])
                    client.send(b'{"request":"reload"}')
                    print(client.recv(4096).decode())
                except OSError as error:
                    print(error.errno)
                """
            func ask() async throws -> String {
                let arguments = ["--reuid", stranger, "--regid", stranger, "--clear-groups", "--"]
                return try await ChildProcess.run(
                    "/usr/bin/setpriv",
                    arguments + ["/usr/bin/python3", "-I", "-c", program, socket]
                ).outputText
            }
            #expect(try await ask() == "13\n")
            try Files.setMode(0o666, socket)
            let answer = try await ask()
            #expect(answer.contains("only its owner and root") && answer.contains("21"))
            // And a directory that others can use is used by nobody.
            try await box.credfs("reload").expectRefusal(10, "others can use it")
            for path in [box.runtime, "\(box.runtime)/credfs", "\(box.runtime)/credfs/control"] {
                try Files.setMode(0o700, path)
            }
            #expect(try await box.credfs("reload").status == .exited(0))
            try await box.unmountAll()
        }

        @Test(.enabled(if: isRoot)) func aSquattedDirectoryIsRefused() async throws {
            let box = try await JobBox(["T": "t"])
            let runtime = "\(box.runtime)/credfs"
            try FileManager.default.createDirectory(atPath: runtime, withIntermediateDirectories: false)
            try Files.setMode(0o700, runtime)
            let elsewhere = try box.makeDirectory("elsewhere")
            try #require(unsafe symlink(elsewhere, "\(runtime)/control") == 0)
            try await box.credfs("mount").expectRefusal(10)
            try await box.credfs("run", "--", "true").expectRefusal(125)
            try FileManager.default.removeItem(atPath: "\(runtime)/control")
            try FileManager.default.createDirectory(atPath: "\(runtime)/control", withIntermediateDirectories: false)
            try Files.setMode(0o700, "\(runtime)/control")
            try #require(unsafe chown("\(runtime)/control", 65534, 65534) == 0)
            try await box.credfs("mount").expectRefusal(10, "owned by uid 65534")
            #expect(try FileManager.default.contentsOfDirectory(atPath: elsewhere).isEmpty)
            // The last one out has removed it, empty as it was.
            #expect(!Files.exists(runtime))
            _ = try await box.mount()
            try await box.unmountAll()
        }

        @Test func nonsenseOnTheSocketStopsNothing() async throws {
            let box = try await JobBox(["T": "t"])
            let mount = try await box.mount()
            let id = try #require(mount.path.split(separator: "/").last)
            let program = """
                import os, socket, sys
                def connect():
                    client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                    client.connect(sys.argv[1])
                    return client
                silent = connect()
                sent = 0
                while sent < 1 << 20:
                    client = connect()
                    try:
                        while sent < 1 << 20: sent += client.send(os.urandom(65536))
                    except OSError: pass
                for _ in range(3): silent = connect()
                """
            let outcome = try await ChildProcess.run(
                "/usr/bin/python3",
                ["-I", "-c", program, "\(box.runtime)/credfs/control/\(id)"]
            )
            #expect(outcome.status == .exited(0), "\(outcome.errorText)")
            #expect(try Files.read("\(mount.path)/T") == Array("t".utf8))
            #expect(try await box.credfs("reload").status == .exited(0))
            try await box.unmountAll()
        }

        @Test func aKilledServerLeavesNothingThatBlocksTheNext() async throws {
            let box = try await JobBox(["T": "t"])
            let directory = try box.makeDirectory("place")
            let mount = try await box.mount(directory)
            kill(mount.process, SIGKILL)
            try await Eventually.holds("its end") { !ProcessState.isAlive(mount.process) }
            #expect(try FileManager.default.contentsOfDirectory(atPath: "\(box.runtime)/credfs/control").count == 1)
            let again = try await box.mount(directory)
            #expect(try await box.credfs("reload").status == .exited(0))
            kill(again.process, SIGSTOP)
            defer { kill(again.process, SIGCONT) }
            #expect(try await box.credfs("unmount", "--all").status == .exited(0))
            #expect(try await box.credfs("status").status == .exited(0))
            try box.expectNothingLeft()
        }

        @Test func aLockedMountRefusesEveryReadUntilItIsUnlocked() async throws {
            let box = try await JobBox(["T": "first"])
            let mount = try await box.mount()
            let file = unsafe open("\(mount.path)/T", O_RDONLY)
            defer { close(file) }
            let locked = try await box.credfs("lock", mount.path)
            #expect(locked.status == .exited(0), "\(locked.errorText)")
            #expect(unsafe open("\(mount.path)/T", O_RDONLY) == -1 && errno == EACCES)
            var byte: UInt8 = 0
            #expect(unsafe pread(file, &byte, 1, 0) == -1 && errno == EACCES)
            #expect(try FileManager.default.contentsOfDirectory(atPath: mount.path) == ["T"])
            #expect(try await box.credfs("status").outputText.contains("  locked  "))
            #expect(try await box.credfs("status", "--json").outputText.contains("\"locked\" : true"))
            // The key lies beside the store, and is not taken without being asked for.
            try await box.credfs("reload").expectRefusal(21, "is locked", hint: "credfs unlock")
            kill(mount.process, SIGHUP)
            try await box.sandbox.succeed("set", "T", input: Array("second".utf8))
            #expect(try await box.credfs("lock").status == .exited(0))
            #expect(unsafe open("\(mount.path)/T", O_RDONLY) == -1 && errno == EACCES)
            let unlocked = try await box.credfs("unlock")
            #expect(unlocked.status == .exited(0), "\(unlocked.errorText)")
            #expect(try Files.read("\(mount.path)/T") == Array("second".utf8))
            #expect(unsafe pread(file, &byte, 1, 0) == -1 && errno == EACCES)
            #expect(try await box.credfs("unlock").errorText.contains("is not locked"))
            #expect(try await box.credfs("lock").status == .exited(0))
            #expect(try await box.credfs("unlock").status == .exited(0))
            for text in ["locked", "unlocked", "permission denied"] {
                try await box.expectAudited(text)
            }
            try await box.unmountAll()
        }

        @Test func aJobIsLockedAndUnlockedByItsPassword() async throws {
            let box = try JobBox()
            let password = ["CREDFS_PASSWORD": "correct horse battery"]
            try await box.sandbox.succeed("init", "--empty", "--password", adding: password)
            try await box.sandbox.succeed("set", "T", input: Array("t".utf8), adding: password)
            let job = try ChildProcess.Running(
                credfs,
                [
                    "run", "--", "/bin/sh", "-c",
                    "until ! cat $T_FILE; do sleep 0.01; done; until cat $T_FILE; do sleep 0.01; done",
                ],
                environment: box.environment.merging(password) { $1 }
            )
            try await Eventually.holds("the job") {
                try await box.credfs("status").outputText.hasPrefix("live")
            }
            #expect(try await box.credfs("lock").status == .exited(0))
            try await box.credfs("unlock", adding: ["CREDFS_PASSWORD": "wrong horse battery"]).expectRefusal(12)
            let other = try await Sandbox(["X": "x"])
            try await box.credfs("unlock", "--store", other.store).expectRefusal(64, "another store", hint: "--store")
            let unlocked = try await box.credfs("unlock", adding: password)
            #expect(unlocked.status == .exited(0), "\(unlocked.errorText)")
            let outcome = try await job.end()
            #expect(outcome.status == .exited(0) && outcome.outputText.hasSuffix("t"))
            #expect(outcome.errorText.contains("Permission denied"))
            try box.expectNothingLeft()
        }

        @Test func whatIsNoKeyDoesNotUnlock() async throws {
            let box = try await JobBox(["T": "t"])
            let mount = try await box.mount()
            #expect(try await box.credfs("lock").status == .exited(0))
            let id = try #require(mount.path.split(separator: "/").last)
            let program = """
                import array, os, socket, sys
                def ask(descriptor):
                    client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                    client.connect(sys.argv[1])
                    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))] if descriptor >= 0 else []
                    client.sendmsg([b'{"request":"unlock"}'], rights)
                    return client.recv(4096).decode()
                def pipe(data):
                    read, write = os.pipe()
                    os.write(write, data)
                    return read, write
                files = [-1, os.open("/dev/zero", os.O_RDONLY), os.open("/etc/hostname", os.O_RDONLY), os.open("/", os.O_PATH)]
                ends = [pipe(b"x" * 32), pipe(b"x" * 5), os.pipe(), pipe(os.urandom(60000))]
                for answer in map(ask, files + [read for read, write in ends]): print('"error"' in answer)
                """
            let outcome = try await ChildProcess.run(
                "/usr/bin/python3",
                ["-I", "-c", program, "\(box.runtime)/credfs/control/\(id)"]
            )
            #expect(outcome.outputText == String(repeating: "True\n", count: 8), "\(outcome.errorText)")
            #expect(unsafe open("\(mount.path)/T", O_RDONLY) == -1 && errno == EACCES)
            #expect(try await box.credfs("unlock").status == .exited(0))
            #expect(try Files.read("\(mount.path)/T") == Array("t".utf8))
            try await box.unmountAll()
        }

        @Test(.enabled(if: isRoot)) func afterALockNoKeyAndNoValueIsInMemory() async throws {
            let marker = "Marker" + UUID().uuidString
            let box = try await JobBox(["T": marker])
            let search = """
                import base64, hashlib, hmac, os, sys
                text = open(sys.argv[1]).read().strip().split(":")[1]
                data_key = base64.urlsafe_b64decode(text + "=")
                salt = next(line.split()[1].strip("'") for line in open(sys.argv[2]) if line.startswith("store: ")).encode()
                def derive(info): return hmac.digest(hmac.digest(salt, data_key, "sha256"), info + bytes([1]), "sha256")
                wanted = [data_key, derive(b"credfs/1/seal"), derive(b"credfs/1/sign"), sys.argv[3].encode()]
                found = 0
                with open(f"/proc/{sys.argv[4]}/mem", "rb", 0) as memory, open(f"/proc/{sys.argv[4]}/maps") as maps:
                    secret = sum("secretmem" in line for line in maps)
                    maps.seek(0)
                    for line in maps:
                        start, end = (int(part, 16) for part in line.split()[0].split("-"))
                        try:
                            memory.seek(start)
                            content = memory.read(end - start)
                            found += sum(content.count(word) for word in wanted)
                        except (OSError, OverflowError, ValueError):
                            pass
                print(found, secret)
                """
            func look(_ process: Int32) async throws -> [Int] {
                let outcome = try await ChildProcess.run(
                    "/usr/bin/python3",
                    [
                        "-I", "-c", search, box.sandbox.path("secrets.key"), box.sandbox.path("secrets.yaml"), marker,
                        "\(process)",
                    ]
                )
                let numbers = outcome.outputText.split { !$0.isNumber }.compactMap { Int($0) }
                try #require(numbers.count == 2, "\(outcome.errorText)")
                return numbers
            }
            let mount = try await box.mount()
            let file = unsafe open("\(mount.path)/T", O_RDONLY)
            defer { close(file) }
            #expect(try Files.read("\(mount.path)/T") == Array(marker.utf8))
            let before = try await look(mount.process)
            // With other keys, of which the descriptor keeps the first.
            try await box.sandbox.succeed("rotate")
            #expect(try await box.credfs("reload").status == .exited(0))
            #expect(try await box.credfs("lock").status == .exited(0))
            let after = try await look(mount.process)
            #expect(after[0] == 0)
            // Where keys are in secret memory, which nobody may read, its pages are gone.
            #expect(before[1] == 0 || after[1] < before[1], "\(before) \(after)")
            try await box.unmountAll()
        }

        @Test(arguments: [["--ttl", "1500ms"], ["--not-after", "TIME"]])
        func aMountEndsByItself(_ options: [String]) async throws {
            let box = try await JobBox(["T": "t"])
            let time = ISO8601DateFormatter().string(from: .now + 3)
            let mount = try await box.mount(options[0], options[1] == "TIME" ? time : options[1])
            let file = unsafe open("\(mount.path)/T", O_RDONLY)
            defer { close(file) }
            let status = try await box.credfs("status", "--json").json()
            let mounts = try #require(status["mounts"] as? [[String: Any]])
            let end = try #require(mounts.first?["end"] as? String)
            #expect(options[1] != "TIME" || end == time)
            try await Eventually.holds("its end", within: .seconds(30)) { !ProcessState.isAlive(mount.process) }
            var byte: UInt8 = 0
            #expect(unsafe pread(file, &byte, 1, 0) == -1 && errno == ENOTCONN)
            try await box.expectAudited("its time was over")
            try box.expectNothingLeft()
        }

        @Test(arguments: [[], ["--shared"], ["--backend", "ramfs"], ["--backend", "shm"]])
        func aJobOutlivesTheTimeOfItsSecrets(_ options: [String]) async throws {
            let box = try await JobBox(["T": "t"])
            let outcome = try await box.run(
                options + ["--ttl", "1s"],
                shell: "cat $T_FILE; exec 5<$T_FILE; sleep 3; cat $T_FILE; cat <&5; echo $?; exit 7"
            )
            #expect(outcome.status == .exited(7))
            #expect(outcome.outputText.hasPrefix("t") && !outcome.outputText.contains("tt"), "\(outcome.outputText)")
            #expect(outcome.errorText.contains("goes on without secrets"), "\(outcome.errorText)")
            #expect(!outcome.errorText.contains("are not served any more"))
            try await box.expectAudited("its time was over")
            try box.expectNothingLeft()
        }

        @Test func timesThatCannotBeMeantAreRefused() async throws {
            let box = try await JobBox(["T": "t"])
            for (option, value) in [
                ("--ttl", "0s"), ("--ttl", "-1s"), ("--ttl", "1"), ("--ttl", "5 m"), ("--not-after", "tomorrow"),
                ("--not-after", "2030-02-31T00:00:00Z"), ("--not-after", "2001-01-01T00:00:00Z"),
            ] {
                try await box.credfs("mount", option + "=" + value).expectRefusal(64)
                try await box.credfs("run", option + "=" + value, "--", "true").expectRefusal(64)
            }
            try box.expectNothingLeft()
        }

        @Test func aMountThatWatchesFollowsItsManifest() async throws {
            let box = try await JobBox(["T": "first"])
            let mount = try await box.mount("--watch")
            for round in 1...5 {
                let value = Array("value \(round)".utf8)
                async let waited = box.credfs("wait", "--change", "--timeout", "60s")
                try await Task.sleep(for: .milliseconds(100))
                try await box.sandbox.succeed("set", "T", input: value)
                let outcome = try await waited
                #expect(outcome.status == .exited(0), "\(outcome.errorText)")
                #expect(try Files.read("\(mount.path)/T") == value)
            }
            // A key that changes a moment after its manifest.
            try await box.sandbox.succeed("rotate")
            try await box.sandbox.succeed("set", "T", input: Array("rotated".utf8))
            try await Eventually.holds("the new key", within: .seconds(30)) {
                try Files.read("\(mount.path)/T") == Array("rotated".utf8)
            }
            // A directory in the place of the other one.
            let aside = box.sandbox.directory.path("aside")
            try FileManager.default.moveItem(atPath: box.sandbox.store, toPath: aside)
            try await Task.sleep(for: .milliseconds(300))
            #expect(try Files.read("\(mount.path)/T") == Array("rotated".utf8))
            try FileManager.default.copyItem(atPath: aside, toPath: box.sandbox.store)
            try await box.sandbox.succeed("set", "T", input: Array("moved".utf8))
            try await Eventually.holds("the new directory", within: .seconds(30)) {
                try Files.read("\(mount.path)/T") == Array("moved".utf8)
            }
            try await box.unmountAll()
        }

        @Test func aJobThatWatchesSkipsWhatIsNotAcceptedWithOneWarning() async throws {
            let box = try await JobBox(["T": "first"])
            let job = try await box.start(
                ["--watch"],
                shell: "echo $$ >$READY; until grep -q last $T_FILE; do sleep 0.02; done; cat $T_FILE"
            )
            let manifest = try box.sandbox.manifest()
            // Written in two parts, and then not accepted.
            try box.sandbox.replaceManifest(manifest.utf8.prefix(200))
            try await Task.sleep(for: .milliseconds(20))
            try box.sandbox.replaceManifest(manifest.replacing("generation: ", with: "generation: 1").utf8)
            try await Task.sleep(for: .milliseconds(500))
            for name in ["other", "another"] { try box.sandbox.directory.write([1], to: "store/\(name)") }
            try await Task.sleep(for: .milliseconds(500))
            try box.sandbox.replaceManifest(manifest.utf8)
            try Files.setMode(0o600, box.sandbox.path("secrets.yaml"))
            try await box.sandbox.succeed("set", "T", input: Array("last".utf8))
            let outcome = try await job.credfs.end()
            #expect(outcome.status == .exited(0) && outcome.outputText == "last", "\(outcome.errorText)")
            let warnings = outcome.errorText.split(separator: "\n").filter { $0.contains("is not accepted") }
            #expect(warnings.count == 1, "\(outcome.errorText)")
            try box.expectNothingLeft()
        }

        @Test func waitingEndsWithAChangeTheTimeOrTheMount() async throws {
            let box = try await JobBox(["T": "t"])
            try await box.credfs("wait", "--change").expectRefusal(10, "nothing is mounted")
            let mount = try await box.mount()
            try await box.credfs("wait").expectRefusal(64, "--change")
            try await box.credfs("wait", "--change", "--timeout", "200ms").expectRefusal(1, "has not changed")
            let generation = try box.sandbox.generation()
            let later = try await box.credfs("wait", "--change", "--since", "\(generation - 1)", mount.path)
            #expect(later.status == .exited(0) && later.errorText.contains("generation \(generation)"))
            async let waited = box.credfs("wait", "--change")
            try await Task.sleep(for: .milliseconds(200))
            // What is not accepted, locked or the same is no change.
            #expect(try await box.credfs("lock").status == .exited(0))
            #expect(try await box.credfs("unlock").status == .exited(0))
            #expect(try await box.credfs("unmount", "--all").status == .exited(0))
            try await waited.expectRefusal(10, "has ended")
            try box.expectNothingLeft()
        }

        @Test(.enabled(if: isRoot)) func statusCountsWhatWasOpenedAndRefused() async throws {
            let box = try await JobBox(["T": "t", "OTHER": "o"])
            try await box.sandbox.succeed("set", "OTHER", "--keep-value", "--allow-exe", "/bin/true")
            let mount = try await box.mount()
            func counts() async throws -> [String: Int] {
                let status = try await box.credfs("status", "--json").json()
                let mounts = try #require(status["mounts"] as? [[String: Any]])
                return try #require(mounts.first).compactMapValues { $0 as? Int }
            }
            let before = try await counts()
            #expect(before["opens"] == 0 && before["denied"] == 0 && before["handles"] == 0)
            let first = unsafe open("\(mount.path)/T", O_RDONLY)
            _ = try Files.read("\(mount.path)/T")
            #expect(unsafe open("\(mount.path)/OTHER", O_RDONLY) == -1)
            // A close is answered to nobody: the server hears of it a moment later.
            try await Eventually.holds("one handle", within: .seconds(20)) { try await counts()["handles"] == 1 }
            let after = try await counts()
            #expect(after["opens"] == 2 && after["denied"] == 1 && after["failed"] == 0 && after["handles"] == 1)
            #expect(try await box.credfs("status").outputText.contains("2 opened, 1 denied, 1 open  generation "))
            close(first)
            try await Eventually.holds("no handle", within: .seconds(20)) { try await counts()["handles"] == 0 }
            #expect(try await box.credfs("lock").status == .exited(0))
            #expect(unsafe open("\(mount.path)/T", O_RDONLY) == -1)
            #expect(try await counts()["failed"] == 1)
            // A server that was stopped is listed all the same, in half a second.
            kill(mount.process, SIGSTOP)
            try await Eventually.holds("the stop") { ProcessState.letter(mount.process) == "T" }
            let started = ContinuousClock.now
            #expect(try await box.credfs("status", "--json").outputText.contains("\"opens\" : null"))
            #expect(ContinuousClock.now - started < .seconds(10))
            kill(mount.process, SIGCONT)
            try await box.unmountAll()
        }

        @Test(arguments: [[], ["--shared"]]) func aCommandIsRunOnEachChange(_ options: [String]) async throws {
            let box = try await JobBox(["T": "first"])
            let out = box.sandbox.directory.path("out")
            let hook =
                "cat $CREDENTIALS_DIRECTORY/T >>\(out); env | grep -c first >>\(out); ls \(box.sandbox.store) 2>&1 | wc -l >>\(out)"
            let job = try await box.start(
                options + ["--on-change", hook],
                shell:
                    "echo $$ >$READY; until [ -s \(out) ]; do sleep 0.02; done; sleep 0.5; ps -o args= --ppid $PPID | wc -l"
            )
            try await box.sandbox.succeed("set", "T", input: Array("second".utf8))
            #expect(try await box.credfs("reload").status == .exited(0))
            let outcome = try await job.credfs.end()
            #expect(outcome.status == .exited(0), "\(outcome.errorText)")
            let text = String(decoding: try Files.read(out), as: UTF8.self)
            #expect(text.hasPrefix("second0\n"), "\(text) \(outcome.errorText)")
            #expect(!options.isEmpty || text == "second0\n0\n", "\(text)")
            try box.expectNothingLeft()
        }

        @Test func aCommandThatHangsKeepsNobodyWaiting() async throws {
            let box = try await JobBox(["T": "first"])
            let out = box.sandbox.directory.path("out")
            let mount = try await box.mount("--on-change", "echo $$ >>\(out); sleep 1000; true")
            for value in ["second", "third"] {
                try await box.sandbox.succeed("set", "T", input: Array(value.utf8))
                #expect(try await box.credfs("reload").status == .exited(0))
                #expect(try Files.read("\(mount.path)/T") == Array(value.utf8))
            }
            let process = try #require(Int32(try await Eventually.text(of: out)))
            let started = ContinuousClock.now
            try await box.unmountAll()
            #expect(ContinuousClock.now - started < .seconds(20))
            try await Eventually.holds("the end of the command", within: .seconds(20)) {
                !ProcessState.isAlive(process)
            }
        }

        @Test func aSignalIsSentToTheJobOnEachChange() async throws {
            let box = try await JobBox(["T": "first"])
            let job = try await box.start(
                ["--on-change", "HUP"],
                shell: "trap 'cat $T_FILE; exit 3' HUP; echo $$ >$READY; while :; do sleep 0.02; done"
            )
            try await box.sandbox.succeed("set", "T", input: Array("second".utf8))
            #expect(try await box.credfs("reload").status == .exited(0))
            let outcome = try await job.credfs.end()
            #expect(outcome.status == .exited(3) && outcome.outputText == "second", "\(outcome.errorText)")
            try await box.credfs("mount", "--on-change", "SIGHUP").expectRefusal(64, "--on-change")
            for text in ["hup", "SIGhup", "KILL", "SIGKILL", "9", "SIGHUPP", "", "  "] {
                try await box.credfs("run", "--on-change", text, "--", "true").expectRefusal(64, "--on-change takes")
            }
            try box.expectNothingLeft()
        }

        /// What stat(2) says.
        private func size(_ path: String) throws -> Int {
            try #require(try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int)
        }
    }
}

extension JobBox {
    /// The identifier of the first mount that is listed.
    func id() async throws -> String {
        let mounts = try #require(try await credfs("status", "--json").json()["mounts"] as? [[String: Any]])
        return try #require(mounts.first?["id"] as? String)
    }

    /// Expects an entry in the audit log.
    func expectAudited(_ text: String, at location: SourceLocation = #_sourceLocation) async throws {
        let log = try await credfs("audit", "show").outputText
        #expect(log.contains(text), sourceLocation: location)
    }
}
