// SPDX-License-Identifier: Apache-2.0

import AuditLog
import CredfsTestSupport
import Foundation
import Glibc
import Sealing
import SecureFiles
import SystemCalls
import SystemPackage
import Testing

/// Several processes share a log.
///
/// Here they are threads that open it each for themselves, which the lock cannot tell.
@Suite struct SharingTests {
    @Test func everyEntryOfManyWritersIsKept() async throws {
        let fixture = try LogFixture(0, fileByteCount: 20_000)
        try await withThrowingTaskGroup { group in
            for _ in 0..<8 {
                group.addTask { try await onItsOwnThread { for _ in 0..<25 { try fixture.append() } } }
            }
            // Verifying beside them sees a whole log, whatever is being written.
            group.addTask {
                try await onItsOwnThread { () throws in
                    for _ in 0..<10 { try #require(try fixture.problems() == []) }
                }
            }
            try await group.waitForAll()
        }
        let report = try fixture.verify()
        #expect(report.isIntact, "\(report.problems)")
        #expect(report.entryCount == 200 + UInt64(report.fileCount))
        #expect(report.lost == 0)
    }

    @Test func logsAreBegunByOneOfMany() async throws {
        let fixture = try LogFixture()
        try fixture.restore([:])
        let begun = try await withThrowingTaskGroup(of: Bool.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    try await onItsOwnThread {
                        let isFirst = try fixture.begin()
                        try fixture.append()
                        return isFirst
                    }
                }
            }
            return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(begun == 1)
        #expect(try fixture.verify().entryCount == 9)
        #expect(try fixture.verify().isIntact)
    }

    @Test func aLockThatIsHeldIsNotWaitedForLong() async throws {
        #expect(AuditLog.Limits().lockMilliseconds == 250)
        let fixture = try LogFixture(1, lockMilliseconds: 250)
        let before = try fixture.saved()
        let waited = try await onItsOwnThread {
            let lock = try OwnedDescriptor.open(fixture.directory.path("audit.lock"), O_RDWR)
            try #require(try lock.lock(wait: false))
            let start = ContinuousClock.now
            let error = failure { try fixture.append() }
            #expect(error == .busy)
            let duration = ContinuousClock.now - start
            lock.unlock()
            return duration
        }
        #expect(waited >= .milliseconds(250))
        #expect(waited < .seconds(60))
        #expect(try fixture.saved() == before)
        try fixture.append()
        #expect(try fixture.verify().isIntact)
    }

    @Test func aLockThatIsGivenBackSoonIsWaitedFor() async throws {
        let fixture = try LogFixture(1)
        try await onItsOwnThread {
            let lock = try OwnedDescriptor.open(fixture.directory.path("audit.lock"), O_RDWR)
            try #require(try lock.lock(wait: false))
            Thread.detachNewThread {
                Pause.sleep(microseconds: 50_000)
                lock.unlock()
            }
            try fixture.append()
        }
        #expect(try fixture.verify().entryCount == 3)
    }
}

/// A file system of its own, as small as a test wants it.
@Suite(.enabled(if: geteuid() == 0, "a file system is mounted")) struct FullDiskTests {
    private func mount(_ options: String, over fixture: LogFixture, _ flags: UInt = 0) throws {
        let result = unsafe options.withCString { options in
            unsafe Glibc.mount("tmpfs", fixture.directory.path, "tmpfs", flags, UnsafeRawPointer(options))
        }
        try #require(result == 0)
    }

    @Test func whatHasNoRoomIsCountedAndTheLogGoesOn() throws {
        let fixture = try LogFixture()
        try mount("size=64k,mode=0700", over: fixture)
        defer { unsafe umount2(fixture.directory.path, Int32(MNT_DETACH)) }
        try fixture.begin()
        var error: AuditError?
        for _ in 0..<1000 where error == nil { error = failure { try fixture.append() } }
        guard case .file(let cause) = error, cause.kind == .system(.noSpace) else {
            Issue.record("the disk is full: \(String(describing: error))")
            return
        }
        let before = try fixture.directory.read("audit.log")
        #expect(failure { try fixture.append() } == error)
        #expect(try fixture.directory.read("audit.log") == before)
        #expect(try fixture.verify().isIntact)
        // Room again.
        try mount("size=1m", over: fixture, UInt(MS_REMOUNT))
        try fixture.append(2)
        let report = try fixture.verify()
        #expect(report.isIntact)
        #expect(report.lost == 2)
        #expect(try fixture.lines().count { $0.contains("\"lost\":2") } == 1)
    }

    @Test func whereNothingCanBeWrittenThatIsAnErrorOfItsOwn() throws {
        let fixture = try LogFixture()
        try mount("size=64k,mode=0700", over: fixture)
        defer { unsafe umount2(fixture.directory.path, Int32(MNT_DETACH)) }
        try fixture.begin()
        try fixture.append(2)
        try mount("", over: fixture, UInt(MS_REMOUNT | MS_RDONLY))
        let error = try #require(failure { try fixture.append() })
        #expect(error.isReadOnly)
        #expect(error != .noLog)
        // Looking needs no writing.
        #expect(try fixture.verify().isIntact)
        #expect(try fixture.log().head().sequence == 3)
        #expect(try fixture.log().tail(isFollowing: false).next() != nil)
    }
}
