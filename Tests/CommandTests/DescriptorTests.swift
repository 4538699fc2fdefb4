// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

@Suite struct DescriptorTests {
    /// Commands that print.
    static let printing = [
        ["show", "ONE"], ["get", "ONE"], ["get", "ONE", "--json"], ["list"], ["list", "--json"], ["verify"], ["--help"],
        ["--version"],
    ]

    @Test func aClosedStandardInputIsNoValue() async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        let before = try sandbox.snapshot()
        let set = try await sandbox.shell("exec \"$@\" <&-", ["set", "ONE"])
        set.expectRefusal(1, "cannot read standard input")
        let directory = try await sandbox.shell("exec \"$@\" </", ["set", "ONE"])
        directory.expectRefusal(1, "cannot read standard input")
        (try await sandbox.shell("exec \"$@\" <&-", ["delete", "ONE"])).expectRefusal(64, hint: "--yes")
        #expect(try sandbox.snapshot() == before)
        #expect(try await sandbox.shell("exec \"$@\" <&-", ["show", "ONE"]).outputText == "value")
    }

    @Test(arguments: printing)
    func anOutputThatTakesNothingIsAnError(arguments: [String]) async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        for (redirection, reason) in [(">&-", "bad file descriptor"), (">/dev/full", "no space left on device")] {
            let outcome = try await sandbox.shell("exec \"$@\" \(redirection)", arguments)
            outcome.expectRefusal(1, "cannot write to standard output: \(reason)")
        }
        let pipe = PipePair()
        pipe.closeOutput()
        let process = try ChildProcess.Running(
            credfs,
            arguments,
            environment: sandbox.environment,
            output: pipe.input
        )
        (try await process.end()).expectRefusal(1, "cannot write to standard output: broken pipe")
    }

    @Test func aWritingCommandNeedsNoOutput() async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        for (number, redirection) in [">&-", ">/dev/full", "2>&-", "2>/dev/full", ">&- 2>&-"].enumerated() {
            let outcome = try await sandbox.shell(
                "exec \"$@\" \(redirection)",
                ["set", "ONE", "-v"],
                input: [UInt8(number)]
            )
            #expect(outcome.status == .exited(0), "\(redirection)")
            #expect(try await sandbox.value("ONE") == [UInt8(number)])
        }
        let silent = try await sandbox.shell("exec \"$@\" 2>/dev/full", ["show", "NONE"])
        #expect(silent.status == .exited(11))
    }

    @Test func aSlowReaderOfANonBlockingPipeGetsEveryByte() async throws {
        let sandbox = try Sandbox()
        try await sandbox.succeed("init", "--empty")
        let value = (0..<1 << 19).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
        try await sandbox.succeed("set", "LARGE", input: value)
        let pipe = PipePair()
        pipe.makeInputNonBlocking()
        let process = try ChildProcess.Running(
            credfs,
            ["show", "LARGE"],
            environment: sandbox.environment,
            output: pipe.input
        )
        // The pipe is full before anything is read.
        while pipe.unreadByteCount < 1 << 16 { try await Task.sleep(for: .milliseconds(2)) }
        pipe.closeInput()
        var bytes: [UInt8] = []
        while bytes.count < value.count {
            let piece = pipe.read(atMost: 8192)
            if piece.isEmpty { break }
            bytes += piece
            if bytes.count % 5 == 0 { try await Task.sleep(for: .milliseconds(1)) }
        }
        let outcome = try await process.end()
        #expect(outcome.status == .exited(0), "\(outcome.errorText)")
        #expect(bytes.count == value.count)
        // Compared outside: a difference of so many elements would be computed for hours.
        let isSame = bytes == value
        #expect(isSame)
    }

    @Test func withoutAnyDescriptorNothingIsWrittenIntoAKeyFile() async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        let file = try sandbox.directory.write([66], to: "value")
        let key = try Files.read(sandbox.path("secrets.key"))
        let commands = [
            ["set", "ONE", "-v", "--value-file", file], ["show", "ONE", "-v"], ["verify", "-v"],
            ["show", "NONE", "-v"],
            ["list", "--bogus"], ["set", "ONE", "-v"], ["init", "-v"],
        ]
        for arguments in commands {
            _ = try await sandbox.shell("exec \"$@\" <&- >&- 2>&-", arguments)
            #expect(try Files.read(sandbox.path("secrets.key")) == key)
            #expect(try Files.read(file) == [66])
        }
        #expect(try await sandbox.value("ONE") == [66])
        #expect(try await sandbox.run("verify").status == .exited(0))
        let new = try Sandbox()
        #expect(try await new.shell("exec \"$@\" <&- >&- 2>&-", ["init", "--empty", "-v"]).status == .exited(0))
        #expect(try await new.run("verify").status == .exited(0))
    }
}
