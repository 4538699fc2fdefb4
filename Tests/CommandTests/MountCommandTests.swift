// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

extension RunTests {
    @Suite(.timeLimit(.minutes(20))) struct Mounting {
        @Test func aMountServesUntilItIsUnmounted() async throws {
            let box = try await JobBox(["T": "t", "a b": "spaced"])
            let mount = try await box.mount()
            #expect(mount.path.hasPrefix("\(box.runtime)/credfs/"))
            #expect(try Files.read("\(mount.path)/T") == Array("t".utf8))
            #expect(try Files.read("\(mount.path)/a b") == Array("spaced".utf8))
            let status = try await box.credfs("status")
            #expect(status.outputText.hasPrefix("live  mount  pid "), "\(status.errorText)")
            #expect(try await box.credfs("unmount", mount.path).status == .exited(0))
            #expect(!Files.exists(mount.path))
            try await box.credfs("unmount", mount.path).expectRefusal(
                10,
                "nothing of credfs is mounted",
                hint: "status"
            )
            #expect(try await box.credfs("unmount", "--all").status == .exited(0))
            try box.expectNothingLeft()
        }

        @Test func aDirectoryThatIsNamedIsUsedAndKept() async throws {
            let box = try await JobBox(["T": "t"])
            let directory = try box.makeDirectory("place")
            let mount = try await box.mount(directory)
            #expect(mount.path == directory)
            try await box.credfs("mount", directory).expectRefusal(10, "is mounted already", hint: "unmount")
            #expect(try Files.read("\(directory)/T") == Array("t".utf8))
            // A descriptor from before reads nothing after.
            let file = unsafe open("\(directory)/T", O_RDONLY)
            defer { close(file) }
            #expect(try await box.credfs("unmount", "--all").status == .exited(0))
            var byte: UInt8 = 0
            unsafe #expect(pread(file, &byte, 1, 0) == -1 && errno == ENOTCONN)
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory).isEmpty)
            try box.expectNothingLeft()
        }

        @Test func aDirectoryThatCannotBeUsedIsRefused() async throws {
            let box = try await JobBox(["T": "t"])
            try await box.credfs("mount", box.sandbox.directory.path("nowhere")).expectRefusal(10, hint: "mkdir -p")
            try box.sandbox.directory.write([1], to: "file")
            try await box.credfs("mount", box.sandbox.directory.path("file")).expectRefusal(10, "not a directory")
            let full = try box.makeDirectory("full")
            try box.sandbox.directory.write([1], to: "full/x")
            try await box.credfs("mount", full).expectRefusal(10, "is not empty")
            try box.expectNothingLeft()
        }

        @Test func aRejectedStoreIsNotMounted() async throws {
            let box = try JobBox()
            try await box.credfs("mount").expectRefusal(18, "no store")
            try await box.sandbox.succeed("init", "--require", "NEEDED")
            try await box.credfs("mount").expectRefusal(17, "NEEDED")
            let empty = try await box.mount("--on-reject", "unauthenticated")
            #expect(try FileManager.default.contentsOfDirectory(atPath: empty.path).isEmpty)
            #expect(try await box.credfs("status").outputText.contains("unauthenticated"))
            try await box.unmountAll()
        }

        @Test func aKilledServerIsCleanedUpAfter() async throws {
            let box = try await JobBox(["T": "t"])
            let directory = try box.makeDirectory("place")
            let mount = try await box.mount(directory)
            let file = unsafe open("\(directory)/T", O_RDONLY)
            defer { close(file) }
            kill(mount.process, SIGKILL)
            try await Eventually.holds("the end") { !ProcessState.isAlive(mount.process) }
            // Its first thread can be gone a moment before the device is closed.
            try await Eventually.holds("an open descriptor that reads nothing") {
                var byte: UInt8 = 0
                return unsafe pread(file, &byte, 1, 0) == -1 && errno == ENOTCONN
            }
            let again = try await box.mount(directory)
            #expect(try Files.read("\(directory)/T") == Array("t".utf8))
            kill(again.process, SIGKILL)
            try await Eventually.holds("the end") { !ProcessState.isAlive(again.process) }
            #expect(try await box.credfs("status", "--json").outputText.contains("\"state\" : \"stale\""))
            #expect(try await box.credfs("status").outputText.isEmpty)
            let third = try await box.mount(directory)
            kill(third.process, SIGKILL)
            try await Eventually.holds("the end") { !ProcessState.isAlive(third.process) }
            #expect(try await box.credfs("unmount", directory).status == .exited(0))
            try box.expectNothingLeft()
        }

        @Test func aServerThatDoesNotAnswerIsUnmountedAllTheSame() async throws {
            let box = try await JobBox(["T": "t"])
            let mount = try await box.mount()
            kill(mount.process, SIGSTOP)
            try await Eventually.holds("the stop") { ProcessState.letter(mount.process) == "T" }
            #expect(try await box.credfs("status").outputText.hasPrefix("live"))
            try await box.credfs("mount", mount.path + "/").expectRefusal(10, "is mounted already")
            #expect(try await box.credfs("unmount", mount.path + "/").status == .exited(0))
            try await Eventually.holds("its end") { !ProcessState.isAlive(mount.process) }
            try box.expectNothingLeft()
        }

        @Test(arguments: [SIGTERM, SIGINT]) func signalsUnmount(_ signal: Int32) async throws {
            let box = try await JobBox(["T": "t"])
            let mount = try await box.mount()
            kill(mount.process, signal)
            try await Eventually.holds("its end") { !ProcessState.isAlive(mount.process) }
            try box.expectNothingLeft()
        }

        @Test func aReloadReplacesEverythingAtOnceAndTearsNoRead() async throws {
            let box = try await JobBox(["OLD": "o", "T": "first value"])
            let mount = try await box.mount()
            let file = unsafe open("\(mount.path)/T", O_RDONLY)
            defer { close(file) }
            try await box.sandbox.succeed("set", "T", input: Array("second, longer value".utf8))
            try await box.sandbox.succeed("delete", "OLD", "-y")
            try await box.sandbox.succeed("set", "NEW", input: Array("n".utf8))
            kill(mount.process, SIGHUP)
            try await Eventually.holds("the new generation") { Files.exists("\(mount.path)/NEW") }
            try await Eventually.holds("the end of the old one") { !Files.exists("\(mount.path)/OLD") }
            #expect(try Files.read("\(mount.path)/T") == Array("second, longer value".utf8))
            var bytes = [UInt8](repeating: 0, count: 40)
            unsafe #expect(pread(file, &bytes, bytes.count, 0) == 11)
            #expect(bytes.prefix(11) == Array("first value".utf8)[...])
            // What is not accepted changes nothing.
            let manifest = try box.sandbox.manifest()
            try box.sandbox.replaceManifest(manifest.replacing("generation: ", with: "generation: 1").utf8)
            kill(mount.process, SIGHUP)
            try await Task.sleep(for: .milliseconds(300))
            #expect(try Files.read("\(mount.path)/NEW") == Array("n".utf8))
            try await box.unmountAll()
        }

        /// The server has left the directory that they are relative to, and has to find its store, key and log again.
        @Test(arguments: [["--key-file", "copy.key"], []])
        func whatIsNamedRelativelyIsFoundAgainByAReload(options: [String]) async throws {
            let box = try await JobBox(["T": "first"])
            let store = URL(filePath: box.sandbox.store)
            try FileManager.default.moveItem(
                atPath: box.sandbox.path("secrets.key"),
                toPath: store.deletingLastPathComponent().path + "/copy.key"
            )
            var variables = box.environment
            variables["CREDFS_KEY_FILE"] = "copy.key"
            variables["CREDFS_STORE"] = nil
            let script = """
                cd "$1" && shift && place=$("$@") && "$0" rotate --store "$STORE" -q &&
                printf second | "$0" set --store "$STORE" -q T && echo "$place"
                """
            variables["STORE"] = store.lastPathComponent
            let outcome = try await ChildProcess.run(
                "/bin/sh",
                [
                    "-c", script, credfs, store.deletingLastPathComponent().path, credfs, "mount", "--store",
                    store.lastPathComponent,
                ] + options,
                environment: variables
            )
            try #require(outcome.status == .exited(0), "\(outcome.errorText)")
            let path = String(outcome.outputText.dropLast())
            kill(try await box.server(), SIGHUP)
            try await Eventually.holds("the new value") { try Files.read("\(path)/T") == Array("second".utf8) }
            try await Eventually.holds("an entry of the log") {
                try await box.credfs("audit", "show").outputText.contains("reloaded")
            }
            try await box.unmountAll()
        }

        @Test func theServiceManagerIsToldWhenItServes() async throws {
            let box = try await JobBox(["T": "t"])
            let program = """
                import os, socket, subprocess, sys
                path = sys.argv[2]
                listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                listener.bind(path)
                server = subprocess.Popen([sys.argv[1], "mount", "--foreground"], env=dict(os.environ, NOTIFY_SOCKET=path),
                    stdout=subprocess.PIPE, text=True)
                listener.settimeout(20)
                state = dict(line.split("=", 1) for line in listener.recv(4096).decode().split("\\n"))
                directory = server.stdout.readline().strip()
                print(state["READY"], state["STATUS"] == "serving " + directory, int(state["MAINPID"]) == server.pid)
                print(os.listdir(directory))
                server.terminate()
                print(listener.recv(4096).decode(), server.wait(20))
                """
            let outcome = try await ChildProcess.run(
                "/usr/bin/env",
                ["python3", "-I", "-c", program, credfs, box.sandbox.directory.path("notify")],
                environment: box.environment
            )
            #expect(outcome.outputText == "1 True True\n['T']\nSTOPPING=1 0\n", "\(outcome.errorText)")
            try box.expectNothingLeft()
        }

        @Test func theServiceManagerIsToldOfEachReload() async throws {
            let box = try await JobBox(["T": "first"])
            let program = """
                import os, signal, socket, subprocess, sys, time
                program, path = sys.argv[1:]
                listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                listener.bind(path)
                listener.settimeout(20)
                def state(): return dict(line.split("=", 1) for line in listener.recv(4096).decode().split("\\n"))
                server = subprocess.Popen([program, "mount", "--foreground"], env=dict(os.environ, NOTIFY_SOCKET=path),
                    stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
                state()
                directory = server.stdout.readline().strip()
                def reload():
                    before = time.monotonic_ns() // 1000
                    server.send_signal(signal.SIGHUP)
                    begun, done = state(), state()
                    now = time.monotonic_ns() // 1000
                    print(begun["RELOADING"], before <= int(begun["MONOTONIC_USEC"]) <= now, done["READY"],
                        done["STATUS"] == "serving " + directory, done["STATUS"].split(": ")[1:], open(directory + "/T").read())
                subprocess.run([program, "set", "T"], input=b"second", check=True, stderr=subprocess.DEVNULL)
                reload()
                manifest = os.environ["CREDFS_STORE"] + "/secrets.yaml"
                os.truncate(manifest, os.path.getsize(manifest) - 9)
                reload()
                server.terminate()
                print(state(), server.wait(20))
                """
            let outcome = try await ChildProcess.run(
                "/usr/bin/env",
                ["python3", "-I", "-c", program, credfs, box.sandbox.directory.path("notify")],
                environment: box.environment
            )
            let expected = [
                "1 True 1 True [] second", "1 True 1 False ['not reloaded'] second", "{'STOPPING': '1'} 0", "",
            ]
            #expect(outcome.outputText == expected.joined(separator: "\n"), "\(outcome.errorText)")
            try box.expectNothingLeft()
        }

        @Test func theServerAsksForThePasswordItself() async throws {
            let box = try JobBox()
            try await box.sandbox.succeed(
                "init",
                "--empty",
                "--password",
                adding: ["CREDFS_PASSWORD": "correct horse battery"]
            )
            try await box.sandbox.succeed(
                "set",
                "T",
                input: Array("t".utf8),
                adding: ["CREDFS_PASSWORD": "correct horse battery"]
            )
            let terminal = try PseudoTerminal()
            try terminal.start(credfs, ["mount"], environment: box.environment)
            try await terminal.expect("password for ")
            terminal.type("correct horse battery\n")
            try await terminal.expect("/credfs/")
            #expect(try await terminal.end() == .exited(0))
            // The terminal is gone, the mount is not.
            let status = try await box.credfs("status", "--json").outputText
            #expect(status.contains("\"state\" : \"live\""))
            #expect(try await box.mount(["CREDFS_PASSWORD": "correct horse battery"]).path.hasPrefix(box.runtime))
            try await box.unmountAll()
        }

        @Test func theServerHoldsNothingOfItsCaller() async throws {
            let box = try await JobBox(["T": "t"])
            // Would wait for the end of the output if the server kept it open.
            let outcome = try await ChildProcess.run(
                "/bin/bash",
                ["-c", "exec 7</etc/hostname; place=$(\"$0\" mount); echo $place", credfs],
                environment: box.environment
            )
            let process = try await box.server()
            for number in 0...2 {
                let target = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(process)/fd/\(number)")
                #expect(target == "/dev/null")
            }
            #expect(!Files.exists("/proc/\(process)/fd/7"))
            #expect(try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(process)/cwd") == "/")
            let state = String(decoding: try Files.read("/proc/\(process)/status"), as: UTF8.self)
            #expect(state.contains("NoNewPrivs:\t1\n") && state.contains("Seccomp:\t2\n"))
            #expect(state.contains("Seccomp_filters:\t\(try ownFilterCount() + 1)\n"))
            #expect(outcome.outputText.hasPrefix(box.runtime))
            try await box.unmountAll()
        }

        /// The filters that this process has, and every one that it starts.
        private func ownFilterCount() throws -> Int {
            let state = String(decoding: try Files.read("/proc/self/status"), as: UTF8.self)
            let line = try #require(state.split(separator: "\n").first { $0.hasPrefix("Seccomp_filters:") })
            return try #require(Int(line.dropFirst("Seccomp_filters:\t".count)))
        }

        @Test func everyThreadOfAServerIsBoundAndItsJobIsNot() async throws {
            let box = try await JobBox(["T": "t"])
            for options in [[], ["--shared"], ["--backend", "ramfs"]] {
                let script = "grep Seccomp: /proc/self/status | tr -d '\\n'; echo; exec 1>&-; exec sleep 60"
                let job = try await box.start(options, shell: "trap 'kill $!; exit' TERM; (\(script)) >$READY & wait")
                #expect(job.text == "Seccomp:\t\(try ownFilterCount() == 0 ? 0 : 2)")
                let tasks = "/proc/\(job.credfs.id)/task"
                for thread in try FileManager.default.contentsOfDirectory(atPath: tasks) {
                    let state = String(decoding: try Files.read("\(tasks)/\(thread)/status"), as: UTF8.self)
                    #expect(state.contains("Seccomp_filters:\t\(try ownFilterCount() + 1)\n"))
                }
                kill(job.credfs.id, SIGTERM)
                _ = try await job.credfs.end()
            }
        }

        /// Whatever a server does in its life is on the list of its filter.
        @Test(arguments: [
            ["run", "--", "/bin/sh", "-c", "cat $T_FILE; ls $CREDENTIALS_DIRECTORY; kill -HUP $PPID; true"],
            ["run", "--shared", "--", "/bin/sh", "-c", "cat $T_FILE"], ["run", "--", "/nonexistent"],
            ["run", "--backend", "ramfs", "--", "/bin/sh", "-c", "cat $T_FILE"],
            ["run", "--backend", "shm", "--linger", "1s", "--", "/bin/sh", "-c", "cat $T_FILE; sleep 2 &"],
            ["mount", "--foreground"],
        ])
        func aServerAsksForNothingThatItIsRefused(_ arguments: [String]) async throws {
            let box = try await JobBox(["T": "t"])
            let trace = box.sandbox.directory.path("trace")
            let server = try ChildProcess.Running(
                "/usr/bin/strace",
                ["-f", "-qq", "-o", trace, credfs] + arguments,
                environment: box.environment
            )
            if arguments[0] == "mount" {
                try await Eventually.holds("the mount") {
                    try await box.credfs("status", "--json").outputText.contains("\"state\" : \"live\"")
                }
                let process = try await box.server()
                try await box.sandbox.succeed("set", "T", input: Array("other".utf8))
                #expect(try await box.credfs("reload").status == .exited(0))
                for signal in [SIGHUP, SIGTERM] {
                    kill(process, signal)
                    try await Task.sleep(for: .milliseconds(500))
                }
            }
            _ = try await server.end()
            let lines = String(decoding: try Files.read(trace), as: UTF8.self).split(separator: "\n")
            let start = try #require(lines.firstIndex { $0.contains("seccomp(SECCOMP_SET_MODE_FILTER") })
            var threads = [lines[start].prefix { $0 != " " }]
            for line in lines[start...] where threads.contains(line.prefix { $0 != " " }) {
                #expect(!line.contains("EPERM"), "\(line)")
                if line.contains("clone"), let thread = line.split(separator: " ").last, Int(thread) != nil {
                    threads.append(thread)
                }
            }
            try box.expectNothingLeft()
        }

        @Test func whatWasReadFromADescriptorIsNotReadAgain() async throws {
            let box = try await JobBox(["T": "t"])
            let directory = try box.makeDirectory("place")
            let script = "exec \"$0\" mount --key-fd 7 -- \"$1\" 7<\"$2\""
            let outcome = try await ChildProcess.run(
                "/bin/bash",
                ["-c", script, credfs, directory, box.sandbox.path("secrets.key")],
                environment: box.environment
            )
            #expect(outcome.outputText == "\(directory)\n", "\(outcome.errorText)")
            let process = try await box.server()
            try FileManager.default.removeItem(atPath: box.sandbox.store)
            try await box.sandbox.succeed("init", "--empty")
            try await box.sandbox.succeed("set", "T", input: Array("other".utf8))
            try FileManager.default.removeItem(atPath: box.sandbox.path("secrets.key"))
            kill(process, SIGHUP)
            try await Task.sleep(for: .milliseconds(300))
            #expect(try Files.read("\(directory)/T") == Array("t".utf8))
            try await box.unmountAll()
        }

        @Test func aServerThatIsKilledJustAfterItMountedIsCleanedUpAfter() async throws {
            let box = try await JobBox(["T": "t"])
            for command in [["run", "--shared", "--", "true"], ["mount", "--foreground"]] {
                // The first thing after the mount is the filter.
                let outcome = try await ChildProcess.run(
                    "/usr/bin/strace",
                    ["-f", "-o", "/dev/null", "-e", "trace=seccomp", "-e", "inject=seccomp:signal=KILL:when=1", credfs]
                        + command,
                    environment: box.environment
                )
                #expect(outcome.status != .exited(0))
                #expect(try await box.credfs("status").outputText.hasPrefix("stale"))
                try box.expectNothingLeft()
            }
        }

        @Test func theVariablesCanBeReadByEverybodyTheyAreFor() async throws {
            let box = try await JobBox(["T": "first\nsecond%\n", "db.key": "k"])
            let directory = try box.makeDirectory("a \"$place' %d")
            _ = try await box.mount(directory)
            let shell = try await ChildProcess.run(
                "/bin/sh",
                ["-c", "eval \"$(\"$0\" env)\"; cat \"$DB_KEY_FILE\"; ls \"$CREDENTIALS_DIRECTORY\"", credfs],
                environment: box.environment
            )
            #expect(shell.outputText == "kT\ndb.key\n", "\(shell.errorText)")
            let github = try await box.credfs("env", "--format", "github", directory)
            #expect(
                github.outputText == """
                    CREDENTIALS_DIRECTORY=\(directory)
                    T_FILE=\(directory)/T
                    DB_KEY_FILE=\(directory)/db.key

                    """
            )
            let dotenv = try await box.credfs("env", "--format", "dotenv", "--file-var", "db.key=OTHER")
            // No quotes mean the same to all readers of a path with both kinds.
            dotenv.expectRefusal(17, "dotenv cannot hold the path for CREDENTIALS_DIRECTORY", hint: "--format shell")
            let document = try await box.credfs("env", "--json").json()
            #expect(document["schemaVersion"] as? Int == 1)
            let variables = try #require(document["variables"] as? [[String: Any]])
            #expect(variables.map { $0["name"] as? String } == ["CREDENTIALS_DIRECTORY", "T_FILE", "DB_KEY_FILE"])
            #expect(variables.map { $0["path"] as? String } == [directory, "\(directory)/T", "\(directory)/db.key"])
            #expect(variables.map { $0["secret"] as? String } == [nil, "T", "db.key"])
            try await box.credfs("env", "--json", "--format", "shell").expectRefusal(64)
            try await box.unmountAll()
            try await box.credfs("env").expectRefusal(10, "nothing is mounted", hint: "credfs mount")
            try await box.credfs("env", "/").expectRefusal(10, "nothing of credfs is mounted")
        }

        @Test func everyReaderOfVariablesFindsADirectoryWhateverItIsCalled() async throws {
            let box = try await JobBox(["T": "t", "a.b c": "x"])
            let refused = ["new\nline": ["docker", "gitlab"], "e=q": ["gitlab"], "last ": ["gitlab"], "it's": []]
            let names = ["a \"$(touch made)\"`touch made` #%d", "back\\slash\\n", "t\tab \u{e9}"] + refused.keys
            for name in names {
                let directory = try box.makeDirectory(name)
                _ = try await box.mount(directory)
                for reader in VariableReader.ofPaths {
                    let outcome = try await box.credfs("env", "--format", reader.format, directory)
                    guard refused[name]?.contains(reader.format) != true else {
                        outcome.expectRefusal(17, "\(reader.format) cannot hold the path for ", hint: "shell can")
                        #expect(outcome.standardOutput.isEmpty)
                        continue
                    }
                    let paths = ["CREDENTIALS_DIRECTORY": "", "T_FILE": "/T", "A_B_C_FILE": "/a.b c"]
                        .mapValues { Array((directory + $0).utf8) }
                    #expect(try await reader.read(outcome.standardOutput, paths.keys) == paths, "\(name) \(reader)")
                }
                try await box.unmountAll()
            }
            let plain = try await JobBox(["T": "t"])
            let path = try await plain.mount().path
            let report = try await plain.credfs("env", "--format", "gitlab")
            #expect(
                try await VariableReader("gitlab", "gitlab").read(report.standardOutput, [])
                    == ["CREDENTIALS_DIRECTORY": Array(path.utf8), "T_FILE": Array("\(path)/T".utf8)]
            )
            try await plain.unmountAll()
        }

        @Test func whatHidesValuesInALogIsNotAppendedToTheFileOfVariables() async throws {
            let value = "first%0A\nsecond\r\n \t\n\nth%ird\rfourth  "
            let box = try await JobBox(["T": value, "U": "::stop-commands::x"])
            let path = try await box.mount().path
            let file = box.sandbox.directory.path("github_env")
            let step = try await ChildProcess.run(
                "/bin/sh",
                ["-c", "\"$0\" env --mask=github --format github >>\"$GITHUB_ENV\"", credfs],
                environment: box.environment.merging(["GITHUB_ENV": file]) { $1 }
            )
            #expect(step.status == .exited(0), "\(step.errorText)")
            #expect(
                try await VariableReader("github", "github").read(Files.read(file), [])
                    == [
                        "CREDENTIALS_DIRECTORY": Array(path.utf8), "T_FILE": Array("\(path)/T".utf8),
                        "U_FILE": Array("\(path)/U".utf8),
                    ]
            )
            // What a runner takes from the lines of both streams: the data behind the command, these escapes undone.
            #expect(step.outputText.isEmpty)
            let hidden = step.errorText.split(whereSeparator: \.isNewline).map { line in
                line.hasPrefix("::add-mask::")
                    ? line.dropFirst("::add-mask::".count).replacing("%0D", with: "\r").replacing("%0A", with: "\n")
                        .replacing("%25", with: "%") : "not a command"
            }
            #expect(hidden == ["first%0A", "second", "th%ird", "fourth  ", "::stop-commands::x"])
            try await box.unmountAll()
        }

        @Test func moreSecretsThanAJobHasVariablesForGetTheDirectoryOnly() async throws {
            let box = try await JobBox([:])
            let lines = (0..<4097).map { "N\($0)=\($0)\n" }.joined()
            try await box.sandbox.succeed("import", try box.sandbox.directory.write(lines.utf8, to: "many.env"))
            let path = try await box.mount().path
            let automatic = try await box.credfs(
                "env",
                "--format",
                "docker",
                "--file-var",
                "N7=SEVEN",
                "--mask",
                "github"
            )
            #expect(automatic.outputText == "CREDENTIALS_DIRECTORY=\(path)\nSEVEN=\(path)/N7\n")
            #expect(automatic.errorText.contains("4097 secrets are too many for a variable each"))
            #expect(automatic.errorText.split(separator: "\n").count { $0.hasPrefix("::add-mask::") } == 4097)
            let none = try await box.credfs("env", "--file-vars", "none")
            #expect(none.outputText == "export CREDENTIALS_DIRECTORY='\(path)'\n" && none.errorText.isEmpty)
            let all = try await box.credfs("env", "--file-vars", "all")
            #expect(all.outputText.split(separator: "\n").count == 4098 && all.errorText.isEmpty)
            try await box.unmountAll()
        }

        @Test func filesCanBeGivenToAnotherUserAndToNobodyElse() async throws {
            let box = try await JobBox(["T": "t"])
            let mount = try await box.mount("--owner", "65534:65534")
            let path = "\(mount.path)/T"
            try Files.setMode(0o711, box.sandbox.directory.path)
            try Files.setMode(0o711, box.runtime)
            let owner = try await ChildProcess.run(
                "/usr/bin/setpriv",
                ["--reuid", stranger, "--clear-groups", "cat", path]
            )
            #expect(owner.outputText == "t", "\(owner.errorText)")
            #expect(try await ChildProcess.run("/bin/cat", [path]).errorText.contains("Permission denied"))
            let other = try await ChildProcess.run(
                "/usr/bin/setpriv",
                ["--reuid", "12345", "--clear-groups", "cat", path]
            )
            #expect(other.errorText.contains("Permission denied"))
            let listing = try await ChildProcess.run("/usr/bin/stat", ["-c", "%u:%g %a", path])
            #expect(listing.outputText == "65534:65534 400\n")
            try await box.unmountAll()
        }

        /// Real processes: the kernel asks the permission bits, credfs who is a member.
        @Test(arguments: ["fuse", "shm"]) func aGroupReadsWhatIsForIt(_ backend: String) async throws {
            let box = try await JobBox(["SHARED": "for the group", "OWN": "for the owner"])
            let manifest = try box.sandbox.manifest().replacing("  SHARED:\n", with: "  SHARED:\n    mode: \"0440\"\n")
            try box.sandbox.replaceManifest(manifest.utf8)
            try await box.sandbox.succeed("encrypt")
            try Files.setMode(0o711, box.sandbox.directory.path)
            try Files.setMode(0o711, box.runtime)
            let readers = [
                ("owner", "--reuid 4101 --clear-groups"), ("primary", "--reuid 4102 --regid 4201 --clear-groups"),
                ("supplementary", "--reuid 4102 --regid 4102 --groups 4300,4201"),
                ("stranger", "--reuid 4102 --regid 4102 --groups 4300"), ("root", "--regid 4201 --clear-groups"),
                // Permission bits are nothing to this one.
                (
                    "capable",
                    "--reuid 4102 --regid 4102 --clear-groups --inh-caps=+dac_override --ambient-caps=+dac_override"
                ),
            ]
            let script = readers.map { name, options in
                "for secret in SHARED OWN; do setpriv \(options) cat $CREDENTIALS_DIRECTORY/$secret >/dev/null "
                    + "2>&1 && echo \(name) $secret; done; "
            }
            let layout = "stat -c '%a %u:%g' $CREDENTIALS_DIRECTORY; setpriv \(readers[1].1) ls $CREDENTIALS_DIRECTORY"
            let options = ["--owner", "4101:4201", "--backend", backend]
            let outcome = try await box.run(options, shell: script.joined() + layout)
            let admitted = ["owner SHARED", "owner OWN", "primary SHARED", "supplementary SHARED"]
            // Plain files ask nobody but the kernel, and root passes it.
            let passed = backend == "shm" ? ["root SHARED", "root OWN", "capable SHARED", "capable OWN"] : []
            let wanted = admitted + passed + ["550 4101:4201", "OWN", "SHARED"]
            #expect(outcome.outputText.split(separator: "\n").map(String.init) == wanted, "\(outcome.errorText)")
            // Without a group that was named, there is none.
            let alone = try await box.run(["--owner", "4101", "--backend", backend], shell: script[2] + layout)
            #expect(alone.outputText == "500 4101:0\n")
        }

        @Test func anOwnerWhoCannotReachTheDirectoryIsWarnedOf() async throws {
            let box = try await JobBox(["T": "t"])
            let read = "setpriv --reuid 4101 --clear-groups cat $T_FILE 2>/dev/null || echo refused"
            let options = ["--owner", "4101"]
            try Files.setMode(0o711, box.sandbox.directory.path)
            let closed = try await box.run(options, shell: read)
            #expect(closed.outputText == "refused\n")
            let warning = "uid 4101 cannot reach its secrets: it may not search \(box.runtime)"
            #expect(closed.lines("warning").contains { $0.hasPrefix(warning) }, "\(closed.errorText)")
            let mount = try await box.credfs("mount", "--owner", "4101")
            #expect(mount.lines("warning").contains { $0.hasPrefix(warning) }, "\(mount.errorText)")
            #expect(try await box.credfs("unmount", "--all").status == .exited(0))
            let shm = try await box.run(options + ["--backend", "shm"], shell: read)
            #expect(shm.outputText == "t" && !shm.errorText.contains("cannot reach"), "\(shm.errorText)")
            try Files.setMode(0o711, box.runtime)
            let open = try await box.run(options, shell: read)
            #expect(open.outputText == "t" && open.errorText.isEmpty, "\(open.errorText)")
        }
    }
}

