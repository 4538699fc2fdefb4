// SPDX-License-Identifier: Apache-2.0

import Foundation
import Sealing
import SecretStore
import SecureMemory
import Testing

/// Rendering of templates, compared with what other code makes of the same bytes.
@Suite struct RenderingTests {
    private static let now = Timestamp(seconds: 1_800_000_000)

    /// A set of values under names, and of files.
    private final class Values {
        let keys: StoreKeys
        var entries: [SecretEntry] = []

        init(_ values: [(String, [UInt8])] = []) throws {
            keys = try StoreKeys(dataKey: .random(), store: .random())
            for (name, value) in values { try add(name, value) }
        }

        func add(_ name: String, _ value: [UInt8], _ change: (inout SecretEntry) -> Void = { _ in }) throws {
            var entry = try SecretStoreTests.entry(name)
            var cipher = try keys.valueCipher()
            if !value.isEmpty { entry.value = .sealed(try cipher.seal(secure(value), as: entry.name)) }
            change(&entry)
            entries.append(entry)
        }

        func file(_ text: String, limit: Int = 16 << 20, now: Timestamp? = nil) throws -> Result<
            RenderedFile, MissingFile
        > {
            try #require(try set.file(of: try fileEntry(text), limit: limit, now: now))
        }

        var set: SecretSet { SecretSet(entries, keys) }

        private func fileEntry(_ text: String) throws -> SecretEntry {
            var file = try SecretStoreTests.entry("FILE")
            file.value = .template(try Template(text))
            return file
        }

        /// The content, read as a whole; its size is what was said before.
        func render(_ text: String) throws -> [UInt8] {
            let file = try file(text).get()
            let content = SecretStoreTests.bytes(try set.content(of: file))
            #expect(content.count == file.byteCount)
            var parts: [UInt8] = []
            try set.readParts(of: file) { part in for index in part.indices { parts.append(part[index]) } }
            #expect(parts == content)
            return content
        }

        /// A range, read with little memory.
        func read(_ file: RenderedFile, _ range: Range<Int>, scratch: Int) throws -> [UInt8] {
            var scratch = try SecureBuffer(count: scratch)
            var content = [UInt8](repeating: 0xaa, count: range.count)
            var span = content.mutableSpan
            let parts = set.parts(of: file)
            try file.read(at: range.lowerBound, into: &span, scratch: &scratch) {
                (part, offset, bytes) throws(StoreError) in
                guard case .sealed(let value) = parts[part].value else { throw StoreError(.failed, "no value") }
                try keys.decrypt(value, at: offset, into: &bytes)
            }
            #expect(SecretStoreTests.bytes(scratch).allSatisfy { $0 == 0 })
            return content
        }
    }

