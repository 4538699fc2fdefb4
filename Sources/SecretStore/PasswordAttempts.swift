// SPDX-License-Identifier: Apache-2.0

internal import SecureFiles
package import SystemCalls

/// Lockout after wrong passwords: how many came in a row, and until when no other is tried.
package struct PasswordAttempts: Equatable {
    /// A reading of both clocks: one that nobody can set, and one that outlives a restart of the machine.
    package struct Clocks: Equatable {
        package var boot: BootClock
        var wall: Timestamp

        package init(boot: BootClock, wall: Timestamp) {
            self.boot = boot
            self.wall = wall
        }

        package static func now() -> Clocks { Clocks(boot: .now(), wall: .now()) }
    }

    /// Number of wrong passwords that are answered at once.
    static let allowed = 5
    /// Delay of the next one in milliseconds; twice as long after each that follows.
    static let firstDelay: Int64 = 30_000
    static let longestDelay: Int64 = 3_600_000

    /// Attempts since the last right password, one that is being made included.
    var failures: Int
    /// Time of the last of them.
    var last: Clocks

    /// Number of attempts before the first wait.
    package var remaining: Int { max(0, Self.allowed - failures) }

    /// Delay between the last attempt and the next, in milliseconds.
    package var delay: Int64 {
        guard failures >= Self.allowed else { return 0 }
        // Far beyond the longest wait a shift would overflow.
        return min(Self.longestDelay, Self.firstDelay << Int64(min(20, failures - Self.allowed)))
    }

    /// Milliseconds that are left to wait.
    ///
    /// Within one run of the machine only the clock that nobody can set counts. After a restart there is only the other: if
    /// it shows a time before the attempt, it was set back, and the whole wait begins again.
    ///
    /// - Returns: the time left, and whether the wait has to be counted from now on.
    package func wait(_ now: Clocks) -> (left: Int64, restarts: Bool) {
        if now.boot.boot == last.boot.boot, now.boot.uptime >= last.boot.uptime {
            return (max(0, delay - (now.boot.uptime - last.boot.uptime)), false)
        }
        let passed = now.wall.seconds - last.wall.seconds
        guard passed >= 0 else { return (delay, delay > 0) }
        let left = max(0, delay / 1000 - passed) * 1000
        return (left, false)
    }

    /// The line in the state directory.
    package var text: String {
        "failures=\(failures) boot=\(last.boot.boot) uptime=\(last.boot.uptime) time=\(last.wall.text)\n"
    }

    package init(failures: Int, last: Clocks) {
        self.failures = failures
        self.last = last
    }

    /// Reads the line.
    package init?(_ text: String) {
        let words = text.split(separator: " ", omittingEmptySubsequences: false)
        guard words.count == 4, text.hasSuffix("\n") else { return nil }
        func value(_ index: Int, _ key: String) -> Substring? {
            words[index].hasPrefix(key + "=") ? words[index].dropFirst(key.utf8.count + 1) : nil
        }
        guard let failures = value(0, "failures").flatMap({ Int($0) }), failures > 0,
            let boot = value(1, "boot"), let uptime = value(2, "uptime").flatMap({ Int64($0) }), uptime >= 0,
            let wall = value(3, "time").flatMap({ Timestamp(String($0.dropLast())) })
        else { return nil }
        self.init(failures: failures, last: Clocks(boot: BootClock(boot: String(boot), uptime: uptime), wall: wall))
    }
}

/// Counting of attempts at a password.
extension Store {
    private static let attemptsName = "attempts"
    private static let attemptsLockName = "attempts.lock"

    /// Recovers the keys of a manifest with whatever is presented; passwords are counted.
    ///
    /// An attempt is counted and on the disk before it is made, and no other is made meanwhile: neither parallel processes
    /// nor one that is killed get more of them.
    ///
    /// - Parameters:
    ///   - manifest: the manifest.
    ///   - material: what is presented.
    ///   - identifier: the one slot to try.
    /// - Returns: the keys and the slot that opened.
    /// - Throws: class `lockedOut`, or as `Manifest.open`.
    package func open(
        _ manifest: Manifest,
        with material: KeyMaterial,
        slot identifier: String? = nil
    ) throws(StoreError) -> Manifest.Opening {
        guard material.secret.isGuess else { return try manifest.open(with: material, slot: identifier) }
        return try open(manifest, password: material, slot: identifier)
    }

