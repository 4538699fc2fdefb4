// SPDX-License-Identifier: Apache-2.0

internal import Sealing
internal import SecureJSON

/// Content of one line of the log beside its place: user, process, operation, secrets, outcome.
///
/// Never a value, a ciphertext or a length.
package struct AuditEntry: Sendable, Equatable {
    /// Several events that one entry stands for.
    package struct Repeat: Sendable, Equatable {
        package var count: UInt64
        /// Time of the first event.
        package var first: String
        /// Time of the last event.
        package var last: String

        /// Makes the summary of some events.
        package init(count: UInt64, first: String, last: String) {
            self.count = count
            self.first = first
            self.last = last
        }
    }

    /// Claims of a process, which may set them to anything.
    package struct Claims: Sendable, Equatable {
        package var argument: String?
        package var name: String?

        /// Makes the claims of a process.
        package init(argument: String?, name: String?) {
            self.argument = argument
            self.name = name
        }
    }

    /// The operation of the entry that every file of a log begins with.
    package static let beginning = "audit-log"
    /// The operation of the entry that says how the end of the log was mended.
    package static let repair = "audit-repair"

    /// RFC 3339 in UTC with milliseconds.
    package var timestamp: String
    package var operation: String
    package var secret: String?
    package var service: String?
    /// `success`, `failed` or `denied`.
    package var status: String
    package var reason: String?
    /// User and process that ran credfs or opened a file.
    package var uid: Int64?
    package var pid: Int64?
    package var executable: String?
    package var parent: String?
    /// The mount in which a file was opened.
    package var mount: String?
    package var store: String?
    package var repeated: Repeat?
    /// The secrets of an operation on several; one alone is `secret`.
    package var secrets: [String] = []
    /// The key slots that it was about.
    package var slots: [String] = []
    /// Of a run or mount: `authenticated` or `unauthenticated`.
    package var authMode: String?
    /// Cause of being unauthenticated.
    package var authReason: String?
    /// Of a job that ended.
    package var exitStatus: Int64?
    package var user: String?
    /// The start of the process in clock ticks since the system started.
    package var startTime: UInt64?
    /// The programs of the ancestors of the process, its parent first.
    package var ancestors: [String] = []
    /// The unit of systemd or the container of the process.
    package var unit: String?
    package var claimed: Claims?
    /// Of a job: claims of its CI system and of whoever started it.
    package var labels: [String: String] = [:]
    /// In the first entry of a file: the oldest entry that the log still has.
    package internal(set) var first: UInt64?
    /// Number of events before this one that could not be recorded.
    package internal(set) var lost: UInt64?

    package init(timestamp: String, operation: String, status: String) {
        self.timestamp = timestamp
        self.operation = operation
        self.status = status
    }

    /// First entry of a file, in the name of the process that had something to record.
    func beginning(first: UInt64, isNew: Bool) -> AuditEntry {
        var entry = aboutTheLog(Self.beginning, "success", isNew ? "a new log" : "the log goes on in a new file")
        entry.first = first
        return entry
    }

    /// Entry of a repair of the end of the log, in the name of the process that had something to record.
    func repairing(_ repair: AuditRepair) -> AuditEntry {
        aboutTheLog(Self.repair, repair.isLoss ? "failed" : "success", repair.message)
    }

    private func aboutTheLog(_ operation: String, _ status: String, _ reason: String) -> AuditEntry {
        var entry = AuditEntry(timestamp: timestamp, operation: operation, status: status)
        entry.reason = reason
        entry.uid = uid
        entry.pid = pid
        entry.executable = executable
        entry.parent = parent
        entry.store = store
        entry.user = user
        entry.startTime = startTime
        entry.ancestors = ancestors
        entry.unit = unit
        return entry
    }
}

