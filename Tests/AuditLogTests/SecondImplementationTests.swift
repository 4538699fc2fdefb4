// SPDX-License-Identifier: Apache-2.0

import AuditLog
import CredfsTestSupport
import Foundation
import Testing

/// Tests/Scripts/verify_audit.py, written from docs/file-format.md alone, sees what credfs sees.
@Suite struct SecondImplementationTests {
    private struct Verification: Decodable, Equatable {
        let intact: Bool
        let first: UInt64?
        let last: UInt64?
        let head: String?
        var pending: UInt64 = 0
    }

    private func run(_ fixture: LogFixture, _ arguments: [String] = []) async throws -> Verification {
        let key = try fixture.directory.write(fixture.key, to: "../\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(atPath: key) }
        let outcome = try await ChildProcess.run(
            "/usr/bin/python3",
            [
                "-B", PackageDirectory.root + "Tests/Scripts/verify_audit.py", "--store", LogFixture.store,
                "--audit-key", key, fixture.directory.path,
            ] + arguments
        )
        #expect(outcome.errorText == "")
        let found = try JSONDecoder().decode(Verification.self, from: Data(outcome.standardOutput))
        #expect(outcome.status == .exited(found.intact ? 0 : 1))
        return found
    }

    @Test func aLogOfSeveralFilesAndBlocksIsIntact() async throws {
        let fixture = try LogFixture(4200, fileByteCount: 400_000)
        let outcome = try await run(fixture)
        let report = try fixture.verify()
        #expect(report.fileCount > 3)
        #expect(outcome == Verification(intact: true, first: 1, last: report.last, head: try fixture.log().head().text))
    }

    @Test func whatWasDroppedIsNotMissed() async throws {
        let fixture = try LogFixture(40, fileByteCount: 2000, fileCount: 3)
        let report = try fixture.verify()
        let outcome = try await run(fixture, ["--head", fixture.log().head().text])
        #expect(
            outcome
                == Verification(
                    intact: true,
                    first: report.first,
                    last: report.last,
                    head: try fixture.log().head().text
                )
        )
    }

    @Test(arguments: TamperingTests.cases)
    func seesThatALogIsNotIntact(change: TamperingTests.Case) async throws {
        let fixture = try LogFixture(8)
        try fixture.write(change.change(fixture.lines()))
        #expect(try await run(fixture).intact == false)
    }

    @Test func seesAnEntryThatACrashLeftBehindItsKey() async throws {
        let fixture = try LogFixture(3)
        let key = try fixture.directory.read("audit.key")
        try fixture.append()
        try fixture.directory.write(key, to: "audit.key")
        #expect(
            try await run(fixture)
                == Verification(intact: true, first: 1, last: 5, head: "4:\(try code(fixture, 3))", pending: 1)
        )
        // The entry about the repair is one like others.
        try fixture.append()
        let report = try fixture.verify()
        #expect(report.last == 7)
        #expect(
            try await run(fixture) == Verification(intact: true, first: 1, last: 7, head: try fixture.log().head().text)
        )
    }

    private func code(_ fixture: LogFixture, _ index: Int) throws -> String {
        String(try fixture.lines()[index].suffix(66).prefix(64))
    }
}
