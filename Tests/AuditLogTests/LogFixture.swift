// SPDX-License-Identifier: Apache-2.0

import AuditLog
import CredfsTestSupport
import Foundation
import Sealing
import SystemCalls
import Testing

/// A log in a directory of its own, and the steps that most tests share.
final class LogFixture: Sendable {
    static let store = "0c5f1e6a-2b3d-4c4e-8f60-718293a4b5c6"

    let directory: TemporaryDirectory
    let limits: AuditLog.Limits
    let key: [UInt8]

    /// Begins a log with some entries.
    init(_ count: Int = 0, fileByteCount: Int = 8 << 20, fileCount: Int = 8, lockMilliseconds: Int = 30_000) throws {
        directory = try TemporaryDirectory()
        var limits = AuditLog.Limits()
        limits.fileByteCount = fileByteCount
        limits.fileCount = fileCount
        limits.lockMilliseconds = lockMilliseconds
        self.limits = limits
        key = try RandomBytes.array(count: 32)
        try begin()
        try append(count)
    }

    /// The log as another process would open it.
    func log() throws -> AuditLog {
        AuditLog(
            AuditDirectory(
                try OwnedDescriptor.open(directory.path, O_RDONLY | O_DIRECTORY),
                path: directory.path,
                user: getuid(),
                isStrict: true
            ),
            limits: limits
        )
    }

    @discardableResult
    func begin() throws -> Bool {
        let key = key
        return try log().begin(sealedWith: Key256(copying: key.span), store: Self.store)
    }

    /// Writes some entries.
    func append(_ count: Int = 1, synchronizing: Bool = false) throws {
        let log = try log()
        for _ in 0..<count { try log.append(sampleEntry(), synchronizing: synchronizing) }
    }

    func verify(head: AuditHead? = nil, key other: [UInt8]? = nil, store: String = LogFixture.store) throws
        -> AuditReport
    {
        let bytes = other ?? key
        return try log().verify(unsealedWith: Key256(copying: bytes.span), store: store, head: head)
    }

    /// What is wrong, as `kind sequence`.
    func problems(head: AuditHead? = nil) throws -> [String] {
        try verify(head: head).problems.map { "\($0.kind.rawValue) \($0.sequence.map { String($0) } ?? "-")" }
    }

    /// The lines of a file, without their newlines.
    func lines(_ name: String = "audit.log") throws -> [String] {
        var lines = String(decoding: try directory.read(name), as: UTF8.self).components(separatedBy: "\n")
        if lines.last == "" { lines.removeLast() }
        return lines
    }

    /// Writes lines by hand.
    func write(_ lines: [String], to name: String = "audit.log") throws {
        try directory.write(Array(lines.map { $0 + "\n" }.joined().utf8), to: name)
    }

    /// The names in the directory.
    func names() throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: directory.path).sorted() }

    /// Every file, to be put back later.
    func saved() throws -> [String: [UInt8]] {
        Dictionary(uniqueKeysWithValues: try names().map { ($0, try directory.read($0)) })
    }

    /// Puts everything back as it was.
    func restore(_ files: [String: [UInt8]]) throws {
        for name in try names() where files[name] == nil {
            try FileManager.default.removeItem(atPath: directory.path(name))
        }
        for (name, bytes) in files { try directory.write(bytes, to: name) }
    }
}

/// An entry as a command has it.
func sampleEntry(_ operation: String = "show") -> AuditEntry {
    var entry = AuditEntry(timestamp: "2026-01-02T03:04:05.678Z", operation: operation, status: "success")
    entry.secret = "API.TOKEN"
    entry.service = "API"
    entry.uid = 1000
    entry.pid = 4711
    entry.executable = "/usr/bin/credfs"
    entry.parent = "/usr/bin/bash"
    entry.store = LogFixture.store
    return entry
}

/// An entry with every member.
func fullEntry() -> AuditEntry {
    var entry = sampleEntry("open")
    entry.reason = "a \"quoted\" \\ text\nwith\u{1} f\u{fc}r \u{65e5}\u{1f511}\u{2028}"
    entry.mount = "0123"
    entry.pid = 0
    entry.executable = nil
    entry.repeated = AuditEntry.Repeat(count: 17, first: "2026-01-02T03:04:05.678Z", last: "2026-01-02T03:04:06.678Z")
    entry.secrets = ["ONE", "TWO"]
    entry.slots = ["keyfile"]
    entry.authMode = "unauthenticated"
    entry.authReason = "permissions"
    entry.exitStatus = 137
    entry.user = "deploy"
    entry.startTime = 123_456
    entry.ancestors = ["/usr/bin/bash", "", "/usr/lib/systemd/systemd"]
    entry.unit = "deploy.service"
    entry.claimed = AuditEntry.Claims(argument: "made \"up\"", name: "x")
    return entry
}

/// The error that something throws.
func failure<R: ~Copyable>(_ body: () throws -> R) -> AuditError? {
    do {
        _ = try body()
        return nil
    } catch { return error as? AuditError }
}