    /// Checks that a password may be tried, before anybody is asked for one.
    package func checkAttempts(_ store: StoreID) throws(StoreError) {
        guard let state = try existingState(for: store), let attempts = try Self.attempts(in: state, checker) else {
            return
        }
        let left = attempts.wait(.now()).left
        if left > 0 { throw Self.lockedOut(attempts, left) }
    }

    private func open(
        _ manifest: Manifest,
        password: KeyMaterial,
        slot identifier: String?
    ) throws(StoreError) -> Manifest.Opening {
        let isGuess = manifest.slots.contains { name, slot in
            password.fits(slot) && (identifier == nil || identifier == name)
        }
        // Nothing to guess at: says so.
        guard isGuess else { return try manifest.open(with: password, slot: identifier) }
        return try counting(manifest.store, PasswordAttempts.Clocks.now) { () throws(StoreError) in
            try manifest.open(with: password, slot: identifier)
        }
    }

    /// Makes one attempt.
    package func counting<R>(
        _ store: StoreID,
        _ clocks: () -> PasswordAttempts.Clocks,
        _ attempt: () throws(StoreError) -> R
    ) throws(StoreError) -> R {
        let state = try stateForAttempts(store)
        let lock = try state.lock(Self.attemptsLockName, waiting: {})
        defer { _ = lock }
        let before = try Self.attempts(in: state, checker)
        let now = clocks()
        if let before { try Self.requireNoWait(before, now, state) }
        let attempts = PasswordAttempts(failures: (before?.failures ?? 0) + 1, last: now)
        try Self.write(attempts, in: state)
        do throws(StoreError) {
            let result = try attempt()
            try state.remove(Self.attemptsName)
            return result
        } catch {
            guard error.code == .incorrectPassword else {
                // Not a wrong password: no memory, for one.
                try Self.write(before, in: state)
                throw error
            }
            throw StoreError(
                .incorrectPassword,
                "incorrect password, \(Count.pluralized(attempts.remaining, "attempt")) remaining",
                hint: attempts.delay > 0
                    ? "the next is accepted in \(Self.words(attempts.delay))"
                    : "try again, or open the store with another key slot: credfs keys list"
            )
        }
    }

    private static func requireNoWait(
        _ attempts: PasswordAttempts,
        _ now: PasswordAttempts.Clocks,
        _ state: StoreDirectory
    ) throws(StoreError) {
        let wait = attempts.wait(now)
        guard wait.left > 0 else { return }
        if wait.restarts { try write(PasswordAttempts(failures: attempts.failures, last: now), in: state) }
        throw lockedOut(attempts, wait.left)
    }

    private static func lockedOut(_ attempts: PasswordAttempts, _ left: Int64) -> StoreError {
        StoreError(
            .lockedOut,
            "locked out after \(attempts.failures) incorrect passwords in a row",
            hint: "try again in \(words(left)), or open the store with another key slot"
        )
    }

    private static func words(_ milliseconds: Int64) -> String { "\((milliseconds + 999) / 1000) s" }

    private func stateForAttempts(_ store: StoreID) throws(StoreError) -> StoreDirectory {
        do throws(StoreError) { return try state(for: store) } catch {
            guard error.code == .failed else { throw error }
            throw StoreError(
                .failed,
                "attempts at the password cannot be counted: \(error.message)",
                hint: "pass --state DIR or set CREDFS_STATE"
            )
        }
    }

    private static func attempts(
        in state: StoreDirectory,
        _ checker: PermissionChecker
    ) throws(StoreError) -> PasswordAttempts? {
        guard let contents = try state.contents(of: attemptsName, limit: 1 << 20, .privateFile, checker) else {
            return nil
        }
        // NOT SECRET: a number and two clocks.
        guard let text = String(validating: contents.bytes, as: UTF8.self), let attempts = PasswordAttempts(text) else {
            throw StoreError(
                .lockedOut,
                "\(state.path(of: attemptsName)) is not what credfs wrote there",
                hint: "remove it if you know why"
            )
        }
        return attempts
    }

    private static func write(_ attempts: PasswordAttempts?, in state: StoreDirectory) throws(StoreError) {
        try state.removeLeftovers(of: attemptsName)
        guard let attempts else { return try state.remove(attemptsName) }
        try state.replace(attemptsName, with: attempts.text.utf8.span)
    }
}

extension StoreError {
    /// Wrong password after which the next one has to wait, which its hint says.
    package var beginsLockout: Bool { code == .incorrectPassword && hint != nil }
}