    private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    @Test func textAndValuesAreExact() throws {
        let values = try Values([("A", Array("one".utf8)), ("B", [0, 0xff, 0x0a]), ("two words", [0x31])])
        #expect(
            try values.render("x{{ A }}y{{ B }}{{ A }}") == Array("xoney".utf8) + [0, 0xff, 0x0a] + Array("one".utf8)
        )
        #expect(
            try Self.text(values.render("{{{{ {{{A}}} }} {{ 'two words' }} {{ \"a\\n\\\"\\\\\" A }}"))
                == "{{ {one} }} 1 a\n\"\\one"
        )
        #expect(try Self.text(values.render("no secret\n")) == "no secret\n")
    }

    private static let samples: [[UInt8]] = {
        let short: [[UInt8]] = (0...7).map { Array("abcdefg".utf8.prefix($0)) }
        let texts = [
            " \t\r\nx y\u{b}\u{c}\n", " \n ", "'\"\\$`!{}[]|&;<>()*?#~=%", "caf\u{e9} \u{1f600}\u{7f}\u{1}",
        ]
        let every = (0..<256).map { UInt8($0) }
        let long = (0..<50_000).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 8) }
        return short + texts.map { Array($0.utf8) } + [[0xff, 0xfe, 0x00, 0x80], every, long]
    }()

    @Test(arguments: samples)
    func base64IsThatOfFoundation(_ sample: [UInt8]) throws {
        let values = try Values([("A", sample)])
        #expect(try Self.text(values.render("<{{ A | base64 }}>")) == "<\(Data(sample).base64EncodedString())>")
        let twice = Data(Data(sample).base64EncodedString().utf8).base64EncodedString()
        #expect(try Self.text(values.render("{{ A | base64 | base64 }}")) == twice)
    }

    /// A whole that is joined of parts is encoded as one, which encoding each would not give.
    @Test func joinedPartsAreEncodedAsOne() throws {
        let values = try Values([("USER", Array("octo".utf8)), ("TOKEN", Array("s3cret".utf8))])
        let expected = Data("octo:s3cret".utf8).base64EncodedString()
        #expect(
            try Self.text(values.render("{\"auth\": \"{{ USER \":\" TOKEN | base64 }}\"}"))
                == "{\"auth\": \"\(expected)\"}"
        )
    }

    @Test(arguments: samples.filter { String(validating: $0, as: UTF8.self) != nil })
    func jsonIsReadBack(_ sample: [UInt8]) throws {
        let values = try Values([("A", sample)])
        let json = try values.render("{\"a\": {{ A | json }}}")
        let object = try #require(JSONSerialization.jsonObject(with: Data(json)) as? [String: String])
        #expect(object["a"]?.utf8.elementsEqual(sample) == true)
    }

    @Test(arguments: samples)
    func urlIsReadBack(_ sample: [UInt8]) throws {
        let encoded = try Self.text(Values([("A", sample)]).render("{{ A | url }}"))
        #expect(encoded.utf8.allSatisfy { $0.isASCIIUnreserved || $0 == UInt8(ascii: "%") })
        var decoded: [UInt8] = []
        var rest = Substring(encoded)
        while let first = rest.first {
            guard first == "%" else {
                decoded += Array(first.utf8)
                rest = rest.dropFirst()
                continue
            }
            decoded.append(try #require(UInt8(rest.dropFirst().prefix(2), radix: 16)))
            rest = rest.dropFirst(3)
        }
        #expect(decoded == sample)
    }

    @Test(arguments: samples)
    func stripTakesWhiteSpaceFromBothEnds(_ sample: [UInt8]) throws {
        let isSpace: (UInt8) -> Bool = { $0 == 0x20 || (9...13).contains($0) }
        let expected = Array(sample.drop(while: isSpace).reversed().drop(while: isSpace).reversed())
        let values = try Values([("A", sample)])
        #expect(try values.render("[{{ A | strip }}]") == [0x5b] + expected + [0x5d])
        let encoded = Data(expected).base64EncodedString()
        #expect(try Self.text(values.render("{{ A | strip | base64 | strip }}")) == encoded)
        // The white space in the middle of what is joined stays.
        #expect(
            try values.render("{{ A \" \" A | strip }}")
                == Array((sample + [0x20] + sample).drop(while: isSpace).reversed().drop(while: isSpace).reversed())
        )
    }

    @Test(
        arguments: [
            ("dotenv", [0]), ("dotenv", [0xff]), ("dotenv", Array("a\rb".utf8)), ("dotenv", Array("'\"".utf8)),
            ("json", [0xc0, 0x80]), ("json", [0xed, 0xa0, 0x80]), ("json", [0xf4, 0x90, 0x80, 0x80]),
            ("json", [0xe2, 0x82]),
            ("shell", [0x61, 0]),
        ] as [(String, [UInt8])]
    )
    func whatAFilterCannotHoldIsRefused(_ filter: String, _ sample: [UInt8]) throws {
        let error = failure { _ = try Values([("A", sample)]).render("{{ A | \(filter) }}") }
        #expect(error?.code == .invalid)
        #expect(error?.message.hasPrefix("'FILE' cannot be rendered: A has ") == true)
    }

    @Test func allHoldsEveryValueInOrder() throws {
        let values = try Values([("b", Array("two\n".utf8)), ("A", Array("it's".utf8)), ("S.K", Array("x".utf8))])
        try values.add("EMPTY", [])
        try values.add("OLD", [1]) { $0.expires = Timestamp(seconds: Self.now.seconds - 1) }
        try values.add("OTHER", []) { $0.value = (try? Template("x")).map { .template($0) } ?? .empty }
        let set = values.set
        func render(_ text: String) throws -> String {
            let file = try values.file(text, now: Self.now).get()
            return Self.text(SecretStoreTests.bytes(try set.content(of: file)))
        }
        #expect(try render("{{ all | json }}") == #"{"A":"it's","S.K":"x","b":"two\n"}"#)
        #expect(try render("{{ all | dotenv }}") == "A=\"it's\"\nS_K=x\nb='two\n'\n")
        #expect(try render("<{{ all | dotenv | strip }}>") == "<A=\"it's\"\nS_K=x\nb='two\n'>")
        let json = Data(#"{"A":"it's","S.K":"x","b":"two\n"}"#.utf8)
        #expect(try render("{{ all | json | base64 }}") == json.base64EncodedString())
        #expect(try values.file("{{ all | json }}", now: Self.now).get().parts.map(\.text) == ["A", "S.K", "b"])
        #expect(try Self.text(Values().render("{{ all | json }}")) == "{}")
    }

    @Test func namesThatWouldBeOneVariableAreRefused() throws {
        let values = try Values([("a.b", [0x31]), ("a-b", [0x32])])
        #expect(failure { _ = try values.file("{{ all | dotenv }}") }?.message.contains("would both be A_B") == true)
        #expect(try Self.text(values.render("{{ all | json }}")) == #"{"a-b":"2","a.b":"1"}"#)
        let kept = try Values([("UID", [0x31])])
        #expect(
            failure { _ = try kept.file("{{ all | dotenv }}") }?.message.contains("shells keep for themselves") == true
        )
    }

    @Test func anOptionalPartWithoutValueIsNothingAndARequiredOneAMissingFile() throws {
        let values = try Values([("A", [0x31])])
        try values.add("OPTIONAL", [])
        #expect(try Self.text(values.render("[{{ A }}{{ OPTIONAL }}{{ OPTIONAL | json }}]")) == "[1\"\"]")
        try values.add("REQUIRED", []) { $0.required = true }
        try values.add("OLD", [0x32]) { $0.expires = Self.now }
        func lack(_ text: String, _ now: Timestamp?) throws -> MissingFile? {
            switch try values.file(text, now: now) {
            case .success: nil
            case .failure(let lack): lack
            }
        }
        #expect(
            try lack("{{ A }}{{ REQUIRED }}", nil)?.message == "'FILE' is rendered from 'REQUIRED', which has no value"
        )
        #expect(try lack("{{ OLD }}", Self.now)?.expired == Self.now)
        #expect(try lack("{{ OLD }}", nil) == nil)
    }

    @Test func aFieldOfAPasswordFileHasNothingThatEndsOrWidensIt() throws {
        let values = try Values([("A", Array(#"a:b\c*"#.utf8)), ("B", Array("line\n".utf8)), ("Z", [0])])
        #expect(try Self.text(values.render("*:{{ A | pgpass }}")) == #"*:a\:b\\c\*"#)
        #expect(try Self.text(values.render("{{ B | strip | pgpass }}")) == "line")
        for (name, what) in [("B", "a line break"), ("Z", "a zero byte")] {
            let message = failure { _ = try values.file("{{ \(name) | pgpass }}", limit: 100) }?.message
            #expect(message?.contains("\(name) has \(what), which pgpass cannot hold") == true, "\(message ?? "none")")
        }
    }

    @Test func theLimitIsExact() throws {
        let values = try Values([("A", [UInt8](repeating: 0x22, count: 10_000))])
        #expect(try values.file("{{ A | json }}", limit: 20_002).get().byteCount == 20_002)
        #expect(
            failure { _ = try values.file("{{ A | json }}", limit: 20_001) }?.message.contains(
                "larger than 20001 bytes"
            ) == true
        )
        // An end that comes early, whatever a template asks for.
        let text = String(repeating: "{{ A | json }}", count: 4096)
        #expect(failure { _ = try values.file(text, limit: 1 << 20) }?.code == .invalid)
    }

    private static let filters = [
        "", "| base64", "| json", "| shell", "| url", "| strip", "| strip | base64", "| url | base64 | json",
        "| base64 | pgpass",
    ]

    /// Any range is the same part of the whole, however little memory there is.
    @Test(arguments: filters)
    func rangesArePartsOfTheWhole(_ filters: String) throws {
        var random = SystemRandomNumberGenerator()
        let characters = Array("ab '\"\\\n\t\u{1}%/+~".utf8)
        let (large, small) = (
            Array("  ".utf8) + (0..<30_011).map { _ in characters.randomElement(using: &random) ?? 0 } + [0x0a],
            Array("x\ty".utf8)
        )
        let values = try Values([("LARGE", large), ("SMALL", small)])
        let text = "head {{ SMALL \(filters) }}\n{{ LARGE \":\" SMALL LARGE \(filters) }}{{ LARGE \(filters) }}tail"
        let whole = try values.render(text)
        let file = try values.file(text).get()
        #expect(file.byteCount == whole.count)
        var ranges = [0..<0, 0..<1, whole.count - 1..<whole.count, 0..<whole.count, whole.count..<whole.count]
        for _ in 0..<150 {
            let start = Int.random(in: 0..<whole.count, using: &random)
            ranges.append(start..<min(whole.count, start + Int.random(in: 0...9000, using: &random)))
        }
        for range in ranges {
            let part = try values.read(file, range, scratch: range.count.isMultiple(of: 2) ? 64 : 16_384)
            #expect(part == Array(whole[range]), "\(range)")
        }
    }

    /// Reading one page of a large file does not open the whole of its parts.
    @Test func aRangeNeedsFewBytesOfItsParts() throws {
        let values = try Values([("A", [UInt8](repeating: 0x61, count: 1 << 20))])
        let file = try values.file("{{ A | json | base64 }}").get()
        var scratch = try SecureBuffer(count: 4096)
        var page = [UInt8](repeating: 0, count: 4096)
        var span = page.mutableSpan
        var count = 0
        try file.read(at: 700_000, into: &span, scratch: &scratch) { (_, _, bytes) throws(StoreError) in
            count += bytes.count
        }
        #expect(count > 0 && count <= 4 * 4096)
    }

    @Test func whatCannotBeAPartIsRefused() throws {
        let values = try Values([("A", [0x31])])
        try values.add("OTHER", []) { $0.value = (try? Template("x")).map { .template($0) } ?? .empty }
        let error = failure { _ = try values.file("{{ OTHER }}") }
        #expect(error?.message == "'FILE' cannot be rendered from 'OTHER', which has no value of its own")
        switch try values.file("{{ A }}{{ NOWHERE }}") {
        case .success: #expect(Bool(false), "a part is missing")
        case .failure(let lack): #expect(lack.part.text == "NOWHERE" && lack.expired == nil)
        }
    }

    /// A set says of a rendered file what it says of a value.
    @Test func aFileOfASetIsLikeAValue() throws {
        let values = try Values([("A", Array("one".utf8))])
        try values.add("PLAIN", Array("plain".utf8)) { $0.mode = .ownerAndGroup }
        try values.add("EMPTY", [])
        try values.add("FILE", []) { $0.value = (try? Template("<{{ A }}>")).map { .template($0) } ?? .empty }
        try values.add("LACKING", []) { $0.value = (try? Template("{{ OLD }}")).map { .template($0) } ?? .empty }
        try values.add("OLD", [1]) { $0.expires = Self.now }
        func entry(_ name: String) throws -> SecretEntry { try #require(values.entries.first { $0.name.text == name }) }
        var set = values.set
        #expect(try set.hasContent(entry("FILE")) == false)
        #expect(try set.render(limit: 5, now: Self.now).map(\.name.text) == ["LACKING"])
        #expect(!set.entries.contains { $0.name.text == "LACKING" })
        #expect(try set.render(limit: 5, now: Self.now).isEmpty)
        #expect(try set.byteCount(of: entry("FILE")) == 5 && set.byteCount(of: entry("PLAIN")) == 5)
        #expect(try set.byteCount(of: entry("EMPTY")) == 0 && !set.hasContent(entry("EMPTY")))
        #expect(try set.hasContent(entry("FILE")) && set.hasContent(entry("PLAIN")))
        #expect(try set.admitsGroup(entry("PLAIN")) && !set.admitsGroup(entry("FILE")))
        #expect(try !set.isRestricted(entry("FILE")))
        for (name, expected) in [("FILE", "<one>"), ("PLAIN", "plain"), ("EMPTY", "")] {
            var text = ""
            try set.readParts(of: entry(name)) { part in
                text += String(decoding: part.indices.map { part[$0] }, as: UTF8.self)
            }
            #expect(text == expected)
            var content = try SecureBuffer(count: 0)
            try set.open(entry(name), set.renderedFiles[entry(name).name], into: &content)
            #expect(Self.text(SecretStoreTests.bytes(content)) == expected)
        }
        values.entries[0].policy = ReadPolicy()
        var restricted = values.set
        _ = try restricted.render(limit: 5, now: Self.now)
        #expect(try restricted.isRestricted(entry("FILE")) && restricted.isRestricted(entry("A")))
        #expect(try restricted.file(of: entry("A")) == nil)
    }

    @Test func anErrorOfAPartIsThatOfTheFile() throws {
        let values = try Values([("A", Array("value".utf8))])
        let file = try values.file("{{ A }}").get()
        guard case .sealed(let value) = values.entries[0].value else { return #expect(Bool(false)) }
        let broken = SealedValue(ciphertext: value.ciphertext, nonce: value.nonce, tag: value.tag.map { $0 ^ 1 })
        values.entries[0].value = .sealed(broken)
        let set = values.set
        var given = 0
        let error = failure { try set.readParts(of: file) { given += $0.count } }
        #expect(error?.code == .authentication && given == 0)
    }
}

extension UInt8 {
    /// Unreserved characters of RFC 3986.
    fileprivate var isASCIIUnreserved: Bool {
        (0x30...0x39).contains(self) || (0x41...0x5a).contains(self) || (0x61...0x7a).contains(self)
            || "-._~".utf8.contains(self)
    }
}
