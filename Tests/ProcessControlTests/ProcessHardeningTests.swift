// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

/// What a hardened process is, seen by one that starts it.
///
/// Each claim has a control: a process that is not hardened.
@Suite struct ProcessHardeningTests {
    /// The probe of this build, or another build of it that a script names.
    private let probe =
        ProcessInfo.processInfo.environment["CREDFS_HARDENING_PROBE"] ?? PackageDirectory.program("HardeningProbe")

    @Test(arguments: ["fault", "trap"])
    func aCrashPrintsNoMemory(kind: String) async throws {
        let environment = ["SWIFT_BACKTRACE": "enable=yes,color=no,swift-backtrace=\(try await crashHandler())"]
        let outcome = try await ChildProcess.run(probe, ["hardened", kind], environment: environment)
        guard case .signal = outcome.status else {
            Issue.record("\(outcome.status)")
            return
        }
        #expect(outcome.standardOutput.isEmpty)
        for sign in ["MMMM", "4d 4d", "Registers", "0x", "Thread", "***"] {
            #expect(!outcome.errorText.contains(sign))
        }
    }

    @Test func withoutHardeningACrashPrintsMemory() async throws {
        let environment = ["SWIFT_BACKTRACE": "enable=yes,color=no,swift-backtrace=\(try await crashHandler())"]
        let outcome = try await ChildProcess.run(probe, ["fault"], environment: environment)
        #expect(outcome.status == .signal(SIGSEGV))
        #expect(outcome.errorText.contains("MMMMMMMMMMMMMMMM"))
    }

    @Test(arguments: [SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV])
    func crashSignalsEndTheProcessInSilence(signal: Int32) async throws {
        let environment = ["SWIFT_BACKTRACE": "enable=yes,swift-backtrace=\(try await crashHandler())"]
        let outcome = try await ChildProcess.run(probe, ["hardened", "signal-\(signal)"], environment: environment)
        #expect(outcome.status == .signal(signal))
        #expect(outcome.errorText == "")
        #expect(outcome.outputText == "")
    }

    @Test func aProgramPlantedAsCrashHandlerIsNotRun() async throws {
        let directory = try TemporaryDirectory()
        // Copied by another process: a program that this one has open for writing while it forks cannot be started.
        let copy = directory.path("probe")
        #expect(try await ChildProcess.run("/bin/cp", [probe, copy]).status == .exited(0))
        let mark = directory.path("mark")
        let script = "#!/bin/sh\necho ran >\(mark)\n"
        // Beside the executable, where a static build looks, and where the variable points.
        let planted = try await directory.writeProgram(script, to: "swift-backtrace")
        for setting in ["enable=yes", "enable=yes,swift-backtrace=\(planted)"] {
            let outcome = try await ChildProcess.run(
                copy,
                ["hardened", "fault"],
                environment: ["SWIFT_BACKTRACE": setting]
            )
            #expect(outcome.status == .signal(SIGSEGV))
            #expect(!FileManager.default.fileExists(atPath: mark))
        }
        let environment = ["SWIFT_BACKTRACE": "enable=yes,swift-backtrace=\(planted)"]
        _ = try await ChildProcess.run(copy, ["fault"], environment: environment)
        #expect(FileManager.default.fileExists(atPath: mark), "the trap itself does not work")
    }

    @Test func nobodyMayLookInsideAndNoCoreIsWritten() async throws {
        let hardened = try await report(["hardened"])
        #expect(hardened.contains("dumpable false"))
        #expect(hardened.contains("core 1 1"))
        let control = try await report([])
        #expect(control.contains("dumpable true"))
        #expect(!control.contains("core 1 1"))
    }

    @Test func aHardLimitOfZeroStaysZero() async throws {
        #expect(try await report(["hardened"], before: "ulimit -Sc 0; ulimit -Hc 0").contains("core 0 0"))
    }

