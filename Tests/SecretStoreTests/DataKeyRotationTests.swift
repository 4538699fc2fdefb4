// SPDX-License-Identifier: Apache-2.0

import Sealing
import SecretStore
import SecureFiles
import SecureMemory
import Testing

@Suite struct DataKeyRotationTests {
    /// A store that a key file, a password and an identity open.
    private struct Case {
        let fixture: StoreFixture
        let identity: AgeIdentity
        let password = "four random words"

        init(_ values: [(String, String)] = [("A", "one"), ("B", "two")]) throws {
            fixture = try StoreFixture(["EMPTY"], required: false)
            identity = try AgeIdentity.random()
            let keys = try fixture.keys()
            let age = try keys.withDataKey { [identity] (key) throws(StoreError) in
                try KeySlot.make(sealing: key, for: identity.recipient, identifier: "age", store: keys.store)
            }
            let kind = PasswordSlot(iterations: 100_000, salt: [UInt8](repeating: 1, count: 16))
            let password = KeyMaterial.password(try secure(password))
            let slot = try keys.withDataKey { (key) throws(StoreError) in
                try KeySlot.make(kind, sealing: key, identifier: "deploy", store: keys.store, material: password)
            }
            try fixture.fill(values) { manifest in
                manifest.slots["age"] = age
                manifest.slots["deploy"] = slot
            }
        }

        func loaded() throws -> LoadedManifest { try LoadedManifest(fixture.store()) }

        func openers() throws -> [String: KeyMaterial] {
            guard let key = try fixture.store().readKeyFile() else { throw StoreError(.failed, "no key file") }
            return [
                "keyfile": .keyFile(key), "deploy": .password(try secure(password)),
            ]
        }

        func run(_ rotation: DataKeyRotation) throws -> StoreKeys {
            try rotation.run(
                fixture.store(),
                fixture.keys(),
                plannedFor: loaded().manifest.slots,
                now: fixture.now,
                waiting: {}
            )
        }

        func value(_ name: String, _ keys: StoreKeys) throws -> String {
            let manifest = try loaded().manifest
            let name = try #require(SecretName(name))
            let secret = manifest.secrets[try #require(manifest.index(of: name))]
            guard case .sealed(let value) = secret.value else { return "" }
            var cipher = try keys.valueCipher()
            return String(decoding: bytes(try cipher.open(value, as: name)), as: UTF8.self)
        }
    }

    @Test func everythingOpensWithTheNewKeyAndNothingWithTheOld() throws {
        let store = try Case([("A", "one"), ("B", "two"), ("LARGE", String(repeating: "x", count: 50_000))])
        let old = try store.fixture.keys()
        let before = try store.loaded().manifest
        var steps: [Int] = []
        var rotation = DataKeyRotation(openers: try store.openers(), dropped: [])
        rotation.progress = { done, count in
            #expect(count == 4)
            steps.append(done)
        }
        let new = try store.run(rotation)
        #expect(steps == [1, 2, 3, 4])
        let after = try store.loaded()
        _ = try after.verified(with: new)
        #expect(failure { try after.verified(with: old) }?.code == .authentication)
        for (name, value) in [
            ("A", "one"), ("B", "two"), ("LARGE", String(repeating: "x", count: 50_000)), ("EMPTY", ""),
        ] {
            #expect(try store.value(name, new) == value)
        }
        #expect(failure { try store.value("A", old) }?.code == .authentication)
        #expect(after.manifest.generation == before.generation + 1)
        #expect(after.manifest.secrets.map(\.rotated) == before.secrets.map(\.rotated), "the values are the same")
        #expect(Set(after.manifest.slots.keys) == ["keyfile", "deploy", "age"])
        for (identifier, slot) in after.manifest.slots { #expect(slot != before.slots[identifier]) }
        if let password = after.manifest.slots["deploy"]?.kind as? PasswordSlot {
            #expect(password.iterations == PasswordSlot.usualIterations)
            #expect(password.salt != [UInt8](repeating: 1, count: 16))
        }
        _ = try after.manifest.unlock(with: .identities(AgeIdentityFile([store.identity])))
        _ = try after.manifest.unlock(with: .password(secure(store.password)))
        // Nothing older stays: not the backup, and what is kept as signed last is the new manifest.
        #expect((try? store.fixture.text("secrets.yaml.bak")) == nil)
        #expect(try store.fixture.text("state/signed.yaml") == store.fixture.text())
    }

    @Test func aSlotThatIsDroppedOpensNothing() throws {
        let store = try Case()
        var openers = try store.openers()
        openers["deploy"] = nil
        #expect(
            try DataKeyRotation(openers: openers, dropped: []).uncovered(store.loaded().manifest.slots) == ["deploy"]
        )
        let rotation = DataKeyRotation(openers: openers, dropped: ["deploy", "age"])
        #expect(try rotation.uncovered(store.loaded().manifest.slots) == [])
        _ = try store.run(rotation)
        let after = try store.loaded().manifest
        #expect(after.slots.keys.sorted() == ["keyfile"])
        #expect(failure { try after.unlock(with: .password(secure(store.password))) }?.code == .incorrectPassword)
        let all = DataKeyRotation(openers: [:], dropped: ["keyfile"])
        #expect(failure { try all.uncovered(after.slots) }?.message == "the last slot cannot be dropped")
        let unknown = DataKeyRotation(openers: [:], dropped: ["other"])
        #expect(failure { try unknown.uncovered(after.slots) }?.code == .usage)
    }

