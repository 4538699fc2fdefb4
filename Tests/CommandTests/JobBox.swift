// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

/// A store, a runtime directory of its own, and what a job leaves behind in it.
final class JobBox: Sendable {
    let sandbox: Sandbox

    convenience init() throws {
        try self.init(try Sandbox())
    }

    convenience init(_ secrets: [String: String]) async throws {
        try self.init(try await Sandbox(secrets))
    }

    init(_ sandbox: Sandbox) throws {
        self.sandbox = sandbox
        try FileManager.default.createDirectory(
            atPath: runtime,
            withIntermediateDirectories: false,
            attributes: [.posixPermissions: 0o700]
        )
    }

    /// What XDG_RUNTIME_DIR says.
    var runtime: String { sandbox.directory.path("runtime") }

    /// The variables that credfs is run with.
    var environment: [String: String] { sandbox.environment.merging(["XDG_RUNTIME_DIR": runtime]) { $1 } }

    /// Runs credfs.
    func credfs(_ arguments: String..., adding variables: [String: String] = [:]) async throws -> ChildProcess.Outcome {
        try await ChildProcess.run(
            CommandTests.credfs,
            arguments,
            environment: environment.merging(variables) { $1 }
        )
    }

    /// Runs a shell script as a job.
    func run(
        _ options: [String],
        shell script: String,
        adding variables: [String: String] = [:]
    ) async throws -> ChildProcess.Outcome {
        try await ChildProcess.run(
            CommandTests.credfs,
            ["run"] + options + ["--", "/bin/bash", "-c", script],
            environment: environment.merging(variables) { $1 }
        )
    }

    /// Starts a shell script as a job, and waits until it has written a file.
    func start(
        _ options: [String],
        shell script: String,
        adding variables: [String: String] = [:]
    ) async throws -> StartedJob {
        let ready = sandbox.directory.path("ready-\(UUID().uuidString)")
        let job = try ChildProcess.Running(
            CommandTests.credfs,
            ["run"] + options + ["--", "/bin/bash", "-c", script],
            environment: environment.merging(variables) { $1 }.merging(["READY": ready]) { $1 }
        )
        let text = try await Eventually.text(of: ready)
        return StartedJob(credfs: job, text: text)
    }

    /// What is in the runtime directory.
    var leftovers: [String] { get throws { try FileManager.default.subpathsOfDirectory(atPath: runtime) } }

    /// Expects that no mount, record or directory is left.
    func expectNothingLeft(at location: SourceLocation = #_sourceLocation) throws {
        let mounts = String(decoding: try Files.read("/proc/self/mountinfo"), as: UTF8.self)
        #expect(!mounts.contains(runtime), sourceLocation: location)
        let names = try FileManager.default.subpathsOfDirectory(atPath: runtime)
        #expect(names.isEmpty, sourceLocation: location)
    }
}

/// A job that runs.
struct StartedJob {
    /// The process of credfs.
    let credfs: ChildProcess.Running
    /// What it wrote when it was ready: usually the id of its process.
    let text: String

    /// The id of the process of the job, where it wrote that.
    var process: Int32 { Int32(text.split(separator: " ").first ?? "") ?? -1 }
}

/// Waiting for what another process does.
enum Eventually {
    struct NotInTime: Error {
        let what: String
    }

    /// Waits until a condition holds.
    static func holds(
        _ what: String,
        within limit: Duration = .seconds(300),
        _ condition: () async throws -> Bool
    ) async throws {
        let deadline = ContinuousClock.now + limit
        while try await !condition() {
            guard ContinuousClock.now < deadline else { throw NotInTime(what: what) }
            try await Task.sleep(for: .milliseconds(2))
        }
    }

    /// Waits for a file that ends with a newline.
    static func text(of path: String) async throws -> String {
        var text = ""
        try await holds("a line in \(path)") {
            guard Files.exists(path) else { return false }
            text = String(decoding: try Files.read(path), as: UTF8.self)
            return text.hasSuffix("\n")
        }
        return String(text.dropLast())
    }
}

/// What the kernel says of a process.
enum ProcessState {
    /// Its state letter; nil where there is no such process.
    static func letter(_ process: Int32) -> Character? {
        guard let bytes = try? Files.read("/proc/\(process)/stat") else { return nil }
        let text = String(decoding: bytes, as: UTF8.self)
        guard let end = text.lastIndex(of: ")") else { return nil }
        return text[text.index(end, offsetBy: 2)]
    }

    /// Whether it runs or could.
    static func isAlive(_ process: Int32) -> Bool {
        guard let letter = letter(process) else { return false }
        return letter != "Z" && letter != "X"
    }
}
