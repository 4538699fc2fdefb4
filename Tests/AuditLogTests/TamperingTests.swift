// SPDX-License-Identifier: Apache-2.0

import AuditLog
import CredfsTestSupport
import Foundation
import Sealing
import Testing

/// Whatever is done to a log is found, and named for what it is.
@Suite struct TamperingTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        /// What becomes of the lines of a log with entries 1 to 9.
        let change: @Sendable ([String]) -> [String]
        let problems: [String]

        init(_ description: String, _ problems: [String], _ change: @escaping @Sendable ([String]) -> [String]) {
            testDescription = description
            self.change = change
            self.problems = problems
        }
    }

    private static func replacing(_ index: Int, _ old: String, _ new: String) -> @Sendable ([String]) -> [String] {
        { lines in
            var lines = lines
            lines[index] = lines[index].replacing(old, with: new)
            return lines
        }
    }

    static let cases = [
        Case("a status", ["changed 5"], replacing(4, "success", "failed")),
        Case("the name of a secret", ["changed 5"], replacing(4, "API.TOKEN", "API.OTHER")),
        Case("the first entry", ["changed 1"], replacing(0, "success", "failed")),
        Case("the last entry", ["changed 9"], replacing(8, "success", "failed")),
        Case("white space", ["changed 5"], replacing(4, ",\"status\"", ", \"status\"")),
        Case("another member", ["changed 5"], replacing(4, "\"mount\":null", "\"mount\":null,\"more\":1")),
        Case("a sequence", ["changed 7", "missing 5"], replacing(4, "\"sequence\":5", "\"sequence\":7")),
        Case(
            "a sequence beyond the end",
            ["inserted 99", "missing 5"],
            replacing(4, "\"sequence\":5", "\"sequence\":99")
        ),
        Case("the code of one", ["changed 5"]) { lines in
            var lines = lines
            lines[4] = String(lines[4].dropLast(10) + lines[3].suffix(10))
            return lines
        },
        Case("a line that is none", ["malformed -", "missing 5"]) { lines in
            var lines = lines
            lines[4] = "{}"
            return lines
        },
        Case("an entry removed", ["missing 5"]) { Array($0[..<4] + $0[5...]) },
        Case("several removed", ["missing 4"]) { Array($0[..<3] + $0[6...]) },
        Case("some here, some there removed", ["missing 3", "missing 7"]) { Array($0[..<2] + $0[3..<6] + $0[8...]) },
        Case("the first removed", ["missing 1"]) { Array($0[1...]) },
        Case("the beginning removed", ["missing 1"]) { Array($0[4...]) },
        Case("the last removed", ["truncated 9"]) { Array($0.dropLast()) },
        Case("the end removed", ["truncated 4"]) { Array($0.prefix(3)) },
        Case("everything removed", ["truncated 1"]) { _ in [] },
        Case("an entry twice", ["inserted 5"]) { Array($0[..<5] + $0[4...]) },
        Case("an entry at the end again", ["inserted 5"]) { $0 + [$0[4]] },
        Case("a forged entry", ["inserted 10"]) { $0 + [$0[4].replacing("\"sequence\":5", with: "\"sequence\":10")] },
        Case("an empty line", ["malformed -"]) { $0[..<4] + [""] + $0[4...] },
        Case("two that changed places", ["moved 5"]) { $0[..<4] + [$0[5], $0[4]] + $0[6...] },
        Case("one moved to the end", ["moved 4"]) { $0[..<3] + $0[4...] + [$0[3]] },
        Case(
            "the last one moved to the front",
            ["moved 1", "moved 2", "moved 3", "moved 4", "moved 5", "moved 6", "moved 7", "moved 8"]
        ) {
            [$0[8]] + $0[..<8]
        },
    ]

    @Test(arguments: cases)
    func isFoundAndNamed(change: Case) throws {
        let fixture = try LogFixture(8)
        #expect(try fixture.problems() == [])
        try fixture.write(change.change(fixture.lines()))
        #expect(try fixture.problems() == change.problems)
        // Going on after it hides nothing.
        try fixture.append(2)
        let later = try fixture.problems()
        #expect(!later.isEmpty)
        #expect(try !fixture.verify().isIntact)
    }

    @Test func theMessageSaysWhere() throws {
        let fixture = try LogFixture(8)
        try fixture.write(TamperingTests.replacing(4, "success", "failed")(fixture.lines()))
        let problem = try #require(try fixture.verify().problems.first)
        #expect(problem.message == "audit.log line 5: entry 5 was changed")
        #expect(problem.file == "audit.log")
        #expect(problem.line == 5)
    }

    @Test func everyFlippedBitOfALogIsFound() throws {
        let fixture = try LogFixture(1)
        let log = try fixture.directory.read("audit.log")
        for index in log.indices {
            var other = log
            other[index] ^= 1 << UInt8(index % 8)
            try fixture.directory.write(other, to: "audit.log")
            #expect(try !fixture.verify().isIntact, "byte \(index)")
        }
    }

    @Test func anOldCopyOfTheLogIsFound() throws {
        let fixture = try LogFixture(3)
        let old = try fixture.directory.read("audit.log")
        try fixture.append(4)
        try fixture.directory.write(old, to: "audit.log")
        #expect(try fixture.problems() == ["truncated 5"])
        try fixture.append()
        #expect(try fixture.problems() == ["missing 5"])
    }

    @Test func anOldCopyOfTheKeyOnlyMakesTheRestBeAdopted() throws {
        let fixture = try LogFixture(3)
        let old = try fixture.directory.read("audit.key")
        try fixture.append(4)
        try fixture.directory.write(old, to: "audit.key")
        #expect(try fixture.problems() == [])
        try fixture.append()
        #expect(try fixture.verify().last == 10)
        #expect(try fixture.problems() == [])
    }

    @Test func aKeyOrFirstKeyThatIsMissingIsFound() throws {
        let fixture = try LogFixture(3)
        let files = try fixture.saved()
        for name in ["audit.key", "audit.root"] {
            try fixture.restore(files.filter { $0.key != name })
            #expect(try fixture.verify().problems.map(\.message) == ["\(name) is missing: nothing can be checked"])
        }
        for name in ["audit.key", "audit.root"] {
            try fixture.restore(files)
            try fixture.directory.write([], to: name)
            #expect(try fixture.problems() == ["key -"])
        }
    }

    @Test func theKeyOfAnotherLogIsFound() throws {
        let fixture = try LogFixture(3)
        let other = try LogFixture(3)
        try fixture.directory.write(try other.directory.read("audit.key"), to: "audit.key")
        #expect(try fixture.problems() == ["key -"])
        try fixture.append()
        #expect(try fixture.problems() == ["changed 5", "key -"])
    }

    @Test func aFirstKeyOpensForItsStoreOnly() throws {
        let fixture = try LogFixture(3)
        let other = try LogFixture(3)
        #expect(try fixture.verify(key: other.key).problems.map(\.kind) == [.key])
        #expect(try fixture.verify(store: "00000000-2b3d-4c4e-8f60-718293a4b5c6").problems.map(\.kind) == [.key])
        // A whole log of another store does not open either.
        try fixture.restore(other.saved())
        #expect(try fixture.verify().problems.map(\.kind) == [.key])
    }

    @Test func aPartOfAnotherHistoryIsFound() throws {
        let fixture = try LogFixture(3)
        let fork = try fixture.saved()
        try fixture.append(3)
        let real = try fixture.saved()
        let realLines = try fixture.lines()
        // Whoever has an old copy of everything can write other entries, but cannot go over to the real ones.
        try fixture.restore(fork)
        for _ in 0..<2 { try fixture.log().append(sampleEntry("list"), synchronizing: false) }
        let forged = try fixture.lines()
        try fixture.restore(real)
        try fixture.write(Array(forged[..<6] + realLines[6...]))
        #expect(try fixture.problems() == ["spliced 7"])
    }

    @Test func aHugeNumberEndsInAnError() throws {
        let fixture = try LogFixture(3)
        var key = try fixture.directory.read("audit.key")
        for number in [[UInt8](repeating: 0xff, count: 8), [0, 0, 0xff, 0, 0, 0, 0, 0], [0, 0, 0, 0xff, 0, 0, 0, 0]] {
            key.replaceSubrange(16..<24, with: number)
            try fixture.directory.write(key, to: "audit.key")
            #expect(try fixture.verify().problems.last?.kind == .key)
            let lines = try fixture.lines()
            try fixture.write([lines[0], lines[1].replacing("\"sequence\":2", with: "\"sequence\":280000000000000")])
            #expect(try fixture.verify().problems.last?.kind == .key)
            try fixture.write(lines)
        }
    }

    @Test func noDamageOfTheKeyOrTheFirstKeyTraps() throws {
        let fixture = try LogFixture(3)
        let files = try fixture.saved()
        for name in ["audit.key", "audit.root"] {
            let bytes = try #require(files[name])
            for index in bytes.indices {
                try fixture.restore(files)
                var other = bytes
                other[index] ^= 1 << UInt8(index % 8)
                try fixture.directory.write(other, to: name)
                let report = try fixture.verify()
                if name == "audit.root" { #expect(!report.isIntact) }
                // The keys, the codes and the number; the rest is for appending only.
                if name == "audit.key", index < 24 || (112..<208).contains(index) {
                    #expect(!report.isIntact, "\(index)")
                }
                _ = failure { try fixture.append() }
                _ = try fixture.verify()
            }
            for count in [0, 1, bytes.count - 1] {
                try fixture.restore(files)
                try fixture.directory.write(bytes.prefix(count), to: name)
                #expect(try fixture.problems() == ["key -"])
                _ = failure { try fixture.append() }
            }
        }
    }

    @Test func noMalformedLineTraps() throws {
        let fixture = try LogFixture(2)
        let good = try fixture.lines()
        var random = SystemRandomNumberGenerator()
        for round in 0..<400 {
            var line = Array(good[round % good.count].utf8)
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                let index = Int.random(in: 0..<line.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: line[index] = UInt8.random(in: 0...255, using: &random)
                case 1: line.remove(at: index)
                case 2: line.insert(UInt8.random(in: 0...255, using: &random), at: index)
                default: line.removeSubrange(index...)
                }
                if line.isEmpty { line = [0x7b] }
            }
            guard line != Array(good[round % good.count].utf8) else { continue }
            try fixture.directory.write(Array(good[0].utf8) + [0x0a] + line + [0x0a], to: "audit.log")
            #expect(try !fixture.verify().isIntact)
            let tail = try fixture.log().tail(isFollowing: false)
            while try tail.next() != nil {}
        }
        for text in [
            "", "{", "}", "[", "{\"", "{\"a\":", "{\"a\":1,}", "{\"a\":\"\\", "{\"a\":\"\\u", "{\"a\":\"\\ud800\"}",
            "{\"a\":\"\\ud800\\u0041\"}", "{\"a\":tru", "{\"a\":[[[[[[[[]]]]]]]]}", "{\"a\":1,\"a\":1}", "null",
            "\u{0}",
            "{\"a\":+}", "{\"a\":{\"b\":[1,true,false,null,\"\\b\\f\\n\\r\\t\\/\\u00e9\\ud83d\\udd11\"]}} x",
        ] {
            #expect(AuditLine(Array(text.utf8)) == nil)
        }
    }

    @Test func membersOfAnotherTypeAreNoEntry() throws {
        let fixture = try LogFixture(1)
        let line = try fixture.lines()[1]
        for (old, new) in [
            ("\"secret\":\"API.TOKEN\"", "\"secret\":1"), ("\"uid\":1000", "\"uid\":\"x\""),
            ("\"pid\":4711", "\"pid\":1.5"),
            ("\"mount\":null", "\"mount\":null,\"repeat\":1"), ("\"mount\":null", "\"mount\":null,\"repeat\":{}"),
            ("\"sequence\":2", "\"sequence\":0"), ("\"sequence\":2", "\"sequence\":-1"),
            ("\"status\":\"success\"", "\"status\":null"),
        ] { #expect(AuditLine(Array(line.replacing(old, with: new).utf8)) == nil, "\(new)") }
        let known = line.replacing("\"mount\":null", with: "\"mount\":null,\"repeat\":null,\"later\":[1]")
        #expect(AuditLine(Array(known.utf8)) != nil)
    }

    @Test func afterManyProblemsNothingIsExaminedAnyMore() throws {
        let fixture = try LogFixture(1)
        try fixture.write([String](repeating: "x", count: 5000))
        #expect(try fixture.verify().problems.count == AuditReport.maximumProblemCount)
    }
}
