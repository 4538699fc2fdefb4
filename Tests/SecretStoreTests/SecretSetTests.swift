// SPDX-License-Identifier: Apache-2.0

import SecretStore
import Testing

/// Secrets of several sources, each with the keys that open it.
@Suite struct SecretSetTests {
    private func set(_ values: [String: UInt8], _ keys: StoreKeys) throws -> SecretSet {
        SecretSet(
            try values.sorted { $0.key < $1.key }.map { name, byte in
                var entry = try entry(name)
                entry.value = .sealed(sealedValue(byte))
                entry.mode = .ownerAndGroup
                return entry
            },
            keys
        )
    }

    @Test func ofANameTheLastValueCountsAndTheRestStays() throws {
        let keys = try (0..<3).map { _ in try StoreFixture().keys() }
        var all = try set(["A": 1, "B": 2], keys[0])
        var middle = try set(["B": 3, "C": 4], keys[1])
        var plain = try entry("C")
        plain.value = .sealed(sealedValue(5))
        plain.expires = Timestamp(seconds: 1_900_000_000)
        middle.overlay(SecretSet([plain], keys[2]))
        all.overlay(middle)
        all.overlay(SecretSet([], keys[2]))
        #expect(all.entries.map(\.name.text) == ["A", "B", "C"])
        let found = try all.entries.map { try #require(all.entry($0.name)) }
        #expect(found.map(\.value) == [1, 3, 5].map { .sealed(sealedValue($0)) })
        #expect(
            found.map(\.mode) == [.ownerAndGroup, .ownerAndGroup, .ownerAndGroup],
            "the lower entry speaks for its secret"
        )
        #expect(found[2].expires == plain.expires)
        #expect(found.map { all.keys(of: $0).store } == keys.map(\.store))
        #expect(all.entry(try #require(SecretName("D"))) == nil)
        let part = all.restricted(to: [found[1]])
        #expect(part.entries == [found[1]] && part.keys(of: found[1]).store == keys[1].store)
    }

    @Test func anEventNamesWhatItIsAbout() throws {
        let subjects = OperationEvent.Subjects(secrets: [try #require(SecretName("A"))])
        let event = OperationEvent(.show, subjects, service: "github", status: .denied, reason: "policy")
        #expect(event == OperationEvent(.show, subjects, service: "github", status: .denied, reason: "policy"))
        #expect(event != OperationEvent(.show, service: "github", status: .denied, reason: "policy"))
        #expect(event.subjects.secrets == subjects.secrets && event.subjects.labels.isEmpty)
    }

    @Test func keysOfAPolicyThatExcludeEachOtherAreRefused() throws {
        var policy = ReadPolicy()
        try policy.check()
        (policy.notBefore, policy.notAfter) = (Timestamp(seconds: 2), Timestamp(seconds: 1))
        #expect(failure { try policy.check() }?.code == .invalid)
        #expect(ReadPolicy.isUnit("app.service") && !ReadPolicy.isUnit("/app") && !ReadPolicy.isUnit(""))
    }

    @Test func anEqualSignInANameIsSuspicious() {
        #expect(SecretReference("NAME=hunter2")?.mayHoldValue == true)
        #expect(SecretReference("NAME")?.mayHoldValue == false)
    }
}
