// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Sealing
import SecretStore
import SecureFiles
import SecureMemory
import SystemCalls
import Testing

@Suite struct PasswordAttemptsTests {
    private static func clocks(_ uptime: Int64, boot: String = "one", wall: Int64 = 1_800_000_000)
        -> PasswordAttempts.Clocks
    {
        PasswordAttempts.Clocks(boot: BootClock(boot: boot, uptime: uptime), wall: Timestamp(seconds: wall))
    }

    @Test func theWaitBeginsAfterTheFifthAndDoublesFrom30Seconds() {
        let delays = (1...20).map { PasswordAttempts(failures: $0, last: Self.clocks(0)).delay / 1000 }
        #expect(delays.prefix(5) == [0, 0, 0, 0, 30])
        #expect(delays[5...] == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600, 3600, 3600, 3600, 3600, 3600, 3600])
        #expect(PasswordAttempts(failures: .max, last: Self.clocks(0)).delay == 3_600_000)
        #expect((1...6).map { PasswordAttempts(failures: $0, last: Self.clocks(0)).remaining } == [4, 3, 2, 1, 0, 0])
    }

    @Test(arguments: [
        // Within one run of the machine nothing but its own clock counts, wherever the other is set.
        (clocks(1_000), 30_000, false), (clocks(30_999), 1, false), (clocks(31_000), 0, false),
        (clocks(1_000, wall: 1_900_000_000), 30_000, false), (clocks(31_000, wall: 1), 0, false),
        // After a restart there is only the other.
        (clocks(5, boot: "two"), 30_000, false), (clocks(5, boot: "two", wall: 1_800_000_029), 1_000, false),
        (clocks(5, boot: "two", wall: 1_800_000_030), 0, false),
        // Set back: the whole wait again, and from now on.
        (clocks(5, boot: "two", wall: 1_799_999_999), 30_000, true), (clocks(5, boot: "two", wall: 0), 30_000, true),
        // A kernel that does not name its runs: a clock that went back is another run.
        (clocks(5, wall: 1_799_999_999), 30_000, true),
    ])
    func noClockThatCanBeSetShortensTheWait(now: PasswordAttempts.Clocks, left: Int64, restarts: Bool) {
        let attempts = PasswordAttempts(failures: 5, last: Self.clocks(1_000))
        let wait = attempts.wait(now)
        #expect(wait.left == left)
        #expect(wait.restarts == restarts)
    }

    @Test func nobodyWaitsBeforeTheFirstFailure() throws {
        let fixture = try StoreFixture()
        try fixture.store().checkAttempts(try fixture.keys().store)
        #expect(StoreError(.incorrectPassword, "incorrect password", hint: "wait").beginsLockout)
        #expect(!StoreError(.incorrectPassword, "incorrect password").beginsLockout)
        #expect(!StoreError(.lockedOut, "locked out", hint: "wait").beginsLockout)
    }

    @Test func theLineComesBackAndAnyOtherIsRefused() {
        let attempts = PasswordAttempts(failures: 7, last: Self.clocks(123_456))
        #expect(PasswordAttempts(attempts.text) == attempts)
        for text in [
            "", "\n", "failures=0 boot=b uptime=1 time=2026-01-01T00:00:00Z\n",
            "failures=-1 boot=b uptime=1 time=2026-01-01T00:00:00Z\n",
            "failures=1 boot=b uptime=-1 time=2026-01-01T00:00:00Z\n",
            "failures=1 boot=b uptime=1 time=2026-01-01T00:00:00Z", "failures=1 boot=b uptime=1\n",
            "boot=b failures=1 uptime=1 time=2026-01-01T00:00:00Z\n",
            "failures=1 boot=b uptime=1 time=2026-02-30T00:00:00Z\n",
            "failures=99999999999999999999 boot=b uptime=1 time=2026-01-01T00:00:00Z\n",
        ] {
            #expect(PasswordAttempts(text) == nil, "\(text)")
        }
    }

    private static func wrong() throws(StoreError) -> Int { throw StoreError(.incorrectPassword, "incorrect password") }