/// Line of the log: an entry, its sequence and codes.
package struct AuditLine: Sendable, Equatable {
    /// The size of a line, newline included, beyond which it is none.
    package static let maximumByteCount = 65_536
    /// Limit of a text; a path of the kernel has at most 4096.
    static let maximumTextByteCount = 4096
    /// Limit of the texts of a list together; a longer list is cut.
    static let maximumListByteCount = 8192
    static let codeByteCount = 32
    /// Limit of nesting.
    static let maximumDepth = 4
    /// `,"mac":"`, 64 digits, `"}`.
    private static let tailByteCount = 74

    /// Counts entries from 1.
    package let sequence: UInt64
    package let entry: AuditEntry
    /// The code of the entry before it.
    package let previous: [UInt8]
    package let code: [UInt8]
}

// Writing.
extension AuditLine {
    /// Body of a line, which the code covers: everything before the member `mac`.
    package static func body(_ entry: AuditEntry, sequence: UInt64, previous: [UInt8]) -> [UInt8] {
        var text = JSONText()
        text.begin()
        entry.write(to: &text, sequence: sequence)
        text.member("previous", Base16.text(previous))
        return text.bytes
    }

    /// End of a line behind the body, newline included.
    package static func tail(_ code: [UInt8]) -> [UInt8] {
        Array(",\"mac\":\"\(Base16.text(code))\"}\n".utf8)
    }
}

extension AuditEntry {
    /// The entry alone, as JSON on one line: for people who want to see what is recorded.
    package var json: String {
        var text = JSONText()
        text.begin()
        write(to: &text, sequence: nil)
        text.end()
        // NOT SECRET: an entry of the log.
        return String(decoding: text.bytes, as: UTF8.self)
    }

    /// Writes the members; those that came later, and do not apply, are left out, so that older lines stay what they were.
    fileprivate func write(to text: inout JSONText, sequence: UInt64?) {
        text.member("timestamp", timestamp)
        if let sequence { text.member("sequence", number: sequence) }
        text.member("operation", operation)
        text.member("secret", secret)
        text.member("service", service)
        text.member("status", status)
        text.member("reason", reason)
        text.member("uid", number: uid)
        text.member("pid", number: pid)
        text.member("executable", executable)
        text.member("parent", parent)
        text.member("mount", mount)
        text.member("store", store)
        if let repeated {
            text.key("repeat")
            text.begin()
            text.member("count", number: repeated.count)
            text.member("first", repeated.first)
            text.member("last", repeated.last)
            text.end()
        }
        if let first { text.member("first", number: first) }
        if let lost { text.member("lost", number: lost) }
        if !secrets.isEmpty { text.member("secrets", list: secrets) }
        if !slots.isEmpty { text.member("slots", list: slots) }
        if let authMode { text.member("authMode", authMode) }
        if let authReason { text.member("authReason", authReason) }
        if let exitStatus { text.member("exitStatus", number: exitStatus) }
        if let user { text.member("user", user) }
        if let startTime { text.member("startTime", number: startTime) }
        if !ancestors.isEmpty { text.member("ancestors", list: ancestors) }
        if let unit { text.member("unit", unit) }
        if let claimed {
            text.key("claimed")
            text.begin()
            text.member("argument", claimed.argument)
            text.member("name", claimed.name)
            text.end()
        }
        if !labels.isEmpty {
            text.key("labels")
            text.begin()
            for (key, value) in labels.sorted(by: { $0.key < $1.key }) { text.member(key, value) }
            text.end()
        }
    }
}

// Reading.
extension AuditLine {
    /// Reads a line that comes without its newline; nil for anything that credfs does not write.
    ///
    /// Members that this version does not know are allowed.
    package init?(_ line: [UInt8]) {
        guard line.count > Self.tailByteCount, line.count < Self.maximumByteCount,
            let members = JSONValue.members(line.span, maximumDepth: Self.maximumDepth),
            case .number(let sequence) = members["sequence"], let sequence = UInt64(sequence),
            (1...KeyRatchet.maximumSequence).contains(sequence),
            let previous = Self.code(members["previous"]), let code = Self.code(members["mac"]),
            // The code covers what stands before it, so it has to be the last thing in the line, spelled in one way.
            Array(line[(line.count - Self.tailByteCount)...]) == Self.tail(code).dropLast(),
            let entry = AuditEntry(members)
        else { return nil }
        self.init(sequence: sequence, entry: entry, previous: previous, code: code)
    }

