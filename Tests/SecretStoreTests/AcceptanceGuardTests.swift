// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Glibc
import SecretStore
import Testing

@Suite struct AcceptanceGuardTests {
    private typealias Check = AcceptanceGuard.Check

    private func statuses(_ outcome: AcceptanceGuard.Outcome) -> [AcceptanceGuard.Status] {
        #expect(outcome.results.map(\.check) == Check.allCases)
        return outcome.results.map(\.status)
    }

    @Test func aFilledStoreIsAccepted() throws {
        let fixture = try StoreFixture(["A"])
        try fixture.fill([("A", "{}")]) { $0.secrets[0].format = .json }
        let outcome = fixture.examine()
        #expect(outcome.failure == nil)
        #expect(statuses(outcome) == [.ok, .ok, .ok, .ok, .ok, .ok, .ok, .ok, .ok])
        #expect(outcome.verified != nil)
        #expect(outcome.manifest?.secrets.count == 1)
    }

    @Test func noStore() throws {
        let fixture = try StoreFixture()
        unsafe unlink(fixture.path("secrets.yaml"))
        let outcome = fixture.examine()
        #expect(outcome.failure?.error?.code == .noStore)
        #expect(outcome.failure?.check.reason == "no-store")
        #expect(statuses(outcome) == [.failed] + Array(repeating: .skipped, count: 8))
        try FileManager.default.removeItem(atPath: fixture.path(""))
        #expect(fixture.examine().failure?.error?.code == .noStore)
    }

    @Test func permissions() throws {
        let fixture = try StoreFixture(["A"])
        try fixture.fill([("A", "x")])
        unsafe chmod(fixture.path("secrets.key"), 0o640)
        let outcome = fixture.examine()
        #expect(outcome.failure?.error?.code == .permissions)
        #expect(statuses(outcome) == [.ok, .failed] + Array(repeating: .skipped, count: 7))
        let reduced = fixture.examine(strict: false)
        #expect(reduced.failure == nil)
        #expect(statuses(reduced)[1] == .warning)
        #expect(reduced.results[1].message.contains("mode 0640"))
    }

    @Test func aLinkInPlaceOfTheDirectory() throws {
        let fixture = try StoreFixture()
        try FileManager.default.moveItem(atPath: fixture.path(""), toPath: fixture.directory.path("real"))
        _ = unsafe symlink("real", fixture.directory.path("store"))
        let outcome = fixture.examine(strict: false)
        #expect(outcome.failure?.error?.code == .permissions)
        #expect(statuses(outcome)[0...1] == [.ok, .failed])
    }

    @Test func schema() throws {
        let fixture = try StoreFixture(["A"])
        try fixture.edit { $0.replacing("generation: 1", with: "generation: one") }
        let outcome = fixture.examine()
        #expect(outcome.failure?.error?.code == .invalid)
        #expect(outcome.failure?.check == .schema)
        #expect(statuses(outcome) == [.ok, .ok, .failed] + Array(repeating: .skipped, count: 6))
    }

    @Test func unsealed() throws {
        let fixture = try StoreFixture(["A"])
        try fixture.edit { $0.replacing("value: \"\"", with: "value: plain") }
        let outcome = fixture.examine()
        #expect(outcome.failure?.error?.code == .unsealed)
        #expect(outcome.failure?.check.reason == "unsealed")
        #expect(statuses(outcome) == [.ok, .ok, .ok, .failed, .skipped, .skipped, .ok, .ok, .skipped])
    }

    @Test func key() throws {
        let fixture = try StoreFixture(["A"])
        try fixture.write("CREDFS-KEY-1:short\n", to: "secrets.key")
        let outcome = fixture.examine()
        #expect(outcome.failure?.error?.code == .authentication)
        #expect(outcome.failure?.check == .key)
        #expect(statuses(outcome) == [.ok, .ok, .ok, .ok, .failed, .skipped, .failed, .ok, .skipped])
    }

    @Test func withoutAKeyTheRestIsChecked() throws {
        let fixture = try StoreFixture(["A"])
        try fixture.fill([("A", "x")])
        let outcome = fixture.examine { (_, _) throws(StoreError) in nil }
        #expect(outcome.failure == nil)
        #expect(statuses(outcome) == [.ok, .ok, .ok, .ok, .skipped, .skipped, .ok, .ok, .skipped])
    }

    @Test func signature() throws {
        let fixture = try StoreFixture(["A"])
        try fixture.fill([("A", "x")])
        try fixture.edit { $0.replacing("    required: true\n", with: "") }
        let outcome = fixture.examine()
        #expect(outcome.failure?.error?.code == .authentication)
        #expect(outcome.failure?.check == .signature)
        #expect(statuses(outcome) == [.ok, .ok, .ok, .ok, .ok, .failed, .skipped, .skipped, .skipped])
    }

