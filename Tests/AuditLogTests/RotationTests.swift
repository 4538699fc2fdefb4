// SPDX-License-Identifier: Apache-2.0

import AuditLog
import CredfsTestSupport
import Foundation
import Sealing
import Testing

/// The chain goes on from file to file.
@Suite struct RotationTests {
    /// A log of small files.
    private func fixture(_ count: Int, fileCount: Int = 8) throws -> LogFixture {
        try LogFixture(count, fileByteCount: 2000, fileCount: fileCount)
    }

    private func oldFiles(_ fixture: LogFixture) throws -> [String] {
        try fixture.log().directory.oldLogs().map { "audit.log.\($0)" }
    }

    @Test func everyFileBeginsWithWhereTheLogBegins() throws {
        let fixture = try fixture(10)
        let old = try oldFiles(fixture)
        #expect(old.first == "audit.log.1")
        #expect(old.count >= 2)
        for name in old + ["audit.log"] {
            let first = try #require(AuditLine(Array(try fixture.lines(name)[0].utf8)))
            #expect(first.entry.operation == "audit-log")
            #expect(first.entry.first == 1)
            #expect(name == "audit.log" || name == "audit.log.\(first.sequence)")
        }
        let report = try fixture.verify()
        #expect(report.isIntact)
        #expect(report.first == 1)
        #expect(report.fileCount == old.count + 1)
    }

    @Test func theOldestFilesAreDroppedAndThatIsNoProblem() throws {
        let fixture = try fixture(40, fileCount: 3)
        #expect(try oldFiles(fixture).count == 2)
        let report = try fixture.verify()
        #expect(report.isIntact, "\(report.problems)")
        #expect(try #require(report.first) > 1)
        #expect(report.fileCount == 3)
        try fixture.append(10)
        #expect(try fixture.verify().isIntact)
    }

    @Test func aFileThatIsRemovedIsMissed() throws {
        for index in 0..<3 {
            let fixture = try fixture(20)
            let old = try oldFiles(fixture)
            try #require(old.count >= 3)
            let count = try fixture.lines(old[index]).count
            let first = try #require(UInt64(old[index].dropFirst("audit.log.".count)))
            try FileManager.default.removeItem(atPath: fixture.directory.path(old[index]))
            #expect(try fixture.problems() == ["missing \(first)"])
            let message = try fixture.verify().problems[0].message
            #expect(message.hasPrefix("entries \(first) to \(first + UInt64(count) - 1) are missing"))
            // New files do not make it forgotten as long as it would be there.
            try fixture.append(3)
            #expect(try fixture.problems() == ["missing \(first)"])
        }
    }

    @Test func filesThatWereDroppedCanBePutBack() throws {
        let fixture = try fixture(12, fileCount: 3)
        let old = try oldFiles(fixture)
        let dropped = try fixture.directory.read(old[0])
        try fixture.append(6)
        let kept = try oldFiles(fixture)
        #expect(!kept.contains(old[0]))
        try fixture.directory.write(dropped, to: old[0])
        #expect(try fixture.problems() == [])
    }

    @Test func filesThatChangedPlacesAreFound() throws {
        let fixture = try fixture(12)
        let old = try oldFiles(fixture)
        let first = try fixture.directory.read(old[0])
        try fixture.directory.write(try fixture.directory.read(old[1]), to: old[0])
        try fixture.directory.write(first, to: old[1])
        #expect(try fixture.verify().problems.allSatisfy { $0.kind == .moved })
        #expect(try !fixture.verify().isIntact)
    }

    /// Every place at which a command can be killed while it begins a new file.
    @Test(arguments: ["renamed", "key", "entry", "removed"])
    func aCrashInBetweenLosesNothing(after step: String) throws {
        let fixture = try fixture(0, fileCount: 3)
        // As full as it gets before the next file is begun, with as many files as are kept.
        while try oldFiles(fixture).count < 2 || fixture.directory.read("audit.log").count < 2000 {
            try fixture.append()
        }
        let before = try fixture.saved()
        let old = try oldFiles(fixture)
        let first = try #require(AuditLine(Array(try fixture.lines()[0].utf8))).sequence
        try fixture.append()
        let after = try fixture.saved()
        let newFirstLine = Array(try fixture.lines()[0].utf8) + [0x0a]
        var crashed = before
        crashed["audit.log.\(first)"] = before["audit.log"]
        crashed["audit.log"] = nil
        switch step {
        case "key", "entry":
            // The key says that the file is empty and where it begins.
            var key = try #require(before["audit.key"])
            key.replaceSubrange(24..<32, with: [UInt8](repeating: 0, count: 8))
            let files = try #require(after["audit.key"])[40..<112]
            key.replaceSubrange(40..<112, with: files)
            crashed["audit.key"] = key
            crashed["audit.log"] = step == "key" ? [] : newFirstLine
        case "removed":
            crashed = after
            crashed[old[0]] = before[old[0]]
        default: break
        }
        try fixture.restore(crashed)
        #expect(try fixture.problems() == [])
        #expect(try !fixture.log().append(sampleEntry(), synchronizing: false).isLogShorter)
        let report = try fixture.verify()
        #expect(report.isIntact, "\(report.problems)")
        try fixture.append(20)
        #expect(try fixture.problems() == [])
    }

    @Test func aLogThatIsEmptiedBeginsAgainAndIsFound() throws {
        let fixture = try fixture(2)
        try fixture.write([])
        #expect(try fixture.log().append(sampleEntry(), synchronizing: false).isLogShorter)
        #expect(try fixture.problems() == ["missing 1"])
    }

    @Test func namesThatAreNoNumbersAreNoFilesOfTheLog() throws {
        let fixture = try fixture(1)
        for name in ["audit.log.x", "audit.log.01", "audit.log.-1", "audit.log.1.gz", "audit.log."] {
            try fixture.directory.write(Array("junk\n".utf8), to: name)
        }
        #expect(try fixture.problems() == [])
    }
}
