// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

/// A program that was named and is not the one beside the tests, which is a debug build.
private let isShipped: Bool = {
    func resolved(_ path: String) -> String {
        URL(filePath: path, directoryHint: .notDirectory).resolvingSymlinksInPath().path(percentEncoded: false)
    }
    return ProcessInfo.processInfo.environment["CREDFS_PROGRAM"] != nil && resolved(credfs) != resolved(debugProgram)
}()

private let debugProgram = PackageDirectory.products + "credfs"

/// The file of the shipped program: linked statically it needs no shared library, linked dynamically those of a list.
@Suite(.enabled(if: isShipped, "CREDFS_PROGRAM names no shipped program"), .timeLimit(.minutes(10)))
struct LinkageTests {
    /// What a dynamic build needs beside the loader, whose name is the architecture's.
    private static let libraries = [
        "libc.so.6", "libcrypto.so.3", "libfuse3.so.3", "libgcc_s.so.1", "libm.so.6", "libstdc++.so.6",
        "libyaml-0.so.2",
    ]

    /// What readelf(1) says of the file, its segments and its dynamic section.
    private let headers: [Substring]

    init() async throws {
        let readelf = #"readelf --file-header --program-headers --dynamic --wide "$1""#
        headers = try await Self.output(pipeline: readelf, credfs).split(separator: "\n")
    }

    @Test func itNeedsNoLibraryOrThoseOfTheList() {
        let needed = headers.compactMap { $0.firstMatch(of: /\(NEEDED\).*\[(.*)\]$/).map { String($0.1) } }
        if hasLoader {
            #expect(needed.filter { !$0.hasPrefix("ld-") }.sorted() == Self.libraries)
        } else {
            #expect(needed.isEmpty)
        }
    }

    /// What the loader would look for later, it would look for with secrets in registers that it saves on the stack.
    @Test func itLooksForNothingAfterItsStart() async throws {
        if hasLoader {
            #expect(headers.contains { $0.contains(#/\((?:FLAGS|FLAGS_1)\).*NOW/#) }, "bound at its start (-z now)")
        } else {
            // Nothing but its own addresses, and the choice of a function by processor, is settled at its start.
            let kinds = "readelf --relocs --wide \"$1\" | grep --only-matching 'R_[A-Z0-9_]*' | sort --unique"
            let relocations = try await Self.output(pipeline: kinds, credfs).split(separator: "\n")
            #expect(!relocations.isEmpty)
            #expect(relocations.filter { !$0.hasSuffix("_RELATIVE") && !$0.hasSuffix("_IRELATIVE") } == [])
        }
    }

    @Test func itIsLoadedAtRandomAddresses() {
        #expect(headers.contains { $0.contains(#/Type: *DYN /#) }, "position-independent (PIE)")
    }

    @Test func itsTablesOfAddressesAreNotWritable() {
        #expect(headers.contains { $0.contains(#/^ *GNU_RELRO /#) }, "read-only after its start (RELRO)")
    }

    @Test func nothingCanBeWrittenAndExecuted() {
        #expect(headers.contains { $0.contains(#/^ *GNU_STACK .* RW /#) }, "a stack that cannot be executed")
        #expect(headers.filter { $0.contains(#/^ *LOAD .* RWE /#) } == [])
    }

    @Test func itLooksForLibrariesInNoDirectoryOfItsOwn() {
        #expect(headers.filter { $0.contains(#/\((?:RPATH|RUNPATH)\)/#) } == [])
    }

    /// Failures that tests inject into system calls are compiled into debug builds alone, where their hook is found.
    @Test func itHasNoHookOfFaultInjection() async throws {
        let count = #"nm "$1" | awk '{ all++ } /FaultPlan/ { found++ } END { print (all > 0), (found > 0) }'"#
        #expect(try await Self.output(pipeline: count, credfs) == "1 0\n", "symbols, and none of the hook")
        #expect(try await Self.output(pipeline: count, debugProgram) == "1 1\n")
    }

    /// Only the program that asks servers has a library of the network, and it has nothing of FUSE or YAML.
    @Test func theOtherProgramAloneHasLibcurl() async throws {
        let readelf = #"readelf --dynamic --program-headers --wide "$1""#
        let remote = PackageDirectory.program("credfs-remote")
        let lines = try await Self.output(pipeline: readelf, remote).split(separator: "\n")
        let needed = lines.compactMap { $0.firstMatch(of: /\(NEEDED\).*\[(.*)\]$/).map { String($0.1) } }
        #expect(
            needed.filter { !$0.hasPrefix("ld-") }.sorted() == [
                "libc.so.6", "libcrypto.so.3", "libcurl.so.4", "libgcc_s.so.1", "libm.so.6", "libstdc++.so.6",
            ]
        )
        #expect(lines.contains { $0.contains(#/\((?:FLAGS|FLAGS_1)\).*NOW/#) }, "bound at its start (-z now)")
        #expect(lines.contains { $0.contains(#/^ *GNU_RELRO /#) }, "read-only after its start (RELRO)")
        #expect(lines.filter { $0.contains(#/\((?:RPATH|RUNPATH)\)/#) } == [])
    }

    private var hasLoader: Bool { headers.contains { $0.contains(#/^ *INTERP /#) } }

    /// What a pipeline of the shell writes about a program, which is its `$1`.
    private static func output(pipeline: String, _ program: String) async throws -> String {
        let outcome = try await ChildProcess.run(
            "/usr/bin/env",
            ["bash", "-c", "set -o pipefail; \(pipeline)", "bash", program],
            environment: ["LC_ALL": "C"]
        )
        try #require(outcome.status == .exited(0), "\(outcome.errorText)")
        return outcome.outputText
    }
}
