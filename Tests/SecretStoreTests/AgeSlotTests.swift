// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Sealing
import SecretStore
import SecureFiles
import SecureMemory
import Testing

@Suite struct AgeSlotTests {
    private static func slot(_ recipient: AgeRecipient, _ identifier: String, _ store: StoreID) throws -> KeySlot {
        try KeySlot.make(sealing: Key256.random(), for: recipient, identifier: identifier, store: store)
    }

    private static func opens(
        _ slot: KeySlot,
        _ identifier: String,
        _ store: StoreID,
        _ identities: AgeIdentity...
    ) throws -> Bool {
        let material = KeyMaterial.identities(AgeIdentityFile(identities))
        switch try slot.open(identifier: identifier, store: store, material: material) {
        case .some: return true
        case .none: return false
        }
    }

    @Test func everythingAboutASlotIsBoundToIt() throws {
        let store = try StoreID.random()
        let identity = try AgeIdentity.random()
        let slot = try Self.slot(identity.recipient, "a", store)
        #expect(try Self.opens(slot, "a", store, identity))
        #expect(try Self.opens(slot, "a", store, AgeIdentity.random(), identity))
        #expect(try !Self.opens(slot, "a", store, AgeIdentity.random()))
        #expect(try !Self.opens(slot, "a", store))
        #expect(try !Self.opens(slot, "b", store, identity))
        #expect(try !Self.opens(slot, "a", StoreID.random(), identity))
        guard let age = slot.kind as? AgeSlot else {
            Issue.record("not an age slot")
            return
        }
        var changed = slot
        changed.kind = AgeSlot(recipient: try AgeIdentity.random().recipient, wrappedKey: age.wrappedKey)
        #expect(try !Self.opens(changed, "a", store, identity))
        for index in age.wrappedKey.indices {
            var altered = age.wrappedKey
            altered[index] ^= 1
            changed.kind = AgeSlot(recipient: age.ageRecipient, wrappedKey: altered)
            #expect(try !Self.opens(changed, "a", store, identity), "byte \(index)")
        }
        let password = PasswordSlot(iterations: 100_000, salt: Array(age.wrappedKey.prefix(16)))
        for other: any SlotType in [KeyFileSlot(), password] {
            changed.kind = other
            #expect(try !Self.opens(changed, "a", store, identity))
        }
    }

    @Test(arguments: [0, 31, 33, 100_000])
    func anAgeFileOfAnotherSizeIsNoKey(count: Int) throws {
        let store = try StoreID.random()
        let identity = try AgeIdentity.random()
        var slot = try Self.slot(identity.recipient, "a", store)
        let content = [UInt8](repeating: 7, count: count)
        slot.kind = AgeSlot(
            recipient: identity.recipient,
            wrappedKey: try AgeFile.encrypt(content.span, for: [identity.recipient])
        )
        #expect(try !Self.opens(slot, "a", store, identity))
    }

    @Test func aManifestSaysWhoseIdentityIsMissing() throws {
        let fixture = try StoreFixture(["A"])
        var manifest = try LoadedManifest(file: fixture.store().readManifest()).manifest
        let none = failure {
            try unlock(manifest, AgeIdentityFile([AgeIdentity.random()]))
        }
        #expect(none?.code == .authentication)
        #expect(none?.message == "no slot of this store opens with an age identity")
        let identity = try AgeIdentity.random()
        let keys = try fixture.keys()
        manifest.slots["age"] = try keys.withDataKey { (key) throws(StoreError) in
            try KeySlot.make(sealing: key, for: identity.recipient, identifier: "age", store: manifest.store)
        }
        #expect(try manifest.open(with: .identities(AgeIdentityFile([identity]))).slot == "age")
        let other = failure { try unlock(manifest, AgeIdentityFile([AgeIdentity.random()])) }
        #expect(other?.code == .authentication)
        #expect(other?.message == "no age identity at hand opens this store")
        let mixed = try AgeIdentityFile("AGE-PLUGIN-X-1QQ\n\(Self.identity)\n".utf8.span, from: "f")
        let unsupported = failure { try unlock(manifest, mixed) }
        #expect(unsupported?.hint == "identities of these kinds are not supported: plugin")
    }

