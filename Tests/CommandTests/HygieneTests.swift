// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

@Suite struct HygieneTests {
    /// Starts `set` and waits until it reads its value, long after it has taken its key.
    private func waitingForAValue(
        _ sandbox: Sandbox,
        _ pipe: PipePair,
        program: [String] = [],
        adding variables: [String: String]
    ) async throws -> ChildProcess.Running {
        let command = program + [credfs, "set", "ONE"]
        let process = try ChildProcess.Running(
            "/usr/bin/env",
            command,
            environment: sandbox.environment.merging(variables) { $1 },
            input: .descriptor(pipe.output)
        )
        pipe.write([65])
        let deadline = ContinuousClock.now + .seconds(30)
        while pipe.unreadByteCount > 0 {
            try #require(ContinuousClock.now < deadline, "the value is not read")
            try await Task.sleep(for: .milliseconds(2))
        }
        return process
    }

    @Test(.enabled(if: isRoot, "only root may look into the process"))
    func keysAndPasswordsAreGoneFromTheEnvironmentAndNothingIsAnArgument() async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        let key = String(decoding: try Files.read(sandbox.path("secrets.key")), as: UTF8.self).dropLast()
        let password = "four random words \(UUID().uuidString)"
        let identity = "not an identity \(UUID().uuidString)"
        let pipe = PipePair()
        let process = try await waitingForAValue(
            sandbox,
            pipe,
            adding: ["CREDFS_KEY": String(key), "CREDFS_PASSWORD": password, "CREDFS_AGE_KEY": identity]
        )
        let environment = try Files.readOnce("/proc/\(process.id)/environ")
        #expect(environment.firstRange(of: Array("CREDFS_STORE=\(sandbox.store)".utf8)) != nil)
        #expect(environment.firstRange(of: Array("CREDFS_KEY=".utf8)) != nil)
        #expect(environment.firstRange(of: Array(key.utf8.suffix(43))) == nil)
        #expect(environment.firstRange(of: Array(password.utf8)) == nil)
        #expect(environment.firstRange(of: Array(identity.utf8)) == nil)
        #expect(try Files.readOnce("/proc/\(process.id)/cmdline") == Array("\(credfs)\0set\0ONE\0".utf8))
        let limits = String(decoding: try Files.readOnce("/proc/\(process.id)/limits"), as: UTF8.self)
        #expect(limits.contains(/Max core file size +1 +1\b/))
        pipe.closeInput()
        #expect(try await process.end().status == .exited(0))
        #expect(try await sandbox.value("ONE") == [65])
    }

    @Test(.enabled(if: isRoot, "only root can become somebody else"))
    func anotherProcessOfTheSameUserMayNotLookInside() async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        let prefix = try sandbox.giveToStranger().split(separator: " ").map(String.init)
        let pipe = PipePair()
        let process = try await waitingForAValue(sandbox, pipe, program: prefix, adding: [:])
        let control = try ChildProcess.Running("/usr/bin/env", prefix + ["sleep", "600"])
        try await Task.sleep(for: .milliseconds(50))
        for file in ["environ", "maps", "mem", "fd/0", "root"] {
            func look(_ id: Int32) async throws -> ChildProcess.Outcome.Status {
                let path = "/proc/\(id)/\(file)"
                let command = file == "root" || file == "fd/0" ? ["readlink", path] : ["dd", "count=0", "if=\(path)"]
                return try await ChildProcess.run("/usr/bin/env", prefix + command).status
            }
            #expect(try await look(process.id) == .exited(1), "\(file)")
            #expect(try await look(control.id) == .exited(0), "\(file)")
        }
        pipe.closeInput()
        #expect(try await process.end().status == .exited(0))
        kill(control.id, SIGTERM)
        #expect(try await control.end().status == .signal(SIGTERM))
    }

    @Test func aMarkerIsFoundNowhereButWhereItWasPut() async throws {
        let marker = "Canary" + UUID().uuidString.replacing("-", with: "")
        let bytes = Array(marker.utf8)
        let sandbox = try await Sandbox(["KEPT": "old"])
        let file = try sandbox.directory.write(bytes, to: "planted-file")
        var traces: [(what: String, bytes: [UInt8])] = []
        func note(_ arguments: [String], _ outcome: ChildProcess.Outcome, mayShow: Bool = false) {
            let what = arguments.joined(separator: " ").replacing(marker, with: "MARKER")
            if !mayShow { traces.append((what + ": standard output", outcome.standardOutput)) }
            traces.append((what + ": standard error", outcome.standardError))
        }
        func run(_ arguments: [String], _ status: Int32, input: [UInt8] = [], adding: [String: String] = [:])
            async throws
        {
            let outcome = try await sandbox.run(arguments + ["-v"], input: input, adding: adding)
            #expect(outcome.status == .exited(status), "\(arguments): \(outcome.errorText)")
            note(arguments, outcome)
        }
        // Values that are refused when they enter.
        for format in ["json", "hex32", "pem"] {
            try await run(["set", "NEW", "--format", format], 17, input: bytes)
            try await run(["set", "NEW", "--format", format, "--value-file", file], 17)
        }
        try await run(["set", "NEW", "--format", "text"], 17, input: bytes + [0] + bytes)
        try await run(["set", "NEW", "--max-size", "8"], 17, input: bytes)
        try await run(["set", "a:b"], 64, input: bytes)
        try await run(["set", "NEW", "--expires", "never", "--format", marker], 64, input: bytes)
        // A value or password where it does not belong.
        for arguments in [
            ["set", "NEW", marker], ["set", "NEW", "-", marker], ["set", "NEW", "--value=\(marker)"],
            ["set", "NEW", "-p\(marker)"], ["set", "NEW", "--max-size", marker],
            ["show", "KEPT", "--password", marker],
            ["show", "KEPT", "--newline", marker], ["list", "--json=\(marker)"], ["set", "NEW", "--expires", marker],
        ] {
            try await run(arguments, 64)
        }
        // Keys and passwords that open nothing.
        try await run(["show", "KEPT"], 15, adding: ["CREDFS_KEY": marker])
        try await run(["show", "KEPT"], 15, adding: ["CREDFS_KEY": "CREDFS-KEY-1:" + marker + "AAAAA"])
        try await run(["show", "KEPT", "--key-file", file], 15)
        try await run(["show", "KEPT", "--password-file", file], 12)
        // Plaintext in a manifest.
        let manifest = try sandbox.manifest()
        let plain = "  PLAIN:\n    value: \"\(marker)\"\n"
        let planted: [(text: String, verify: Int32, encrypt: Int32)] = [
            (plain, 22, 17), (plain + "    format: json\n", 22, 17), (plain + plain, 17, 17),
            (plain + "    extra: x\n", 17, 17),
            ("  PLAIN:\n    value: \"\(marker)\\q\"\n", 17, 17), ("  PLAIN:\n    value: \"\(marker)\n", 17, 17),
            ("  PLAIN:\n    value: ENC[AES256_GCM,\(marker)]\n", 22, 22), ("  PLAIN:\n    \(marker): x\n", 17, 17),
            ("  PLAIN: \(marker)\n", 17, 17), ("  PLAIN:\n    value: !\(marker) x\n", 17, 17),
            ("  PLAIN:\n    value: *\(marker)\n", 17, 17), ("  PLAIN:\n    value: &\(marker) x\n", 17, 17),
            ("  PLAIN:\n    value: x\n    mode: \(marker)\n", 17, 17), ("  PLAIN:\n    value: [\(marker)]\n", 17, 17),
            ("\t\(marker)", 17, 17), ("%\(marker)", 17, 17),
            ("  PLAIN:\n    value: x\n    expires: \(marker)\n", 17, 17),
        ]
        for (index, plant) in planted.enumerated() {
            try sandbox.replaceManifest(
                manifest.replacing("\nsecrets:\n", with: "\nsecrets:\n\(plant.text)")
                    .replacing("generation: ", with: index == 0 ? "generation: x" : "generation: ").utf8
            )
            for arguments in [["verify"], ["verify", "--json"], ["show", "KEPT"], ["show", "PLAIN"], ["list"]] {
                try await run(arguments, index == 0 ? 17 : plant.verify)
            }
            try await run(["encrypt"], plant.encrypt)
            try sandbox.replaceManifest(manifest.utf8)
            let template = "secrets:\n\(plant.text)" + (index == 0 ? "version: x\n" : "")
            let path = try sandbox.directory.write(Array(template.utf8), to: "planted-template")
            try await run(["encrypt", path], plant.encrypt)
        }
        // And what succeeds.
        try await run(["set", "PLAIN"], 0, input: bytes)
        try await run(["set", "PLAIN", "--value-file", file], 0)
        note(["show"], try await sandbox.succeed("show", "PLAIN", "-v"), mayShow: true)
        for arguments in [["get", "PLAIN"], ["list", "--json"], ["verify"], ["encrypt"]] { try await run(arguments, 0) }
        let template = try sandbox.directory.write(Array("secrets:\n\(plain)".utf8), to: "planted-template")
        try await run(["encrypt", template], 0)
        try sandbox.replaceManifest(
            try sandbox.manifest().replacing(/PLAIN:\n    value: .*/, with: "PLAIN:\n    value: \(marker)").utf8
        )
        try await run(["encrypt"], 0)
        #expect(try await sandbox.value("PLAIN") == bytes)

        for (name, entry) in try sandbox.snapshot().entries where !name.hasPrefix("planted-") {
            traces.append((name, entry.bytes))
        }
        let forms = Self.forms(of: bytes)
        for trace in traces {
            for form in forms {
                let isThere = Data(trace.bytes).range(of: Data(form)) != nil
                #expect(!isThere, "\(trace.what)")
            }
        }
        // The search itself finds what is there.
        #expect(forms.allSatisfy { form in Data([1, 2] + form + [3]).range(of: Data(form)) != nil })
    }

    /// A marker raw, in hexadecimal digits and in base64 at each offset, without the characters that depend on neighbours.
    private static func forms(of marker: [UInt8]) -> [[UInt8]] {
        var forms = [
            marker, Array(Hexadecimal.encode(marker).utf8), Array(Hexadecimal.encode(marker).uppercased().utf8),
        ]
        for offset in 0..<3 {
            let shifted = marker.dropFirst(offset)
            let whole = Data(shifted.prefix(shifted.count / 3 * 3)).base64EncodedString()
            forms.append(Array(whole.utf8))
            forms.append(Array(whole.replacing("+", with: "-").replacing("/", with: "_").utf8))
        }
        return forms
    }
}

extension Files {
    /// Reads a file of the kernel, which has no size.
    static func readOnce(_ path: String) throws -> [UInt8] {
        let handle = try FileHandle(forReadingFrom: URL(filePath: path, directoryHint: .notDirectory))
        defer { try? handle.close() }
        return [UInt8](try handle.read(upToCount: 1 << 20) ?? Data())
    }
}
