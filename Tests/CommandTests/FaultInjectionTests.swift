// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

/// A full disk, an I/O error and a kill at every call with which a command changes files.
@Suite(.enabled(if: isRoot, "strace can look into a process that is not dumpable only as root"))
struct FaultInjectionTests {
    /// A writing command on a store whose secret KEPT is never touched.
    struct Command: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let arguments: [String]
        /// Made in the sandbox before, beside its store.
        var template = ""
        /// Replaces the value of ONE in the manifest before.
        var isPlaintextInManifest = false
        var hasStore = true
        /// What `edit` runs.
        var editor = ""
        /// Whether an identity opens the store, too.
        var hasSecondSlot = false
        /// Whether a password opens the store, too; the template is the new one.
        var hasPassword = false
        /// What ONE may be afterwards, beside what it was; nil for gone.
        var changed: String? = "new"
    }

    /// One call of a system call.
    struct Site: Hashable {
        let call: String
        let number: Int
    }

    /// Whether every call meets every fault; else one call of each command in eight meets one of them.
    ///
    /// Errors of each call are also injected in process (StoreFaultTests).
    static let isExhaustive = ProcessInfo.processInfo.environment["CREDFS_EXHAUSTIVE_FAULTS"] != nil

    /// What chooses the calls of a sample: scripts/test takes the hash of the commit, so that commits differ and one repeats.
    static let sample = Int(ProcessInfo.processInfo.environment["CREDFS_FAULT_SAMPLE"] ?? "0", radix: 16) ?? 0

    static let calls = [
        "write", "fsync", "renameat", "openat", "mkdirat", "fchmod", "fchmodat", "unlinkat", "ftruncate",
    ]

    /// Of the vectors of C2SP/CCTV.
    static let recipient = "age1xmwwc06ly3ee5rytxm9mflaz2u56jjj36s0mypdrwsvlul66mv4q47ryef"

    static let commands = [
        Command(testDescription: "init", arguments: ["init", "--empty"], hasStore: false),
        Command(testDescription: "set", arguments: ["set", "ONE"]),
        Command(testDescription: "delete", arguments: ["delete", "ONE", "-y"], changed: nil),
        Command(testDescription: "edit", arguments: ["edit"], editor: "sed -i s/old/new/"),
        Command(testDescription: "encrypt", arguments: ["encrypt"], isPlaintextInManifest: true),
        Command(
            testDescription: "encrypt a template",
            arguments: ["encrypt", "template"],
            template: "secrets:\n  ONE:\n    value: new\n"
        ),
        Command(
            testDescription: "import",
            arguments: ["import", "template", "--format", "dotenv", "--overwrite"],
            template: "NEW=x\nONE=new\n"
        ),
        Command(
            testDescription: "import and remove",
            arguments: ["import", "template", "--format", "json", "--overwrite", "--remove"],
            template: #"{"ONE":"new"}"#
        ),
        Command(testDescription: "keys add", arguments: ["keys", "add", "--recipient", recipient], changed: "old"),
        Command(
            testDescription: "keys remove",
            arguments: ["keys", "remove", "age"],
            hasSecondSlot: true,
            changed: "old"
        ),
        Command(
            testDescription: "password",
            arguments: ["password", "--new-password-file", "template"],
            template: "seven quiet otters juggling",
            hasPassword: true,
            changed: "old"
        ),
        Command(testDescription: "rotate", arguments: ["rotate"], hasSecondSlot: true, changed: "old"),
        Command(testDescription: "rotate a value", arguments: ["rotate", "ONE"]),
    ]

    private func prepare(_ command: Command) async throws -> Sandbox {
        guard command.hasStore else { return try Sandbox() }
        let sandbox = try await Sandbox(["KEPT": "kept", "ONE": "old"])
        if command.hasSecondSlot { try await sandbox.succeed("keys", "add", "--recipient", Self.recipient) }
        if !command.template.isEmpty {
            try sandbox.directory.write(Array(command.template.utf8), to: "template")
            try Files.setMode(0o600, sandbox.directory.path("template"))
        }
        if command.hasPassword {
            try sandbox.directory.write(Array("four loud badgers dancing".utf8), to: "password")
            try Files.setMode(0o600, sandbox.directory.path("password"))
            try await sandbox.succeed("keys", "add", "--new-password-file", sandbox.directory.path("password"))
        }
        if command.isPlaintextInManifest {
            try sandbox.replaceManifest(
                try sandbox.manifest().replacing(/ONE:\n    value: .*/, with: "ONE:\n    value: new").utf8
            )
        }
        return sandbox
    }

    private func trace(_ command: Command, _ sandbox: Sandbox, _ options: [String]) async throws -> ChildProcess.Outcome
    {
        let arguments = command.arguments.map { $0 == "template" ? sandbox.directory.path("template") : $0 }
        return try await ChildProcess.run(
            "/usr/bin/strace",
            // Not with --seccomp-bpf, with which no signal is ever injected.
            ["-f", "-qq"] + options + [credfs] + arguments,
            environment: sandbox.environment.merging(
                ["XDG_RUNTIME_DIR": sandbox.directory.path("home"), "CREDFS_EDITOR": command.editor]
            ) { $1 },
            standardInput: Array("new".utf8)
        )
    }

    /// The calls that change something, found in a run without faults.
    private func sites(_ command: Command) async throws -> [Site] {
        let sandbox = try await prepare(command)
        let log = sandbox.directory.path("trace")
        let names = Self.calls.joined(separator: ",")
        let outcome = try await trace(command, sandbox, ["-y", "-e", "trace=\(names)", "-e", "signal=none", "-o", log])
        try #require(outcome.status == .exited(0), "\(outcome.errorText)")
        var counts: [String: Int] = [:]
        var sites: Set<Site> = []
        for line in String(decoding: try Files.read(log), as: UTF8.self).split(separator: "\n") {
            // A process, a call and its arguments; short numbers of processes are followed by more spaces.
            let parts = line.split(whereSeparator: { " (".contains($0) })
            guard parts.count > 2, Self.calls.contains(String(parts[1])) else { continue }
            let call = String(parts[1])
            // strace counts calls of each process by itself.
            counts["\(parts[0]) \(call)", default: 0] += 1
            let number = counts["\(parts[0]) \(call)", default: 0]
            let changes =
                call == "openat" ? line.contains("O_CREAT") || line.contains("O_RDWR") : !line.contains("write(2<")
            if changes && (line.contains(sandbox.directory.path) || line.contains("pipe:")) {
                sites.insert(Site(call: call, number: number))
            }
        }
        return sites.sorted { ($0.call, $0.number) < ($1.call, $1.number) }
    }

    @Test(arguments: commands)
    func leavesTheOldStateOrTheNewOneWhateverFails(command: Command) async throws {
        let sites = try await sites(command)
        try #require(sites.count >= 15, "\(sites)")
        try await withThrowingTaskGroup { group in
            for (index, site) in sites.enumerated() {
                var faults = ["signal=KILL"]
                // Each call fails as it can: those that need room on the disk with ENOSPC.
                if ["write", "openat", "mkdirat", "renameat"].contains(site.call) { faults.append("error=ENOSPC") }
                if !["openat", "mkdirat", "renameat"].contains(site.call) { faults.append("error=EIO") }
                if !Self.isExhaustive {
                    guard index % 8 == Self.sample % 8 else { continue }
                    faults = [faults[(index / 8 + Self.sample / 8) % faults.count]]
                }
                for fault in faults {
                    group.addTask { try await self.inject(fault, at: site, command) }
                }
            }
            try await group.waitForAll()
        }
    }

    /// Whatever fails, an export is there as a whole or not at all, and the next one takes away what a killed one left.
    @Test(arguments: ["write", "fsync", "fchmod", "renameat", "openat"])
    func anExportIsThereAsAWholeOrNotAtAll(call: String) async throws {
        let sandbox = try await Sandbox(["ONE": String(repeating: "x", count: 50_000)])
        let path = sandbox.directory.path("out")
        let whole = Array("ONE=\(String(repeating: "x", count: 50_000))\n".utf8)
        let counting = sandbox.directory.path("trace")
        let export = Command(testDescription: "export", arguments: ["export", "--output", path])
        _ = try await trace(export, sandbox, ["-y", "-e", "trace=\(call)", "-e", "signal=none", "-o", counting])
        let calls = String(decoding: try Files.read(counting), as: UTF8.self).split(separator: "\n")
        let numbers = calls.indices.filter { calls[$0].contains(sandbox.directory.path) }.map { $0 + 1 }
        try #require(!numbers.isEmpty && Files.exists(path))
        for number in numbers {
            for fault in ["signal=KILL", "error=EIO"] {
                try? FileManager.default.removeItem(atPath: path)
                let options = ["-o", "/dev/null", "-e", "trace=\(call)"]
                let outcome = try await trace(
                    export,
                    sandbox,
                    options + ["-e", "inject=\(call):\(fault):when=\(number)"]
                )
                let what: Comment = "\(call) \(number) \(fault)"
                if Files.exists(path) {
                    #expect(try Files.read(path) == whole, what)
                } else {
                    #expect(outcome.status != .exited(0), what)
                }
                let leftovers = try sandbox.snapshot().leftovers.filter { $0.hasPrefix(".out") }
                #expect(leftovers.isEmpty || fault == "signal=KILL", what)
            }
        }
        try await sandbox.succeed("export", "--output", path, "--overwrite")
        #expect(try sandbox.snapshot().leftovers.filter { $0.hasPrefix(".out") } == [])
    }

    private func inject(_ fault: String, at site: Site, _ command: Command) async throws {
        let what: Comment = "\(command.testDescription): \(fault) at \(site.call) \(site.number)"
        let sandbox = try await prepare(command)
        let unsealed = try? sandbox.manifest()
        let outcome = try await trace(
            command,
            sandbox,
            ["-o", "/dev/null", "-e", "trace=\(site.call)", "-e", "inject=\(site.call):\(fault):when=\(site.number)"]
        )
        switch outcome.status {
        // The editing process takes its memory away after its answer: killed there, it has done its work.
        case .exited(0) where fault == "signal=KILL" && site.call == "unlinkat" && command.arguments[0] == "edit":
            #expect(try sandbox.manifest() != unsealed, what)
        case .exited(0): #expect(fault != "signal=KILL", what)
        case .signal(SIGKILL): #expect(fault == "signal=KILL", what)
        // The fault also meets the helper process, whose answer through a pipe, which never fails like that, is cut then,
        // and the message about it.
        case .exited where site.call == "write" && ["encrypt", "import"].contains(command.arguments[0]): break
        // It also meets the editing process and the editor, each of which has an error of its own.
        case .exited(let status) where command.arguments[0] == "edit":
            #expect([1, 17, 19].contains(status), what)
        default: outcome.expectRefusal(1)
        }
        if command.isPlaintextInManifest, try sandbox.manifest() == unsealed {
            // The command can be given again, as it can after any error.
            #expect(outcome.status != .exited(0), what)
            try await sandbox.succeed("encrypt")
        }
        if !command.hasStore { try await sandbox.succeed("init", "--empty") }
        let verification = try await sandbox.run("verify")
        #expect(verification.status == .exited(0), "\(what) \(verification.outputText)")
        if command.hasStore {
            #expect(try await sandbox.value("KEPT") == Array("kept".utf8), what)
            let one = try await sandbox.run("show", "ONE")
            let now = one.status == .exited(0) ? one.outputText : nil
            #expect(one.status == .exited(now == nil ? 11 : 0), what)
            #expect(now == command.changed || now == "old" && outcome.status != .exited(0), what)
            if command.hasPassword {
                let old = try await sandbox.run("list", "--password-file", sandbox.directory.path("password"))
                let new = try await sandbox.run("list", "--password-file", sandbox.directory.path("template"))
                #expect((old.status == .exited(0)) != (new.status == .exited(0)), what)
            }
            if !command.template.isEmpty, now == "old" {
                #expect(try sandbox.directory.read("template") == Array(command.template.utf8), what)
            }
        }
        // An entry that could not be written is no failure of the command, and never makes the log look changed.
        let audit = try await sandbox.run("audit", "verify")
        #expect(audit.status == .exited(0), "\(what) \(audit.outputText)\(audit.errorText)")
        // The next write cleans up.
        try await sandbox.succeed("set", "AFTER", input: [65])
        #expect(try sandbox.snapshot().leftovers == [], what)
    }
}