    @Test func aSignedManifestWithAMovedValue() throws {
        let fixture = try StoreFixture(["A", "B"])
        try fixture.fill([("A", "x"), ("B", "y")]) { manifest in
            let first = manifest.secrets[0].value
            manifest.secrets[0].value = manifest.secrets[1].value
            manifest.secrets[1].value = first
        }
        let outcome = fixture.examine()
        #expect(outcome.failure?.check == .signature)
        #expect(outcome.failure?.error?.message.contains("does not authenticate") == true)
    }

    @Test func requiredEntries() throws {
        let fixture = try StoreFixture(["A", "B"])
        let outcome = fixture.examine()
        #expect(outcome.failure?.error?.code == .invalid)
        #expect(outcome.failure?.check == .required)
        #expect(outcome.failure?.message == "required secrets without a value: A, B")
        #expect(outcome.failure?.error?.hint == "fill them with: credfs set A")
    }

    @Test func expiry() throws {
        let fixture = try StoreFixture(["A"])
        let later = Timestamp(seconds: fixture.now.seconds + 1)
        try fixture.fill([("A", "x"), ("B", "y")]) { manifest in
            manifest.secrets[0].expires = later
            manifest.secrets[1].expires = fixture.now
        }
        let optional = fixture.examine()
        #expect(optional.failure == nil)
        #expect(statuses(optional)[7] == .warning)
        #expect(optional.results[7].message.contains("B"))
        let required = fixture.examine(now: later)
        #expect(required.failure?.error?.code == .expired)
        #expect(required.failure?.check.reason == "expired")
        #expect(required.failure?.message.contains("'A'") == true)
        try fixture.fill([]) { $0.expires = later }
        #expect(fixture.examine(now: later).failure?.message.contains("the manifest expired") == true)
    }

    @Test func format() throws {
        let fixture = try StoreFixture(["A"])
        try fixture.fill([("A", "no json")]) { $0.secrets[0].format = .json }
        let outcome = fixture.examine()
        #expect(outcome.failure?.error?.code == .invalid)
        #expect(outcome.failure?.check == .format)
        #expect(outcome.failure?.message == "the value of 'A' is not json")
    }

    @Test func everyOtherReasonIsTheNameOfItsCheck() {
        #expect(
            Check.allCases.map(\.reason) == [
                "no-store", "permissions", "schema", "unsealed", "key", "signature", "required", "expired", "format",
            ]
        )
    }
}

@Suite struct TamperingTests {
    /// Whether a changed manifest is refused by anything between reading it and its signature.
    private static func isRefused(_ text: [UInt8], _ keys: StoreKeys) -> Bool {
        failure {
            let reading = try ManifestReader.read(text.span)
            let manifest = try reading.manifest()
            for secret in manifest.secrets {
                if case .unsealed = secret.value { throw StoreError(.unsealed, "unsealed") }
            }
            guard try keys.isSignature(reading.signature ?? "", of: manifest) else {
                throw StoreError(.authentication, "signature")
            }
        } != nil
    }

    /// The positions that mean something: not in comments, line ends, indentation and the space behind a colon or dash.
    private static func meaningful(_ text: [UInt8]) -> [Int] {
        var positions: [Int] = []
        var start = 0
        for line in String(decoding: text, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false) {
            let characters = Array(line.utf8)
            defer { start += characters.count + 1 }
            guard characters.first != UInt8(ascii: "#") else { continue }
            let body = characters.firstIndex { $0 != 0x20 } ?? characters.count
            for index in body..<characters.count {
                let isSeparator =
                    characters[index] == 0x20
                    && [UInt8(ascii: ":"), UInt8(ascii: "-")].contains(characters[index - 1])
                if !isSeparator { positions.append(start + index) }
            }
        }
        return positions
    }

    private static func tampered() throws -> (StoreFixture, [UInt8]) {
        let fixture = try StoreFixture(["A", "it's 1"])
        try fixture.fill([("A", "value"), ("it's 1", "{}")]) { manifest in
            manifest.expires = Timestamp(seconds: 4_000_000_000)
            manifest.secrets[1].description = "it's \"quoted\" \u{e9}"
            manifest.secrets[1].format = .json
            manifest.secrets[1].mode = .ownerAndGroup
            var policy = ReadPolicy()
            policy.executables = [.init(path: "/bin/sh")]
            policy.uids = [0]
            policy.maxReads = 1
            manifest.secrets[1].policy = policy
        }
        return (fixture, Array(try fixture.text().utf8))
    }