/// The kernel can limit the time of a request (protocol 7.43 of FUSE).
let limitsRequests = Files.exists("/proc/sys/fs/fuse/default_request_timeout")

extension JobBox {
    /// A mount in the background.
    struct Mount {
        let path: String
        let process: Int32
    }

    /// Mounts in the background.
    func mount(
        _ arguments: String...,
        adding variables: [String: String] = [:],
        at location: SourceLocation = #_sourceLocation
    ) async throws -> Mount {
        try await mount(arguments, variables, at: location)
    }

    /// Mounts in the background, with more variables.
    func mount(_ variables: [String: String], at location: SourceLocation = #_sourceLocation) async throws -> Mount {
        try await mount([], variables, at: location)
    }

    private func mount(
        _ arguments: [String],
        _ variables: [String: String],
        at location: SourceLocation
    ) async throws -> Mount {
        let outcome = try await ChildProcess.run(
            CommandTests.credfs,
            ["mount"] + arguments,
            environment: environment.merging(variables) { $1 }
        )
        try #require(outcome.status == .exited(0), "\(outcome.errorText)", sourceLocation: location)
        let path = String(outcome.outputText.dropLast())
        return Mount(path: path, process: try await server(of: path))
    }

    /// The process that serves the only mount, or the one at a path.
    func server(of path: String? = nil) async throws -> Int32 {
        struct Document: Decodable {
            struct Mount: Decodable {
                let path: String
                let pid: Int32
            }
            let mounts: [Mount]
        }
        let text = try await credfs("status", "--json").standardOutput
        let mounts = try JSONDecoder().decode(Document.self, from: Data(text)).mounts
        return try #require(mounts.first { path == nil || $0.path == path }).pid
    }

    /// Makes a private directory.
    func makeDirectory(_ name: String) throws -> String {
        let path = sandbox.directory.path(name)
        try FileManager.default.createDirectory(
            atPath: path,
            withIntermediateDirectories: false,
            attributes: [.posixPermissions: 0o700]
        )
        return path
    }

    /// Ends every mount and expects that nothing is left.
    func unmountAll(at location: SourceLocation = #_sourceLocation) async throws {
        let outcome = try await credfs("unmount", "--all")
        #expect(outcome.status == .exited(0), "\(outcome.errorText)", sourceLocation: location)
        try expectNothingLeft(at: location)
    }
}
