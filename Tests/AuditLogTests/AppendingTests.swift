// SPDX-License-Identifier: Apache-2.0

import AuditLog
import CredfsTestSupport
import Foundation
import Sealing
import SystemPackage
import Testing

@Suite struct AppendingTests {
    @Test func aLogIsBegunOnce() throws {
        let fixture = try LogFixture()
        #expect(try fixture.log().exists())
        let before = try fixture.saved()
        #expect(try !fixture.begin())
        #expect(try fixture.saved() == before)
        #expect(before.keys.sorted() == ["audit.key", "audit.lock", "audit.root"])
    }

    @Test func everyFileBelongsToItsOwnerAlone() throws {
        let fixture = try LogFixture(1)
        for name in try fixture.names() {
            let attributes = try FileManager.default.attributesOfItem(atPath: fixture.directory.path(name))
            #expect(attributes[.posixPermissions] as? Int == 0o600, "\(name)")
        }
    }

    @Test func anEntryIsOneLineWithEveryMember() throws {
        let fixture = try LogFixture(1)
        let lines = try fixture.lines()
        try #require(lines.count == 2)
        let wanted = """
            {"timestamp":"2026-01-02T03:04:05.678Z","sequence":2,"operation":"show","secret":"API.TOKEN",\
            "service":"API","status":"success","reason":null,"uid":1000,"pid":4711,"executable":"/usr/bin/credfs",\
            "parent":"/usr/bin/bash","mount":null,"store":"\(LogFixture.store)","previous":"
            """
        #expect(lines[1].hasPrefix(wanted))
        #expect(lines[1].wholeMatch(of: /.*"previous":"[0-9a-f]{64}","mac":"[0-9a-f]{64}"}/) != nil)
        #expect(lines[0].contains("\"operation\":\"audit-log\""))
        #expect(lines[0].contains("\"reason\":\"a new log\""))
        #expect(lines[0].contains("\"first\":1,\"previous\":\"\(String(repeating: "0", count: 64))\""))
    }

    @Test func whatIsWrittenIsReadBack() throws {
        let entry = fullEntry()
        let fixture = try LogFixture()
        try fixture.log().append(entry, synchronizing: true)
        let line = try #require(AuditLine(Array(try fixture.lines()[1].utf8)))
        #expect(line.entry == entry)
        #expect(line.sequence == 2)
        #expect(try fixture.lines().allSatisfy { $0.utf8.allSatisfy { $0 >= 0x20 } })
        #expect(try fixture.verify().isIntact)
    }

    @Test func aListIsCutBehindTheLastTextThatFits() throws {
        let fixture = try LogFixture()
        var entry = sampleEntry()
        entry.ancestors = (0..<16).map { String(repeating: "\u{1}", count: 200) + "\($0)" }
        entry.slots = ["short"]
        try fixture.log().append(entry, synchronizing: false)
        let line = try #require(AuditLine(Array(try fixture.lines()[1].utf8)))
        #expect((2..<16).contains(line.entry.ancestors.count))
        #expect(Array(entry.ancestors.prefix(line.entry.ancestors.count)) == line.entry.ancestors)
        #expect(line.entry.slots == ["short"])
    }

    @Test func theLargestEntryIsALine() throws {
        let fixture = try LogFixture()
        let long = String(repeating: "\u{1}", count: 5000)
        var entry = fullEntry()
        entry.secret = long
        entry.service = long
        entry.reason = long
        entry.executable = long
        entry.parent = long
        entry.ancestors = Array(repeating: String(repeating: "a", count: 1000), count: 16)
        entry.secrets = entry.ancestors
        entry.slots = entry.ancestors
        try fixture.log().append(entry, synchronizing: false)
        #expect(AuditLine(Array(try fixture.lines()[1].utf8)) != nil)
        #expect(try fixture.verify().isIntact)
    }

    @Test func manyNamesBecomeSeveralEntries() throws {
        let names = (0..<500).map { "A_NAME_THAT_IS_NOT_SHORT_\($0)" }
        let entries = sampleEntry("import").naming(names)
        #expect(entries.count > 1)
        #expect(entries.flatMap(\.secrets) == names)
        #expect(entries.allSatisfy { $0.operation == "import" && $0.status == "success" })
        #expect(sampleEntry().naming([]) == [sampleEntry()])
        #expect(sampleEntry().naming(["ONE"]).map(\.secret) == ["ONE"])
        #expect(sampleEntry().naming(["ONE", "TWO"])[0].concerns("TWO"))
    }

    @Test func aTextThatIsTooLongIsCut() throws {
        var entry = sampleEntry()
        for path in [\AuditEntry.reason, \.executable, \.parent, \.mount, \.secret, \.service] {
            entry[keyPath: path] = String(repeating: "\u{1}", count: 100_000)
        }
        let fixture = try LogFixture()
        try fixture.log().append(entry, synchronizing: false)
        #expect(try fixture.lines()[1].utf8.count < AuditLine.maximumByteCount)
        #expect(try fixture.verify().isIntact)
    }