    /// The bytes of a line that its code covers.
    package static func bodyCount(_ line: [UInt8]) -> Int { line.count - tailByteCount }

    private static func code(_ value: JSONValue?) -> [UInt8]? {
        guard case .string(let text) = value, let code = Base16.bytes(text), code.count == codeByteCount else {
            return nil
        }
        return code
    }
}

extension AuditEntry {
    fileprivate init?(_ members: [String: JSONValue]) {
        guard case .string(let timestamp) = members["timestamp"], case .string(let operation) = members["operation"],
            case .string(let status) = members["status"]
        else { return nil }
        self.init(timestamp: timestamp, operation: operation, status: status)
        do {
            secret = try members.text("secret")
            service = try members.text("service")
            reason = try members.text("reason")
            uid = try members.number("uid")
            pid = try members.number("pid")
            executable = try members.text("executable")
            parent = try members.text("parent")
            mount = try members.text("mount")
            store = try members.text("store")
            first = try members.number("first")
            lost = try members.number("lost")
            repeated = try members.repeated()
            secrets = try members.list("secrets")
            slots = try members.list("slots")
            authMode = try members.text("authMode")
            authReason = try members.text("authReason")
            exitStatus = try members.number("exitStatus")
            user = try members.text("user")
            startTime = try members.number("startTime")
            ancestors = try members.list("ancestors")
            unit = try members.text("unit")
            claimed = try members.claimed()
            labels = try members.labels()
        } catch { return nil }
    }
}

/// A member is not of its type.
private struct WrongMember: Error {}

extension [String: JSONValue] {
    fileprivate func text(_ key: String) throws(WrongMember) -> String? {
        switch self[key] {
        case nil, .null: nil
        case .string(let text): text
        default: throw WrongMember()
        }
    }

    fileprivate func number<Number: FixedWidthInteger>(_ key: String) throws(WrongMember) -> Number? {
        switch self[key] {
        case nil, .null: return nil
        case .number(let text):
            guard let number = Number(text) else { throw WrongMember() }
            return number
        default: throw WrongMember()
        }
    }

    fileprivate func list(_ key: String) throws(WrongMember) -> [String] {
        switch self[key] {
        case nil, .null: return []
        case .array(let values):
            return try values.map { (value) throws(WrongMember) in
                guard case .string(let text) = value else { throw WrongMember() }
                return text
            }
        default: throw WrongMember()
        }
    }

    fileprivate func claimed() throws(WrongMember) -> AuditEntry.Claims? {
        switch self["claimed"] {
        case nil, .null: nil
        case .object(let members):
            AuditEntry.Claims(argument: try members.text("argument"), name: try members.text("name"))
        default: throw WrongMember()
        }
    }

    fileprivate func labels() throws(WrongMember) -> [String: String] {
        switch self["labels"] {
        case nil, .null: return [:]
        case .object(let members):
            var labels: [String: String] = [:]
            for key in members.keys { labels[key] = try members.text(key) }
            return labels
        default: throw WrongMember()
        }
    }

    fileprivate func repeated() throws(WrongMember) -> AuditEntry.Repeat? {
        switch self["repeat"] {
        case nil, .null: return nil
        case .object(let members):
            guard let count: UInt64 = try members.number("count"), let first = try members.text("first"),
                let last = try members.text("last")
            else { throw WrongMember() }
            return AuditEntry.Repeat(count: count, first: first, last: last)
        default: throw WrongMember()
        }
    }
}