    @Test func attemptsAreCountedBeforeTheyAreMadeAndARightOneResets() throws {
        let fixture = try StoreFixture()
        let store = try fixture.store()
        let identity = try fixture.keys().store
        var now = Self.clocks(0)
        func attempt(_ body: () throws(StoreError) -> Int) -> StoreError? {
            failure { try store.counting(identity, { now }, body) }
        }
        for left in [4, 3, 2, 1, 0] {
            #expect(
                attempt(Self.wrong)?.message == "incorrect password, \(Count.pluralized(left, "attempt")) remaining"
            )
        }
        var wasMade = false
        let refused = attempt {
            wasMade = true
            return 1
        }
        #expect(refused?.code == .lockedOut)
        #expect(refused?.hint?.contains("in 30 s") == true)
        #expect(!wasMade)
        now = Self.clocks(30_000)
        let sixth = attempt(Self.wrong)
        #expect(sixth?.message == "incorrect password, 0 attempts remaining")
        #expect(sixth?.hint?.contains("in 60 s") == true)
        now = Self.clocks(89_999)
        #expect(attempt { 1 }?.code == .lockedOut)
        now = Self.clocks(90_000)
        #expect(attempt { 1 } == nil)
        #expect(attempt(Self.wrong)?.message == "incorrect password, 4 attempts remaining")
        // While it is made it is on the disk already.
        _ = attempt { () throws(StoreError) in
            let text = try? fixture.text("state/attempts")
            #expect(text?.hasPrefix("failures=2 ") == true)
            return 1
        }
        #expect((try? fixture.text("state/attempts")) == nil)
    }

    @Test func aClockSetBackAfterARestartBeginsTheWaitAgain() throws {
        let fixture = try StoreFixture()
        let store = try fixture.store()
        let identity = try fixture.keys().store
        var now = Self.clocks(0)
        for _ in 0..<5 { _ = failure { try store.counting(identity, { now }, Self.wrong) } }
        now = Self.clocks(7_000, boot: "two", wall: 1_700_000_000)
        #expect(failure { try store.counting(identity, { now }, { 1 }) }?.code == .lockedOut)
        now = Self.clocks(36_999, boot: "two", wall: 1_900_000_000)
        #expect(failure { try store.counting(identity, { now }, { 1 }) }?.code == .lockedOut)
        now = Self.clocks(37_000, boot: "two", wall: 1)
        #expect(try store.counting(identity, { now }, { 1 }) == 1)
    }

    @Test func whatIsNoWrongPasswordDoesNotCount() throws {
        let fixture = try StoreFixture()
        let store = try fixture.store()
        let identity = try fixture.keys().store
        let now = Self.clocks(0)
        func fail() throws(StoreError) -> Int { throw StoreError(.failed, "no memory") }
        #expect(failure { try store.counting(identity, { now }, fail) }?.message == "no memory")
        #expect((try? fixture.text("state/attempts")) == nil)
        _ = failure { try store.counting(identity, { now }, Self.wrong) }
        let text = try fixture.text("state/attempts")
        #expect(failure { try store.counting(identity, { now }, fail) }?.message == "no memory")
        #expect(try fixture.text("state/attempts") == text)
    }

    @Test func aRecordThatIsNotOursLocks() throws {
        let fixture = try StoreFixture()
        try fixture.write("failures=0\n", to: "state/attempts")
        let store = try fixture.store()
        let identity = try fixture.keys().store
        #expect(failure { try store.checkAttempts(identity) }?.code == .lockedOut)
        #expect(failure { try store.counting(identity, PasswordAttempts.Clocks.now, { 1 }) }?.code == .lockedOut)
        let now = PasswordAttempts.Clocks.now()
        #expect(now.boot.uptime > 0)
        try fixture.write(PasswordAttempts(failures: 9, last: now).text, to: "state/attempts")
        #expect(
            failure { try store.checkAttempts(identity) }?.message == "locked out after 9 incorrect passwords in a row"
        )
    }

    @Test func withoutAPlaceToCountNoPasswordIsTried() throws {
        let fixture = try StoreFixture()
        let identity = try fixture.keys().store
        let location = try StoreLocation(
            .init(store: fixture.directory.path("store"), state: fixture.path("secrets.yaml/state")),
            user: 0
        ) { _ in nil }
        let store = try Store(location, checker: PermissionChecker(isStrict: true))
        let nowhere = failure { try store.counting(identity, PasswordAttempts.Clocks.now, { 1 }) }
        #expect(nowhere?.code == .permissions || nowhere?.code == .failed)
        let relative = try StoreLocation(
            .init(store: fixture.directory.path("store"), state: "/proc/nowhere"),
            user: 0
        ) { _ in nil }
        let proc = try Store(relative, checker: PermissionChecker(isStrict: true))
        let refused = failure { try proc.counting(identity, PasswordAttempts.Clocks.now, { 1 }) }
        #expect(refused?.message.hasPrefix("attempts at the password cannot be counted") == true)
        #expect(refused?.hint?.contains("--state") == true)
    }

    @Test func onlyPasswordsAreCounted() throws {
        let fixture = try StoreFixture()
        let store = try fixture.store()
        let manifest = try LoadedManifest(store).manifest
        let key = KeyMaterial.keyFile(try Key256.random())
        for _ in 0..<6 { #expect(failure { try store.open(manifest, with: key) }?.code == .authentication) }
        // There is nothing to guess at.
        let password = KeyMaterial.password(try secure("a password"))
        for _ in 0..<6 {
            let error = failure { try store.open(manifest, with: password) }
            #expect(error?.message == "no slot of this store opens with a password")
        }
        #expect((try? fixture.text("state/attempts")) == nil)
    }

    @Test func aPasswordOpensThroughTheCount() throws {
        let fixture = try StoreFixture()
        let keys = try fixture.keys()
        let kind = PasswordSlot(iterations: 100_000, salt: [UInt8](repeating: 1, count: 16))
        let slot = try keys.withDataKey { (key) throws(StoreError) in
            try KeySlot.make(
                kind,
                sealing: key,
                identifier: "p",
                store: keys.store,
                material: .password(try secured("four random words"))
            )
        }
        try fixture.fill([]) { $0.slots["p"] = slot }
        let store = try fixture.store()
        let manifest = try LoadedManifest(store).manifest
        let wrong = KeyMaterial.password(try secure("wrong random words"))
        let right = KeyMaterial.password(try secure("four random words"))
        for left in [4, 3] {
            let error = failure { try store.open(manifest, with: wrong) }
            #expect(error?.message == "incorrect password, \(Count.pluralized(left, "attempt")) remaining")
        }
        // Fewer than would make anybody wait.
        #expect(failure { try store.checkAttempts(keys.store) } == nil)
        #expect(try store.open(manifest, with: right, slot: "p").slot == "p")
        #expect((try? fixture.text("state/attempts")) == nil)
        #expect(
            failure { try store.open(manifest, with: right, slot: "keyfile") }?.message.hasPrefix("no slot") == true
        )
    }

    private func secured(_ text: String) throws(StoreError) -> SecureBuffer {
        try StoreError.locking { () throws(SecureMemoryError) in
            var buffer = try SecureBuffer(count: text.utf8.count)
            buffer.withMutableBytes { target in
                for (index, byte) in text.utf8.enumerated() { target[index] = byte }
            }
            return buffer
        }
    }
}
