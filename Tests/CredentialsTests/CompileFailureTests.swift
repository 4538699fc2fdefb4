// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

/// What must not compile in the program of somebody else: the files of Tests/CompileFailures.
///
/// The second line of each gives the reason as a regular expression. One compiler runs at a time.
@Suite(.serialized, .timeLimit(.minutes(10))) struct CompileFailureTests {
    private static let directory = PackageDirectory.root + "Tests/CompileFailures/"
    private static let control = "Control.swift"

    private static func files() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: directory)
            .filter { $0.hasSuffix(".swift") && $0 != control }.sorted()
    }

    @Test(arguments: try files()) func theFileDoesNotCompileForItsReason(_ file: String) async throws {
        let text = try String(contentsOfFile: Self.directory + file, encoding: .utf8)
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        let line = try #require(lines.dropFirst().first)
        let reason = String(try #require(line.wholeMatch(of: /\/\/ expected: (.+)/), "no expectation").1)
        let outcome = try await compile(file)
        try #require(outcome.status != .exited(0), "it compiles")
        #expect(outcome.status == .exited(1))
        let message = try Regex("(?:error|note):.*(?:\(reason))")
        #expect(outcome.errorText.contains(message), "another reason than \(reason):\n\(outcome.errorText)")
    }

    @Test func whatTheyLeaveOutCompiles() async throws {
        let outcome = try await compile(Self.control)
        #expect(outcome.status == .exited(0), "\(outcome.errorText)")
    }

    @Test func thereAreFiles() throws {
        #expect(try Self.files().count > 20)
    }

    /// Compiles a file as a program outside of the package, with the modules of the build that holds the tests.
    private func compile(_ file: String) async throws -> ChildProcess.Outcome {
        let maps = [
            PackageDirectory.root + "Sources/CLinux/module.modulemap",
            PackageDirectory.root + "Sources/CLibCrypto/module.modulemap",
            try Self.mapOfSwiftSystem(),
        ]
        var arguments = ["swiftc", "-swift-version", "6", "-parse-as-library", "-module-name", "Consumer"]
        // Further than -typecheck: it looks at what is consumed and what escapes.
        arguments += ["-emit-sil", "-o", "-"]
        arguments += ["-I", PackageDirectory.products + "Modules"]
        arguments += ["-module-cache-path", PackageDirectory.products + "ModuleCache"]
        for map in maps { arguments += ["-Xcc", "-fmodule-map-file=" + map] }
        // The compiler leaves directories behind where it fails.
        let temporary = try CredfsTestSupport.TemporaryDirectory()
        var environment = ["TMPDIR": temporary.path]
        environment["HOME"] = ProcessInfo.processInfo.environment["HOME"]
        return try await ChildProcess.run(
            "/usr/bin/env",
            arguments + [Self.directory + file],
            environment: environment,
            timeout: .seconds(120)
        )
    }

    /// The checkouts lie beside the products of every configuration: SCRATCH/TRIPLE/debug and SCRATCH/checkouts.
    private static func mapOfSwiftSystem() throws -> String {
        let scratch = URL(filePath: PackageDirectory.products, directoryHint: .isDirectory)
            .deletingLastPathComponent().deletingLastPathComponent()
        let module = scratch.path(percentEncoded: false) + "checkouts/swift-system/Sources/CSystem/"
        let names = try FileManager.default.subpathsOfDirectory(atPath: module)
        return module + (try #require(names.first { $0.hasSuffix("module.modulemap") }))
    }
}