    @Test func aHardLimitOfOneStaysOne() async throws {
        #expect(try await report(["hardened"], before: "ulimit -Sc 0").contains("core 1 1"))
    }

    @Test func closedStandardDescriptorsAreOccupiedAgainstTheirUse() async throws {
        #expect(
            try await report(["hardened"], redirections: "<&- >&- 2>&-").suffix(4)
                == ["descriptor 0 write", "descriptor 1 read", "descriptor 2 read", "next 3"]
        )
        // Without it the next file opened becomes standard input.
        #expect(try await report([], redirections: "<&- >&- 2>&-").last == "next 0")
    }

    @Test(arguments: [("<&-", 0, "write"), (">&-", 1, "read"), ("2>&-", 2, "read")])
    func oneClosedDescriptorIsOccupiedAndTheOthersAreLeftAlone(
        redirection: String,
        number: Int,
        access: String
    ) async throws {
        let lines = try await report(["hardened"], redirections: redirection)
        var expected = ["descriptor 0 read", "descriptor 1 write", "descriptor 2 write"]
        expected[number] = "descriptor \(number) \(access)"
        #expect(lines.suffix(4) == expected + ["next 3"])
    }

    @Test func aBrokenPipeIsAnErrorOfTheWrite() async throws {
        #expect(try await ChildProcess.run(probe, ["hardened", "broken-pipe"]).status == .exited(0))
        #expect(try await ChildProcess.run(probe, ["broken-pipe"]).status == .signal(SIGPIPE))
    }

    @Test func aServingProcessCanDoNothingElse() async throws {
        let lines = try await attempts("attempt-filtered")
        #expect(lines.last == "works")
        let attempts = lines.dropLast().map { $0.split(separator: " ") }
        #expect(attempts.count > 85)
        for attempt in attempts {
            #expect(attempt.first == "attempt", "not refused: \(attempt)")
            #expect(attempt.last == "\(EPERM)", "not refused: \(attempt)")
        }
    }

    @Test func withoutTheFilterItCouldTry() async throws {
        let refused = try await attempts("attempt").filter { $0.hasSuffix(" \(EPERM)") }
        // A container or an ordinary user may not do everything either.
        #expect(refused.count < 40, "\(refused)")
        for attempt in ["fork", "personality", "sendto-udp", "mmap-executable", "kill-parent", "set-user-id"] {
            #expect(!refused.contains { $0.contains(" \(attempt) ") }, "it proves nothing that \(attempt) is refused")
        }
    }

    private func attempts(_ mode: String) async throws -> [String] {
        let directory = try TemporaryDirectory()
        let outcome = try await ChildProcess.run(probe, [directory.path("."), mode])
        #expect(outcome.status == .exited(0), "\(outcome.errorText)")
        return outcome.outputText.split(separator: "\n").map(String.init)
    }

    /// The toolchain's program that prints memory; a static build does not find it by itself.
    private func crashHandler() async throws -> String {
        let find = #"cd "$(dirname "$(readlink -f "$(command -v swift)")")/../libexec/swift/linux" && pwd"#
        let outcome = try await ChildProcess.run("/bin/sh", ["-c", find])
        return outcome.outputText.trimmingCharacters(in: .newlines) + "/swift-backtrace"
    }

    /// Runs the probe under a shell and returns what it reports of itself, line by line.
    private func report(
        _ arguments: [String],
        before: String = ":",
        redirections: String = ""
    ) async throws -> [String] {
        let directory = try TemporaryDirectory()
        let script = "\(before); exec \"$0\" \"$@\" \(redirections)"
        let path = directory.path("report")
        let outcome = try await ChildProcess.run("/bin/sh", ["-c", script, probe] + arguments + [path])
        #expect(outcome.status == .exited(0), "\(outcome.errorText)")
        return String(decoding: try directory.read("report"), as: UTF8.self).split(separator: "\n").map(String.init)
    }
}
