// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

/// Limits of a policy that the threat model names: what runs inside of an allowed process reads what that process may.
@Suite(.serialized, .timeLimit(.minutes(20)))
struct PolicyLimitTests {
    private func resolved(_ path: String) -> String { URL(filePath: path).resolvingSymlinksInPath().path }

    private func box(allowing program: String, value: String = "t") async throws -> JobBox {
        let box = try await JobBox(["T": value])
        try await box.sandbox.succeed("policy", "set", "T", "--allow-exe", resolved(program))
        return box
    }

    @Test func aDescriptorThatIsPassedOnIsRead() async throws {
        let box = try await box(allowing: "/bin/bash")
        let outcome = try await box.run([], shell: "exec 3< $T_FILE; head -c9 <&3; head -c9 $T_FILE")
        #expect(outcome.outputText == "t" && outcome.errorText.contains("Permission denied"), "\(outcome.errorText)")
    }

    @Test func aLibraryThatIsPreloadedReads() async throws {
        let box = try await box(allowing: "/bin/cat")
        let source = """
            #include <fcntl.h>
            #include <stdlib.h>
            #include <unistd.h>
            __attribute__((constructor)) static void read_it(void) {
                char bytes[9];
                ssize_t count = read(open(getenv("T_FILE"), O_RDONLY), bytes, sizeof bytes);
                if (count > 0) write(1, bytes, count);
            }
            """
        let library = box.sandbox.directory.path("preloaded.so")
        let compiled = try await ChildProcess.run(
            "/usr/bin/env",
            ["clang", "-w", "-shared", "-fPIC", "-x", "c", "-o", library, "-"],
            environment: ["PATH": ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"],
            standardInput: Array(source.utf8)
        )
        try #require(compiled.status == .exited(0), "\(compiled.errorText)")
        let outcome = try await box.run([], shell: "LD_PRELOAD=\(library) cat /dev/null")
        #expect(outcome.outputText == "t", "\(outcome.errorText)")
    }

    @Test func aScriptOfAnInterpreterReadsWhatEveryScriptMay() async throws {
        let box = try await box(allowing: "/usr/bin/python3")
        for word in ["one", "two"] {
            let program = "import os; print('\(word)', open(os.environ['T_FILE']).read())"
            let outcome = try await box.run([], shell: "/usr/bin/python3 -c \"\(program)\"")
            #expect(outcome.outputText == "\(word) t\n", "\(outcome.errorText)")
        }
    }

    @Test func aTracerReadsTheMemoryOfAReader() async throws {
        let value = "traced-\(UUID().uuidString)"
        let box = try await box(allowing: "/bin/bash", value: value)
        let program = """
            import os, re, subprocess
            try: open(os.environ["T_FILE"])
            except PermissionError: print("refused")
            reader = subprocess.Popen(["/bin/bash", "-c", "x=$(< $T_FILE); echo; read"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            reader.stdout.readline()
            for line in open(f"/proc/{reader.pid}/maps"):
                start, end = (int(x, 16) for x in line.split()[0].split("-"))
                if not line.split()[1].startswith("rw"): continue
                with open(f"/proc/{reader.pid}/mem", "rb") as memory:
                    memory.seek(start)
                    found = re.search(rb"traced-[0-9A-F-]{36}", memory.read(end - start))
                if found: print(found.group().decode()); break
            reader.communicate()
            """
        let script = try box.sandbox.directory.write(Array(program.utf8), to: "tracer.py")
        let outcome = try await box.run([], shell: "/usr/bin/python3 \(script)")
        #expect(outcome.outputText == "refused\n\(value)\n", "\(outcome.errorText)")
    }

    @Test(.enabled(if: isRoot, "makes namespaces"))
    func aCallerOfAnotherProcessNamespaceIsRefusedOnlyWhereARuleNeedsIt() async throws {
        let box = try await box(allowing: "/bin/cat")
        try await box.sandbox.succeed("set", "FREE", input: Array("f".utf8))
        let script = """
            unshare --fork --pid --mount-proc "$1" mount --foreground > "$2" &
            until [ -s "$2" ]; do kill -0 $! || exit 1; sleep 0.02; done
            server=$(cat /proc/$!/task/$!/children)
            nsenter --mount --target $server cat "$(cat "$2")/FREE"
            nsenter --mount --target $server cat "$(cat "$2")/T"
            kill $server
            wait
            """
        let outcome = try await ChildProcess.run(
            "/bin/bash",
            ["-c", script, "bash", credfs, box.sandbox.directory.path("path")],
            environment: box.environment.merging(["PATH": "/usr/bin:/bin:/usr/sbin:/sbin"]) { $1 }
        )
        #expect(outcome.outputText == "f" && outcome.errorText.contains("Permission denied"), "\(outcome.errorText)")
        let log = String(decoding: try Files.read(box.sandbox.path("state/audit.log")), as: UTF8.self)
        let opens = log.split(separator: "\n").filter { $0.contains("\"operation\":\"open\"") }
        #expect(opens.count == 2 && opens.allSatisfy { $0.contains("\"pid\":0") }, "\(log)")
    }

    @Test(.enabled(if: isRoot, "changes the root of a job"))
    func aDigestHoldsInAnotherRoot() async throws {
        let box = try await JobBox(["T": "t"])
        try await box.sandbox.succeed("policy", "set", "T", "--allow-exe-sha256", resolved("/bin/cat"))
        let root = box.sandbox.directory.path("root")
        // As a container has it: files of its own, the directory of secrets mounted into it.
        let script = """
            set -e
            mkdir -p \(root)/secrets \(root)/bin
            for program in cat head; do
                cp $(command -v $program) \(root)/bin
                for library in $(ldd $(command -v $program) | grep -o '/[^ ]*'); do
                    mkdir -p \(root)/$(dirname $library); cp -L $library \(root)/$library
                done
            done
            mount --bind $CREDENTIALS_DIRECTORY \(root)/secrets
            chroot \(root) /bin/cat /secrets/T
            chroot \(root) /bin/head -c9 /secrets/T
            """
        let outcome = try await box.run([], shell: script)
        #expect(outcome.outputText == "t" && outcome.errorText.contains("Permission denied"), "\(outcome.errorText)")
    }
}