    @Test func whatWasNotPlannedForChangesNothing() throws {
        let store = try Case()
        let before = try store.fixture.text()
        let openers = try store.openers()
        let uncovered = failure { try store.run(DataKeyRotation(openers: [:], dropped: [])) }
        #expect(uncovered?.message.hasPrefix("nothing opens slot") == true)
        var slots = try store.loaded().manifest.slots
        slots["age"] = nil
        let changed = failure {
            try DataKeyRotation(openers: openers, dropped: []).run(
                store.fixture.store(),
                store.fixture.keys(),
                plannedFor: slots,
                now: store.fixture.now,
                waiting: {}
            )
        }
        #expect(changed?.message == "the key slots were changed meanwhile")
        var failing = DataKeyRotation(openers: openers, dropped: [])
        failing.alongside = { old, new in
            #expect(old.store == new.store)
            throw StoreError(.failed, "no room")
        }
        #expect(failure { try store.run(failing) }?.message == "no room")
        #expect(try store.fixture.text() == before)
        #expect(try store.value("A", store.fixture.keys()) == "one")
    }

    @Test func aValueThatDoesNotOpenStopsIt() throws {
        let store = try Case()
        try store.fixture.fill([]) { manifest in
            let a = manifest.secrets[1].value
            manifest.secrets[1].value = manifest.secrets[2].value
            manifest.secrets[2].value = a
        }
        let before = try store.fixture.text()
        let error = failure { try store.run(DataKeyRotation(openers: store.openers(), dropped: [])) }
        #expect(error?.code == .authentication)
        #expect(try store.fixture.text() == before)
    }

    @Test func anOlderManifestThatCannotBeRemovedIsNamed() throws {
        let store = try Case()
        try? store.fixture.store().folder?.remove("secrets.yaml.bak")
        _ = try store.fixture.store().folder?.makeFolder("secrets.yaml.bak")
        let error = failure { try store.run(DataKeyRotation(openers: store.openers(), dropped: [])) }
        #expect(error?.message.contains("the new manifest is in place, but an older one beside it stays") == true)
        #expect(try store.value("A", store.fixture.keys()) == "one")
    }

    @Test(arguments: [
        ("30d", 2_591_999, false), ("30d", 2_592_000, true), ("1w", 604_799, false), ("1w", 604_800, true),
        ("2h", 7199, false), ("2h", 7200, true), ("3m", 180, true), ("3m", 179, false), ("5s", 5, true),
        ("5s", 4, false),
        ("1500ms", 1, false), ("1500ms", 2, true), ("4294967295w", 1_000_000, false), ("1d", -5, false),
        ("soon", 1_000_000, false),
    ])
    func aSecretIsDueWhenItsPeriodIsOver(every: String, age: Int64, isDue: Bool) {
        let rule = RotationRule(every: every, command: ["true"])
        let now = Timestamp(seconds: 1_800_000_000)
        #expect(rule.isDue(Timestamp(seconds: now.seconds - age), now: now) == isDue)
        #expect(rule.isDue(nil, now: now))
    }

    @Test func oneRotationWaitsForTheOther() throws {
        let fixture = try StoreFixture()
        let store = try fixture.store()
        let identity = try fixture.keys().store
        #expect(try store.whileRotating(identity, waiting: {}, { 5 }) == 5)
        try store.preflight(identity)
        #expect(try fixture.store().folder?.names().contains { $0.contains(".credfs-") } == false)
    }

    @Test func aKeyOpensTheSlotsItFits() throws {
        let store = try Case()
        let manifest = try store.loaded().manifest
        let openers = try store.openers()
        for (identifier, slot) in manifest.slots {
            for (opener, key) in openers {
                #expect(try key.opens(slot, identifier, manifest.store) == (opener == identifier))
            }
        }
    }
}