    @Test func everyFlippedBitIsRefused() throws {
        let (fixture, text) = try Self.tampered()
        let keys = try fixture.keys()
        #expect(!Self.isRefused(text, keys))
        for position in Self.meaningful(text) {
            for bit in 0..<8 {
                var changed = text
                changed[position] ^= 1 << UInt8(bit)
                let isRefused = Self.isRefused(changed, keys)
                #expect(isRefused, "bit \(bit) of byte \(position)")
            }
        }
    }

    @Test func everyReplacedByteIsRefused() throws {
        let (fixture, text) = try Self.tampered()
        let keys = try fixture.keys()
        for position in Self.meaningful(text) {
            for replacement in Array(" \n\t#:'\"-,[]{}0Aa\0\u{7f}".utf8) + [0xff] where text[position] != replacement {
                var changed = text
                changed[position] = replacement
                let isRefused = Self.isRefused(changed, keys)
                #expect(isRefused, "\(replacement) for byte \(position)")
            }
        }
    }

    @Test func everyRemovedLineIsRefused() throws {
        let (fixture, text) = try Self.tampered()
        let keys = try fixture.keys()
        let lines = String(decoding: text, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
        for index in lines.indices where !lines[index].hasPrefix("#") && !lines[index].isEmpty {
            var rest = lines
            rest.remove(at: index)
            #expect(Self.isRefused(Array(rest.joined(separator: "\n").utf8), keys), "line \(index)")
        }
    }

    @Test func orderCommentsAndWhiteSpaceDoNotCount() throws {
        let fixture = try StoreFixture(["A", "B"])
        let keys = try fixture.keys()
        let text = try fixture.text()
        let block = "  A:\n    value: \"\"\n    required: true\n"
        let moved = text.replacing(block, with: "").replacing("secrets:\n", with: "secrets:  # note\n\n")
            .replacing("signature:", with: block + "\nsignature:")
        #expect(moved != text)
        #expect(!Self.isRefused(Array(moved.utf8), keys))
        let spelled = text.replacing(block, with: "  'A': {newline: exact, mode: '0400', required: true, value: ''}\n")
        #expect(!Self.isRefused(Array(spelled.utf8), keys))
    }
}

@Suite struct ManifestChangesTests {
    @Test func everyKindOfChangeIsALine() throws {
        let fixture = try StoreFixture(["A", "B"])
        let old = try LoadedManifest(fixture.store()).manifest
        #expect(old.changes(since: old).isEmpty)
        var new = old
        new.expires = Timestamp(seconds: 0)
        new.slots["extra"] = new.slots["keyfile"]
        new.slots["keyfile"]?.sealedKey = sealedValue(1)
        var changed = new.secrets[0]
        changed.value = .sealed(sealedValue(1))
        changed.required = false
        changed.expires = Timestamp(seconds: 0)
        changed.policy = ReadPolicy()
        changed.rotation = RotationRule(every: "1d", command: ["x"])
        changed.mode = .ownerAndGroup
        changed.format = .json
        changed.newline = .strip
        changed.description = "text"
        new.secrets = [changed, try entry("C")]
        #expect(
            new.changes(since: old) == [
                "manifest: expires never -> 1970-01-01T00:00:00Z", "slot extra: added", "slot keyfile: changed",
                "A: value changed", "A: description changed", "A: no longer required", "A: format any -> json",
                "A: expires never -> 1970-01-01T00:00:00Z", "A: newline exact -> strip", "A: mode 0400 -> 0440",
                "A: policy added", "A: rotation every 1d by: x", "C: added", "B: removed",
            ]
        )
        let back = old.changes(since: new)
        #expect(back.contains("slot extra: removed"))
        #expect(back.contains("A: value removed"))
        #expect(back.contains("A: now required"))
        #expect(back.contains("A: format json -> any"))
    }

    @Test func whatTheHeaderSaysIsALineToo() throws {
        let fixture = try StoreFixture(["A"])
        let old = try LoadedManifest(fixture.store()).manifest
        var new = old
        new.generation = 77
        new.created = Timestamp(seconds: 0)
        new.secrets[0].rotated = Timestamp(seconds: 0)
        #expect(
            new.changes(since: old) == [
                "manifest: generation 1 -> 77", "manifest: created \(old.created.text) -> 1970-01-01T00:00:00Z",
                "A: rotated never -> 1970-01-01T00:00:00Z",
            ]
        )
    }

    @Test func aTemplateKeepsValuesThatItLeavesEmpty() throws {
        var old = try entry("A")
        old.value = .sealed(sealedValue(1))
        old.rotated = Timestamp(seconds: 1)
        var template = try entry("A")
        template.description = "new"
        let kept = old.updated(by: template)
        #expect(kept.value == .sealed(sealedValue(1)))
        #expect(kept.rotated == Timestamp(seconds: 1))
        #expect(kept.description == "new")
        template.value = .sealed(sealedValue(2))
        #expect(old.updated(by: template).value == .sealed(sealedValue(2)))
    }
}
