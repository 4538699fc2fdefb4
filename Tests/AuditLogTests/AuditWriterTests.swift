// SPDX-License-Identifier: Apache-2.0

import AuditLog
import CredfsTestSupport
import Foundation
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(20))) struct AuditWriterTests {
    /// What a writer says of entries, in its order.
    private final class Answers: Sendable {
        private let answers = Mutex<[Bool]>([])

        func add(_ answer: Bool) { answers.withLock { $0.append(answer) } }
        var all: [Bool] { answers.withLock { $0 } }
    }

    private func settings(folding: Duration = .seconds(3600)) -> AuditWriter.Settings {
        var settings = AuditWriter.Settings()
        settings.foldingTime = folding
        return settings
    }

    private func key(_ secret: String = "ONE", process: Int32 = 1) -> AuditWriter.FoldingKey {
        .init(process: process, startTime: 2, device: 3, inode: 4, user: 5, secret: secret)
    }

    private func writer(
        _ fixture: LogFixture,
        _ settings: AuditWriter.Settings,
        _ failures: Answers = Answers()
    ) throws -> AuditWriter {
        try AuditWriter(try fixture.log(), settings) { _ in failures.add(false) }
    }

    /// Writes an entry and waits until it is answered.
    private func write(_ writer: AuditWriter, _ key: AuditWriter.FoldingKey?, _ secret: String = "ONE") async -> Bool {
        var entry = sampleEntry("open")
        entry.secret = secret
        let sent = entry
        return await withCheckedContinuation { continuation in
            writer.record(sent, folding: key) { continuation.resume(returning: $0) }
        }
    }

    private func entries(_ fixture: LogFixture) throws -> [AuditEntry] {
        try fixture.lines().compactMap { AuditLine(Array($0.utf8))?.entry }.filter { $0.operation == "open" }
    }

    @Test func entriesOfManyThreadsAreAllWrittenAndVerify() async throws {
        let fixture = try LogFixture()
        let writer = try writer(fixture, settings())
        let answers = Answers()
        await withTaskGroup(of: Void.self) { group in
            for thread in 0..<8 {
                group.addTask {
                    for index in 0..<50 {
                        var entry = sampleEntry("open")
                        entry.secret = "S\(thread)-\(index)"
                        writer.record(entry, folding: nil) { answers.add($0) }
                    }
                }
            }
        }
        writer.end()
        #expect(answers.all == Array(repeating: true, count: 400))
        #expect(Set(try entries(fixture).map(\.secret)).count == 400)
        #expect(try fixture.verify().isIntact)
    }

    @Test func anEntryIsInTheFileBeforeItIsAnswered() async throws {
        let fixture = try LogFixture()
        let writer = try writer(fixture, settings())
        for index in 0..<10 {
            #expect(await write(writer, nil, "S\(index)"))
            #expect(try entries(fixture).last?.secret == "S\(index)")
        }
        writer.end()
    }

    @Test func repeatsOfAProcessAndSecretBecomeOneEntry() async throws {
        let fixture = try LogFixture()
        let writer = try writer(fixture, settings())
        #expect(!writer.fold(key()) { "0" })
        #expect(await write(writer, key()))
        for index in 1...3 { #expect(writer.fold(key()) { "\(index)" }) }
        #expect(!writer.fold(key("TWO")) { "4" })
        #expect(!writer.fold(key(process: 9)) { "4" })
        #expect(await write(writer, nil, "TWO"))
        writer.end()
        #expect(!writer.fold(key()) { "5" })
        let all = try entries(fixture)
        #expect(all.map(\.secret) == ["ONE", "TWO", "ONE"])
        #expect(all.map(\.repeated) == [nil, nil, .init(count: 3, first: "1", last: "3")])
        #expect(try fixture.verify().isIntact)
    }

    @Test func repeatsAreWrittenOnceTheirTimeIsOver() async throws {
        let fixture = try LogFixture()
        let writer = try writer(fixture, settings(folding: .milliseconds(300)))
        var folded = 0
        while folded == 0 {
            #expect(await write(writer, key()))
            if writer.fold(key(), at: { "1" }) { folded += 1 }
        }
        while try !entries(fixture).contains(where: { $0.repeated != nil }) {
            try await Task.sleep(for: .milliseconds(20))
        }
        writer.end()
        #expect(try entries(fixture).compactMap(\.repeated).map(\.count) == [1])
    }

    @Test(arguments: [false, true])
    func aLogThatIsKeptLockedIsSaidAndCounted(isRequired: Bool) async throws {
        let fixture = try LogFixture(1, lockMilliseconds: 1)
        var settings = settings()
        settings.isRequired = isRequired
        let failures = Answers()
        let writer = try writer(fixture, settings, failures)
        let lock = try #require(FileHandle(forUpdatingAtPath: fixture.directory.path("audit.lock")))
        try #require(flock(lock.fileDescriptor, LOCK_EX) == 0)
        #expect(await write(writer, key()) == !isRequired)
        #expect(!writer.fold(key()) { "1" })
        #expect(await write(writer, key()) == !isRequired)
        #expect(failures.all.count == 1)
        flock(lock.fileDescriptor, LOCK_UN)
        #expect(await write(writer, key()))
        writer.end()
        #expect(try entries(fixture).map(\.lost) == [2])
        #expect(try fixture.verify().lost == 2)
    }

    @Test func whoWaitsForALockedLogWaitsForItOnce() async throws {
        let fixture = try LogFixture(1, lockMilliseconds: 200)
        var settings = settings()
        settings.isRequired = true
        let writer = try writer(fixture, settings)
        let lock = try #require(FileHandle(forUpdatingAtPath: fixture.directory.path("audit.lock")))
        try #require(flock(lock.fileDescriptor, LOCK_EX) == 0)
        let answers = Answers()
        let start = ContinuousClock.now
        // As many as take 30 batches.
        for _ in 0..<1920 { writer.record(sampleEntry("open"), folding: nil) { answers.add($0) } }
        while answers.all.count < 1920, ContinuousClock.now - start < .seconds(60) {
            try await Task.sleep(for: .milliseconds(5))
        }
        #expect(answers.all == Array(repeating: false, count: 1920))
        #expect(ContinuousClock.now - start < .seconds(3))
        flock(lock.fileDescriptor, LOCK_UN)
        #expect(await write(writer, nil))
        writer.end()
        #expect(try fixture.verify().lost == 1920)
    }

    @Test(arguments: [false, true])
    func afterTheEndNothingIsTaken(isRequired: Bool) async throws {
        let fixture = try LogFixture()
        var settings = settings()
        settings.isRequired = isRequired
        let writer = try writer(fixture, settings)
        writer.end()
        #expect(await write(writer, nil) == !isRequired)
        #expect(try !fixture.names().contains("audit.log"))
    }

    @Test func severalEntriesAreWrittenTogetherOrNotAtAll() throws {
        let fixture = try LogFixture(2)
        let entries = (0..<5).map { sampleEntry("open\($0)") }
        #expect(try fixture.log().append(entries, lost: 4, synchronizing: true).sequence == 8)
        let lines = try fixture.lines().suffix(5).compactMap { AuditLine(Array($0.utf8))?.entry }
        #expect(lines.map(\.operation) == entries.map(\.operation))
        #expect(lines.map(\.lost) == [4, nil, nil, nil, nil])
        #expect(try fixture.verify().isIntact)
    }
}
