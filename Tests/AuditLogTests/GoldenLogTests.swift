// SPDX-License-Identifier: Apache-2.0

import AuditLog
import CredfsTestSupport
import Foundation
import Sealing
import SystemCalls
import Testing

/// The log in Tests/Vectors/v1/audit, which an earlier version wrote, verifies with every version and can be appended to.
@Suite final class GoldenLogTests {
    private static let head = "29:dfbffbb2b1071d87a3a552fa6183ac59a10224ef72ad3b19de598dbd73406be7"
    private static let names = ["audit.log", "audit.log.13", "audit.log.19", "audit.key.hex", "audit.root.hex"]

    let directory: TemporaryDirectory
    let log: AuditLog

    init() throws {
        directory = try TemporaryDirectory()
        for name in Self.names {
            let path = PackageDirectory.root + "Tests/Vectors/v1/audit/\(name)"
            var bytes = Array(try Data(contentsOf: URL(filePath: path, directoryHint: .notDirectory)))
            if name.hasSuffix(".hex") {
                let digits = String(decoding: bytes, as: UTF8.self).filter { !$0.isNewline }
                bytes = try Hexadecimal.decode(digits)
            }
            let written = try directory.write(bytes, to: String(name.replacing(".hex", with: "")))
            try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: written)
        }
        log = AuditLog(
            AuditDirectory(
                try OwnedDescriptor.open(directory.path, O_RDONLY | O_DIRECTORY),
                path: directory.path,
                user: getuid(),
                isStrict: true
            )
        )
    }

    private func verify(_ head: AuditHead?) throws -> AuditReport {
        let key = Array(UInt8(0)..<32)
        return try log.verify(unsealedWith: Key256(copying: key.span), store: LogFixture.store, head: head)
    }

    @Test func verifies() throws {
        let report = try verify(AuditHead(Self.head))
        #expect(report.problems.isEmpty, "\(report.problems)")
        #expect(report.first == 13 && report.last == 29)
        #expect(try log.head().text == Self.head)
    }

    @Test func everyLineIsReadAndWrittenAsItStands() throws {
        let tail = try log.tail(isFollowing: false)
        var count = 0
        while let item = try tail.next() {
            guard case .entry(let line, let text) = item else {
                Issue.record("not an entry: \(item)")
                continue
            }
            let body = AuditLine.body(line.entry, sequence: line.sequence, previous: line.previous)
            #expect(String(decoding: body + AuditLine.tail(line.code).dropLast(), as: UTF8.self) == text)
            count += 1
        }
        #expect(count == 17)
    }

    @Test func goesOnWithTheEntriesOfThisVersion() async throws {
        try log.append(fullEntry(), synchronizing: false)
        let report = try verify(AuditHead(Self.head))
        #expect(report.problems.isEmpty && report.last == 30)
        let key = try directory.write(Array(UInt8(0)..<32), to: "../\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(atPath: key) }
        let second = try await ChildProcess.run(
            "/usr/bin/python3",
            [
                "-B", PackageDirectory.root + "Tests/Scripts/verify_audit.py", "--store", LogFixture.store,
                "--audit-key", key, "--head", Self.head, directory.path,
            ]
        )
        #expect(second.status == .exited(0), "\(second.outputText)\(second.errorText)")
        #expect(second.outputText.contains("\"last\": 30"))
    }
}
