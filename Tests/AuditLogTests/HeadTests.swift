// SPDX-License-Identifier: Apache-2.0

import AuditLog
import CredfsTestSupport
import Foundation
import Sealing
import Testing

/// What is kept elsewhere finds what nothing in the directory can tell.
@Suite struct HeadTests {
    @Test func theHeadIsTheLastEntry() throws {
        let fixture = try LogFixture(3)
        let head = try fixture.log().head()
        let last = try #require(try fixture.lines().last)
        let line = try #require(AuditLine(Array(last.utf8)))
        #expect(head.text == "4:\(Hexadecimal.encode(line.code))")
        #expect(AuditHead(head.text) == head)
        #expect(try fixture.problems(head: head) == [])
        try fixture.append(4)
        #expect(try fixture.problems(head: head) == [])
    }

    @Test func aDirectoryThatIsPutBackIsFoundByTheHeadAlone() throws {
        let fixture = try LogFixture(3)
        let old = try fixture.saved()
        try fixture.append(2)
        let head = try fixture.log().head()
        try fixture.restore(old)
        #expect(try fixture.problems() == [])
        #expect(try fixture.problems(head: head) == ["head 6"])
        // Going on until there are as many entries again does not help.
        for _ in 0..<3 { try fixture.log().append(sampleEntry("list"), synchronizing: false) }
        #expect(try fixture.problems() == [])
        #expect(try fixture.problems(head: head) == ["head 6"])
    }

    @Test func aNewLogIsFoundByTheHeadAlone() throws {
        let fixture = try LogFixture(3)
        let head = try fixture.log().head()
        try fixture.restore([:])
        try fixture.begin()
        try fixture.append(8)
        #expect(try fixture.problems() == [])
        #expect(try fixture.problems(head: head) == ["head 4"])
    }

    @Test func anEntryThatWasDroppedCannotBeCompared() throws {
        let fixture = try LogFixture(3, fileByteCount: 2000, fileCount: 2)
        let head = try fixture.log().head()
        try fixture.append(20)
        #expect(try fixture.problems() == [])
        let report = try fixture.verify(head: head)
        #expect(report.problems.map(\.message) == ["entry 4 of the head is no longer kept"])
    }

    @Test func anEntryThatCannotBeReadIsNotTheHead() throws {
        let fixture = try LogFixture(3)
        let head = try fixture.log().head()
        var lines = try fixture.lines()
        lines[3] = lines[3].replacing("success", with: "failed")
        try fixture.write(lines)
        #expect(try fixture.problems(head: head) == ["changed 4", "head 4"])
    }

    @Test(arguments: [
        "", "1", ":", "4:", "x:\(String(repeating: "0", count: 64))", "4:00", "04:\(String(repeating: "0", count: 64))",
        "0:\(String(repeating: "0", count: 64))", "4:\(String(repeating: "A", count: 64))",
        "4:\(String(repeating: "0", count: 64)):",
    ])
    func anythingElseIsNoHead(text: String) {
        #expect(AuditHead(text) == nil)
    }

    @Test func aLogThatWasBegunHasNoHeadYet() throws {
        let fixture = try LogFixture()
        #expect(failure { try fixture.log().head() } == .noLog)
        #expect(try fixture.verify().isIntact)
    }
}

/// The key of the store changes, the log goes on.
@Suite struct ResealingTests {
    private func reseal(_ fixture: LogFixture, from old: [UInt8], to new: [UInt8]) throws -> Bool {
        try fixture.log().reseal(
            from: Key256(copying: old.span),
            to: Key256(copying: new.span),
            store: LogFixture.store
        )
    }

    private func finish(_ fixture: LogFixture, _ new: [UInt8]) throws -> Bool {
        try fixture.log().finishResealing(with: Key256(copying: new.span), store: LogFixture.store)
    }

    @Test func betweenTheStepsBothKeysOpenAndThenTheNewOneAlone() throws {
        let fixture = try LogFixture(3)
        let new = try RandomBytes.array(count: 32)
        let later = try RandomBytes.array(count: 32)
        #expect(try reseal(fixture, from: fixture.key, to: new))
        #expect(try fixture.verify().isIntact)
        #expect(try fixture.verify(key: new).isIntact)
        // A rotation that was interrupted here is begun again.
        #expect(try reseal(fixture, from: fixture.key, to: later))
        #expect(try !fixture.verify(key: new).isIntact)
        #expect(try finish(fixture, later))
        #expect(try !fixture.verify().isIntact)
        try fixture.append()
        #expect(try fixture.verify(key: later).isIntact)
        #expect(try fixture.directory.read("audit.root").count == AuditRoot.recordByteCount)
    }

    @Test func anotherKeyChangesNothing() throws {
        let fixture = try LogFixture(3)
        let other = try RandomBytes.array(count: 32)
        let before = try fixture.saved()
        let error = failure { try reseal(fixture, from: other, to: other) }
        #expect(error?.message.hasSuffix("audit.root does not open with the key of the store") == true)
        #expect(failure { try finish(fixture, other) } == error)
        #expect(try fixture.saved() == before)
    }

    @Test func withoutALogThereIsNothingToDo() throws {
        let fixture = try LogFixture()
        try fixture.restore([:])
        #expect(try !reseal(fixture, from: fixture.key, to: fixture.key))
        #expect(try !finish(fixture, fixture.key))
    }
}