    @Test func aNewStoreOpensWithEachOfItsRecipients() throws {
        let directory = try TemporaryDirectory()
        let location = try StoreLocation(.init(store: directory.path("store")), user: 0) { _ in nil }
        let checker = PermissionChecker(isStrict: true)
        let identities = [try AgeIdentity.random(), try AgeIdentity.random()]
        let outcome = try StoreCreation.run(
            location,
            checker,
            secrets: [],
            recipients: identities.map(\.recipient),
            now: Timestamp(seconds: 1_800_000_000)
        ) { .recipientsOnly }
        #expect(outcome.isNew)
        #expect(try Store.exists(directory.path("store/secrets.yaml")))
        #expect(try !Store.exists(directory.path("store/secrets.key")))
        #expect(try !Store.exists(directory.path("nowhere/secrets.key")))
        let loaded = try LoadedManifest(Store(location, checker: checker))
        #expect(loaded.manifest.slots.keys.sorted() == ["age", "age-2"])
        for (identity, slot) in zip(identities, ["age", "age-2"]) {
            let opening = try loaded.manifest.open(with: .identities(AgeIdentityFile([identity])))
            _ = try loaded.verified(with: opening.keys)
            #expect(opening.slot == slot)
        }
    }

    @Test func identifiersOfNewSlotsAreFree() throws {
        let slot = KeySlot(kind: KeyFileSlot(), sealedKey: sealedValue(1))
        #expect(KeySlot.freeIdentifier("age", beside: [:]) == "age")
        #expect(KeySlot.freeIdentifier("age", beside: ["age": slot]) == "age-2")
        #expect(KeySlot.freeIdentifier("age", beside: ["age": slot, "age-2": slot, "age-4": slot]) == "age-3")
    }

    // Of the vectors of C2SP/CCTV.
    private static let identity = "AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P2LM0"

    @Test(arguments: [
        identity, identity + "\n", "# comment\n\n\(identity)\r\n#\n", "\n\n\(identity)\n\(identity)",
    ])
    func anIdentityFileHoldsCommentsAndIdentities(text: String) throws {
        let file = try AgeIdentityFile(text.utf8.span, from: "f")
        #expect(!file.identities.isEmpty)
        #expect(file.unsupported == [])
    }

    @Test(arguments: [
        ("", "f holds no identity that can be used", "make one with"),
        ("# nothing\n", "f holds no identity that can be used", "make one with"),
        ("AGE-SECRET-KEY-PQ-1QQ\nAGE-PLUGIN-A-1QQ\n", "f holds no identity that can be used", "mlkem768x25519, plugin"),
        ("\(identity)\nCANARY\n", "line 2 of f is not an age identity", "AGE-SECRET-KEY-1"),
        (" \(identity)", "line 1 of f is not an age identity", "AGE-SECRET-KEY-1"),
        ("age-encryption.org/v1\nCANARY", "f is itself encrypted", "decrypt it"),
        ("-----BEGIN AGE ENCRYPTED FILE-----\n", "f is itself encrypted", "decrypt it"),
    ])
    func everyOtherTextIsAnAuthenticationFailureThatRepeatsNothing(text: String, message: String, hint: String) throws {
        let error = try #require(failure { try AgeIdentityFile(text.utf8.span, from: "f") })
        #expect(error.code == .authentication)
        #expect(error.message == message)
        #expect(error.hint?.contains(hint) == true)
        #expect(error.hint?.contains("CANARY") == false)
    }

    @Test func recipientsOfPeopleAreExplained() throws {
        let recipient = try AgeIdentity.random().recipient
        #expect(try SlotTypes.recipient(named: recipient.text).text == recipient.text)
        #expect(failure { try SlotTypes.recipient(named: "age1") }?.message == "not a recipient")
        let tagged = failure { try SlotTypes.recipient(named: "age1tag1qq") }
        #expect(tagged?.code == .usage)
        #expect(tagged?.message == "recipients of the kind p256tag are not supported")
    }
}

/// The optimizer of Swift 6.3.1 crashes where it inlines this into the closure of a test.
@inline(never)
private func unlock(_ manifest: Manifest, _ identities: AgeIdentityFile) throws -> StoreKeys {
    try manifest.unlock(with: .identities(identities))
}
