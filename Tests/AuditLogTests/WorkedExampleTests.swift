// SPDX-License-Identifier: Apache-2.0

import AuditLog
import CredfsTestSupport
import Foundation
import Sealing
import Testing

/// docs/file-format.md says what it says: the log in its example is read out of the page and checked.
@Suite struct WorkedAuditExampleTests {
    private let page: String
    private let lines: [String]

    init() throws {
        let path = PackageDirectory.root + "docs/file-format.md"
        page = try String(contentsOf: URL(filePath: path, directoryHint: .notDirectory), encoding: .utf8)
        let block = try #require(page.firstMatch(of: /```text example=audit-log\n((?:.*\n)*?)```/)?.1)
        lines = block.split(separator: "\n").map(String.init)
    }

    private func key(_ name: String) throws -> [UInt8] {
        let row = try #require(page.split(separator: "\n").first { $0.hasPrefix("| \(name) | `") })
        return try Hexadecimal.decode(String(row.suffix(67).prefix(64)))
    }

    private func ratchet() throws -> KeyRatchet {
        let root = try key("first key of the log")
        return try KeyRatchet(root: Key256(copying: root.span))
    }

    @Test func theLinesAuthenticate() throws {
        let ratchet = try ratchet()
        #expect(lines.count == 2)
        for text in lines {
            let bytes = Array(text.utf8)
            let line = try #require(AuditLine(bytes))
            #expect(line.sequence == ratchet.sequence)
            #expect(try ratchet.isCode(line.code, of: bytes.span.extracting(0..<AuditLine.bodyCount(bytes))))
            try ratchet.advance()
        }
        let last = try #require(AuditLine(Array(lines[1].utf8)))
        #expect(page.contains("Its head is `\(AuditHead(sequence: 2, code: last.code).text)`."))
    }

    @Test func theLinesAreTheTextThatIsWritten() throws {
        let ratchet = try ratchet()
        var previous = [UInt8](repeating: 0, count: 32)
        for text in lines {
            let line = try #require(AuditLine(Array(text.utf8)))
            let body = AuditLine.body(line.entry, sequence: ratchet.sequence, previous: previous)
            previous = try ratchet.code(of: body.span)
            #expect(body + AuditLine.tail(previous) == Array((text + "\n").utf8))
            try ratchet.advance()
        }
    }

    @Test func theKeysAreThoseOfThePage() throws {
        let ratchet = try ratchet()
        for sequence in 1...2 {
            let keys = ratchet.withKeys { keys in keys.indices.map { keys[$0] } }
            #expect(Array(keys[0..<32]) == (try key("key of the second block")))
            #expect(Array(keys[32...]) == (try key("entry key of entry \(sequence)")))
            let body = Array("body".utf8)
            let codeKey = try key("code key of entry \(sequence)")
            var code = try HMACSHA256(key: codeKey.span)
            try code.update(body.span)
            let expected = try code.finalize()
            #expect(try ratchet.code(of: body.span) == expected)
            try ratchet.advance()
        }
    }
}