    @Test func withoutALogNothingIsWritten() throws {
        let directory = try TemporaryDirectory()
        let fixture = try LogFixture()
        try fixture.restore([:])
        #expect(failure { try fixture.append() } == .noLog)
        #expect(failure { try fixture.log().head() } == .noLog)
        #expect(failure { try fixture.verify() } == .noLog)
        #expect(failure { try fixture.log().tail(isFollowing: false) } == .noLog)
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == [])
    }

    @Test func aLogWithoutItsKeyIsNotBegunAgain() throws {
        let fixture = try LogFixture(2)
        try FileManager.default.removeItem(atPath: fixture.directory.path("audit.key"))
        let before = try fixture.saved()
        for error in [failure { try fixture.append() }, failure { try fixture.begin() }] {
            #expect(error?.message.hasSuffix("audit.key is missing beside an audit log") == true)
        }
        #expect(try fixture.saved() == before)
    }

    @Test func theOldKeyIsGoneOnceAnEntryIsWritten() throws {
        let fixture = try LogFixture(1)
        let old = try fixture.directory.read("audit.key")[112..<176]
        try fixture.append()
        let new = try fixture.directory.read("audit.key")
        for start in 0...new.count - 32 { #expect(Array(new[start..<start + 32]) != Array(old.suffix(32))) }
    }

    @Test func anEntryThatWasWrittenBeforeACrashIsAdopted() throws {
        let fixture = try LogFixture(3)
        let key = try fixture.directory.read("audit.key")
        try fixture.append(2)
        try fixture.directory.write(key, to: "audit.key")
        #expect(try fixture.verify().isIntact)
        #expect(try fixture.verify().last == 6)
        try fixture.append()
        let report = try fixture.verify()
        #expect(report.isIntact)
        #expect(report.last == 8)
        #expect(try repairs(fixture) == ["7 success: 2 entries of a killed process adopted"])
    }

    /// What the log says of repairs of itself.
    private func repairs(_ fixture: LogFixture) throws -> [String] {
        try fixture.lines().compactMap { AuditLine(Array($0.utf8)) }
            .filter { $0.entry.operation == "audit-repair" }
            .map { "\($0.sequence) \($0.entry.status): \($0.entry.reason ?? "-")" }
    }

    @Test func verifyingLeavesWhatItFinds() throws {
        let fixture = try LogFixture(3)
        let key = try fixture.directory.read("audit.key")
        try fixture.append()
        try fixture.directory.write(key, to: "audit.key")
        let log = try fixture.directory.read("audit.log")
        try fixture.directory.write(log + Array("{\"time".utf8), to: "audit.log")
        let before = try fixture.saved()
        let report = try fixture.verify()
        #expect(report.pending == 1)
        #expect(report.problems.map(\.message).first?.contains("one that was not finished") == true)
        // An entry that may not repair is not written.
        let refusal = failure { try fixture.log().append(sampleEntry(), synchronizing: true, repairing: false) }
        #expect(refusal == .unrepaired)
        #expect(try fixture.saved() == before)
        try fixture.append()
        #expect(
            try repairs(fixture)
                == ["6 success: an entry of a killed process adopted, 6 bytes of an unfinished entry cut off"]
        )
        #expect(try fixture.verify().isIntact)
        #expect(try fixture.verify().pending == 0)
        try fixture.log().append(sampleEntry(), synchronizing: true, repairing: false)
        #expect(try fixture.verify().last == 8)
    }

    /// The entry about a repair is written over what it cuts: a kill before leaves the same to be repaired.
    @Test(arguments: [1, 500, 5000])
    func aTornEntryOfAnyLengthIsReplacedByTheEntryThatSaysSo(_ count: Int) throws {
        let fixture = try LogFixture()
        // Nothing but an entry that was not finished: the log begins in the same write.
        for isEmpty in [true, false] {
            let log = isEmpty ? [] : try fixture.directory.read("audit.log")
            try fixture.directory.write(log + [UInt8](repeating: 0x7b, count: count), to: "audit.log")
            try fixture.append()
            #expect(try repairs(fixture).last?.contains("\(count) byte") == true)
            #expect(try fixture.verify().isIntact)
        }
        #expect(try fixture.lines().count == 5)
    }

    @Test func aTornEntryIsCutOff() throws {
        let fixture = try LogFixture(3)
        let whole = try fixture.lines()
        try fixture.directory.write(
            Array((whole.joined(separator: "\n") + "\n{\"timestamp\":\"20").utf8),
            to: "audit.log"
        )
        #expect(try fixture.verify().problems.map(\.kind) == [.malformed])
        try fixture.append()
        #expect(try fixture.lines().prefix(whole.count) == whole[...])
        #expect(try repairs(fixture) == ["5 success: 16 bytes of an unfinished entry cut off"])
        #expect(try fixture.verify().isIntact)
    }

    @Test func aLineThatDoesNotVerifyIsNotAdopted() throws {
        let fixture = try LogFixture(3)
        let key = try fixture.directory.read("audit.key")
        try fixture.append()
        try fixture.directory.write(key, to: "audit.key")
        var lines = try fixture.lines()
        lines[4] = lines[4].replacing("success", with: "denied")
        try fixture.write(lines)
        try fixture.append()
        #expect(try fixture.lines().count == 7)
        #expect(try repairs(fixture).first?.hasPrefix("5 failed: ") == true)
        #expect(try fixture.problems() == ["changed 5", "inserted 5"])
    }

    @Test func aTailOfGarbageIsLeftForVerifyToFind() throws {
        let fixture = try LogFixture(1)
        let log = try fixture.directory.read("audit.log")
        try fixture.directory.write(log + [UInt8](repeating: 0x0a, count: 2 << 20), to: "audit.log")
        try fixture.append()
        #expect(try fixture.verify().problems.first?.kind == .malformed)
    }

    @Test func aShorterLogIsSaidAtOnce() throws {
        let fixture = try LogFixture(5)
        let lines = try fixture.lines()
        try fixture.write(Array(lines.prefix(3)))
        #expect(try fixture.log().append(sampleEntry(), synchronizing: false).isLogShorter)
        #expect(try !fixture.log().append(sampleEntry(), synchronizing: false).isLogShorter)
        #expect(try repairs(fixture).first?.hasSuffix("bytes are missing at the end") == true)
        #expect(try fixture.problems() == ["missing 4"])
    }

    @Test func afterALineThatWasCutANewOneBegins() throws {
        let fixture = try LogFixture(5)
        let log = try fixture.directory.read("audit.log")
        try fixture.directory.write(log.dropLast(30), to: "audit.log")
        try fixture.append()
        #expect(try fixture.lines().count == 8)
        #expect(try repairs(fixture).first?.contains("a newline put behind a line that was cut") == true)
        #expect(try fixture.problems() == ["malformed -", "missing 6"])
    }

    @Test(arguments: ["audit.log", "audit.key", "audit.lock"])
    func linksAreNotFollowed(name: String) throws {
        let fixture = try LogFixture(1)
        let path = fixture.directory.path(name)
        try FileManager.default.moveItem(atPath: path, toPath: path + ".moved")
        try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: path + ".moved")
        #expect(failure { try fixture.append() }?.message == "\(path) is a symbolic link")
        try FileManager.default.removeItem(atPath: path)
        try FileManager.default.linkItem(atPath: path + ".moved", toPath: path)
        #expect(failure { try fixture.append() }?.message == "\(path) has 2 hard links, expected 1")
        try FileManager.default.removeItem(atPath: path)
        unsafe mkfifo(path, 0o600)
        #expect(failure { try fixture.append() }?.message == "\(path) is not a regular file")
    }

    @Test func aKeyThatOthersCouldReadIsNotUsedAndNoModeIsPutRight() throws {
        let fixture = try LogFixture(1)
        unsafe chmod(fixture.directory.path("audit.log"), 0o666)
        try fixture.append()
        let attributes = try FileManager.default.attributesOfItem(atPath: fixture.directory.path("audit.log"))
        #expect(attributes[.posixPermissions] as? Int == 0o666)
        unsafe chmod(fixture.directory.path("audit.key"), 0o640)
        let refusal = failure { try fixture.append() }?.message
        #expect(refusal?.hasSuffix("audit.key: mode 0640, expected 0600") == true, "\(refusal ?? "none")")
    }

    @Test func synchronizedEntriesAreWrittenLikeOthers() throws {
        let fixture = try LogFixture()
        try fixture.append(2, synchronizing: true)
        #expect(try fixture.verify().entryCount == 3)
    }

    @Test func theTailShowsEntriesAndFollows() throws {
        let fixture = try LogFixture(2, fileByteCount: 2000)
        let tail = try fixture.log().tail(isFollowing: true)
        func sequences() throws -> [UInt64] {
            var found: [UInt64] = []
            while let item = try tail.next() {
                if case .entry(let line, _) = item { found.append(line.sequence) }
            }
            return found
        }
        #expect(try sequences() == [1, 2, 3])
        try fixture.append()
        #expect(try sequences() == [4])
        // Several files later nothing was left out.
        try fixture.append(11)
        #expect(try fixture.names().count { $0.hasPrefix("audit.log.") } >= 2)
        let all = try sequences()
        #expect(all.first == 5)
        #expect(zip(all, all.dropFirst()).allSatisfy { $1 == $0 + 1 })
        #expect(all.last == (try fixture.verify().last))
        #expect(try sequences() == [])
    }

    @Test func theTailNamesWhatIsNoEntry() throws {
        let fixture = try LogFixture(1)
        try fixture.write(["{}", String(repeating: "a", count: 200_000)] + fixture.lines())
        let tail = try fixture.log().tail(isFollowing: false)
        var found: [String] = []
        while let item = try tail.next() {
            switch item {
            case .entry(let line, let text): found.append("\(line.sequence) \(text.utf8.count > 100)")
            case .malformed(let file, let line): found.append("\(file) \(line)")
            }
        }
        #expect(found == ["audit.log 1", "audit.log 2", "1 true", "2 true"])
    }
}
