// SPDX-License-Identifier: Apache-2.0

internal import Sealing

extension ReadPolicy {
    /// Reads the policy of a secret.
    static func read(_ events: inout YAMLEventReader) throws(StoreError) -> ReadPolicy {
        var policy = ReadPolicy()
        try events.mapping { (key, events) throws(StoreError) in
            switch key {
            case "executables":
                try events.list { (event, events) throws(StoreError) in
                    policy.executables.append(try readExecutable(event, &events))
                }
            case "uids":
                try events.list { (event, events) throws(StoreError) in
                    guard event == .scalar, let uid = UInt32(exactly: try events.currentNumber()) else {
                        throw events.invalid("a user id is expected")
                    }
                    policy.uids.append(uid)
                }
            case "units":
                try events.list { (event, events) throws(StoreError) in
                    guard event == .scalar else { throw events.invalid("text is expected") }
                    let unit = try events.currentText()
                    guard isUnit(unit) else {
                        throw events.invalid("the name of a unit or container is expected", hint: unitRule)
                    }
                    policy.units.append(unit)
                }
            case "callers": policy.callers = try events.word(Callers.self)
            case "max_reads":
                policy.maxReads = try events.number()
                guard policy.maxReads != 0 else { throw events.invalid("max_reads must be at least 1") }
            case "not_before": policy.notBefore = try events.timestamp()
            case "not_after": policy.notAfter = try events.timestamp()
            case "hidden": policy.hidden = try events.flag()
            case "placeholder": policy.placeholder = try events.flag()
            case "decoy": policy.decoy = try events.flag()
            default:
                throw events.unknownKey(
                    "executables, uids, units, callers, max_reads, not_before, not_after, hidden, placeholder and decoy"
                )
            }
        }
        if let contradiction = policy.contradiction { throw events.invalid(contradiction) }
        return policy
    }

    /// Keys that exclude each other.
    private var contradiction: String? {
        if hidden && placeholder { return "hidden and placeholder exclude each other" }
        if let notBefore, let notAfter, notAfter <= notBefore { return "not_after is not later than not_before" }
        return nil
    }

    /// Checks that keys do not contradict each other.
    ///
    /// - Throws: class `invalid`.
    package func check() throws(StoreError) {
        if let contradiction { throw StoreError(.invalid, contradiction) }
    }

    /// Form of a name in `units`, for hints.
    package static let unitRule =
        "such as deploy.service, user@1000.service/agent.service, or the 64 hexadecimal digits of a container"

    /// Detects a name that a unit or container can have.
    package static func isUnit(_ text: String) -> Bool {
        (1...512).contains(text.utf8.count) && text.utf8.allSatisfy { (0x21...0x7e).contains($0) }
            && !text.hasPrefix("/")
    }

    /// Detects a path that a manifest can hold: an absolute one, in one line, without what hides or reorders text.
    package static func isPath(_ text: String) -> Bool { text.hasPrefix("/") && SecretEntry.isDescription(text) }

    private static func readExecutable(
        _ event: YAMLEventReader.Event,
        _ events: inout YAMLEventReader
    ) throws(StoreError) -> Executable {
        guard event == .mappingStart else { throw events.invalid("a mapping with 'path' is expected") }
        var path: String?
        var digest: String?
        try events.mappingEntries { (key, events) throws(StoreError) in
            switch key {
            case "path":
                let text = try events.text()
                guard isPath(text) else { throw events.invalid("an absolute path is expected") }
                path = text
            case "sha256":
                let text = try events.text()
                guard Base16.bytes(text)?.count == 32 else {
                    throw events.invalid("a SHA-256 has 64 lower-case hexadecimal digits")
                }
                digest = text
            default:
                throw events.unknownKey("path and sha256")
            }
        }
        guard let path else { throw events.invalid("executable without 'path'") }
        return Executable(path: path, sha256: digest)
    }
}

extension RotationRule {
    /// Reads how new values of a secret are made.
    static func read(_ events: inout YAMLEventReader) throws(StoreError) -> RotationRule {
        var every: String?
        var command: [String] = []
        try events.mapping { (key, events) throws(StoreError) in
            switch key {
            case "every":
                let text = try events.text()
                guard isPeriod(text) else {
                    throw events.invalid(
                        "a period is expected",
                        hint: "an integer and ms, s, m, h, d or w, such as 30d"
                    )
                }
                every = text
            case "command":
                try events.list { (event, events) throws(StoreError) in
                    guard event == .scalar else { throw events.invalid("text is expected") }
                    command.append(try events.currentText())
                }
            default:
                throw events.unknownKey("every and command")
            }
        }
        guard let every, !command.isEmpty else { throw events.invalid("rotate needs 'every' and 'command'") }
        return RotationRule(every: every, command: command)
    }

    /// A period has one spelling and is not nothing.
    private static func isPeriod(_ text: String) -> Bool { !text.hasPrefix("0") && milliseconds(text) != nil }

    /// Milliseconds of a duration: an integer and ms, s, m, h, d or w; nil for any other text.
    package static func milliseconds(_ text: String) -> Int64? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        guard let number = UInt32(digits), let unit = units[String(text.dropFirst(digits.count))] else { return nil }
        return Int64(number) * unit
    }

    private static let units: [String: Int64] = [
        "ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000,
    ]

    /// Compares the age of a value with the period; a value that never was replaced is due.
    package func isDue(_ rotated: Timestamp?, now: Timestamp) -> Bool {
        guard let rotated else { return true }
        // The reader has refused every other period.
        guard let period = Self.milliseconds(every) else { return false }
        return (now.seconds - rotated.seconds) * 1000 >= period
    }
}
