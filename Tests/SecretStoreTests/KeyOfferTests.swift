// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Glibc
import Sealing
import SecretStore
import SecureFiles
import SecureMemory
import Testing

/// Which key material a command finds by itself, for which kinds of slots.
@Suite struct KeyOfferTests {
    private final class Places: KeySources {
        let checker = PermissionChecker(isStrict: true)
        var paths: [String: String] = [:]
        var secrets: [String: String] = [:]
        var asksForPassword = false
        var answer = "a password"

        func path(_ variable: String) -> String? { paths[variable] }
        func located(_ path: String) -> String { path }
        func hasSecret(_ variable: String) -> Bool { secrets[variable] != nil }
        func takeSecret(_ variable: String) throws -> SecureBuffer { try secure(secrets[variable] ?? "") }
        func password(for store: StoreLocation) throws -> SecureBuffer { try secure(answer) }
    }

    // Of the vectors of C2SP/CCTV.
    private static let identityText = "AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P2LM0"

    private let fixture: StoreFixture
    private let places = Places()
    private let slots: [String: KeySlot]
    private let identity: AgeIdentity

    /// A store with a slot of each kind, whose password is that of `Places`.
    init() throws {
        fixture = try StoreFixture(["A"])
        let keys = try fixture.keys()
        let identity = try AgeIdentity(Self.identityText.utf8.span)
        self.identity = identity
        try fixture.fill([("A", "a")]) { manifest in
            manifest.slots["age"] = try? keys.withDataKey { (key) throws(StoreError) in
                try KeySlot.make(sealing: key, for: identity.recipient, identifier: "age", store: manifest.store)
            }
            manifest.slots["password"] = try? KeyMaterial.password(secure("a password"))
                .slot(PasswordSlot.random(iterations: 100_000), keys, "password")
        }
        slots = try LoadedManifest(fixture.store()).manifest.slots
        try #require(slots.count == 3)
    }

    private func offer(_ kinds: String..., named: Bool = false) throws -> KeyOffer {
        try SlotTypes.offer(places, fixture.store(), for: kinds.compactMap { slots[$0]?.kind }, isNamed: named)
    }

    /// The slot that an offer opens.
    private func opened(_ offer: KeyOffer) throws -> String {
        try LoadedManifest(fixture.store()).manifest.open(with: offer.read()).slot
    }

    @Test func aKeyFileComesFirstThenIdentitiesAndAPersonLast() throws {
        let all = ["keyfile", "age", "password"]
        #expect(try opened(offer(all[0], all[1], all[2])) == "keyfile")
        unsafe unlink(fixture.path("secrets.key"))
        try fixture.directory.write("\(Self.identityText)\n".utf8, to: "identity", permissions: 0o600)
        places.paths["SOPS_AGE_KEY_FILE"] = fixture.directory.path("identity")
        #expect(try opened(offer(all[0], all[1], all[2])) == "age")
        places.paths = [:]
        places.asksForPassword = true
        let last = try offer(all[0], all[1], all[2])
        #expect(last.asks && last.isGuess)
        #expect(try opened(last) == "password")
    }

    @Test func aVariableNamesTheKeyOrHoldsIt() throws {
        let text = try fixture.text("secrets.key")
        unsafe unlink(fixture.path("secrets.key"))
        places.secrets["CREDFS_KEY"] = text
        #expect(try opened(offer("keyfile")) == "keyfile")
        places.secrets = [:]
        try fixture.directory.write(text.utf8, to: "elsewhere", permissions: 0o600)
        places.paths["CREDFS_KEY_FILE"] = fixture.directory.path("elsewhere")
        // Named by the caller, it counts whatever slots there are; of slots chosen by name only for its own kind.
        #expect(try opened(offer("age")) == "keyfile")
        #expect(failure { try offer("age", named: true) }?.message == "there is no age identity")
        places.paths = [:]
        places.secrets["CREDFS_KEY"] = ""
        #expect(failure { try offer("keyfile").read() }?.hint?.contains("leave the secrets of a fork") == true)
    }

    @Test func identitiesAreTakenFromAVariableOrAUsualPlace() throws {
        unsafe unlink(fixture.path("secrets.key"))
        places.secrets["CREDFS_AGE_KEY"] = Self.identityText
        #expect(try opened(offer("age")) == "age")
        #expect(try AgeSlot.identityFile(places) == nil)
        places.secrets = [:]
        places.paths["CREDFS_AGE_KEY_FILE"] = "/first"
        places.paths["SOPS_AGE_KEY_FILE"] = "/second"
        #expect(try AgeSlot.identityFile(places) == "/first")
        places.paths = ["XDG_CONFIG_HOME": fixture.directory.path]
        #expect(try AgeSlot.identityFile(places) == nil)
        for name in ["sops", "sops/age"] { unsafe mkdir(fixture.directory.path(name), 0o700) }
        try fixture.directory.write("\(Self.identityText)\n".utf8, to: "sops/age/keys.txt", permissions: 0o600)
        #expect(try opened(offer("age")) == "age")
        places.paths = [:]
        #expect(try AgeSlot.identityFile(places) == nil)
    }

    @Test func whatIsMissingIsSaid() throws {
        unsafe unlink(fixture.path("secrets.key"))
        #expect(failure { try offer("keyfile") }?.message.hasPrefix("there is no key: ") == true)
        #expect(failure { try offer() }?.message.hasPrefix("there is no key: ") == true)
        #expect(failure { try offer("age") }?.hint == "name a file with --identity or CREDFS_AGE_KEY_FILE")
        // One that is named and then gone.
        places.paths["CREDFS_KEY_FILE"] = "/nonexistent"
        #expect(failure { try offer("keyfile").read() }?.code != nil)
        places.paths["CREDFS_KEY_FILE"] = "/dev/fd/9"
        let descriptor = failure { try offer("keyfile").read() }
        #expect(descriptor?.code == .usage && descriptor?.hint?.contains("--key-fd 9") == true)
    }

    @Test func aKeyFileThatGoesBeforeItIsReadIsSaidToBeMissing() throws {
        let store = try fixture.store()
        let kinds = slots.values.map(\.kind)
        let offer = try SlotTypes.offer(places, store, for: kinds, isNamed: false)
        unsafe unlink(fixture.path("secrets.key"))
        #expect(failure { try offer.read() }?.message.hasPrefix("there is no key: ") == true)
    }

    @Test func slotsAreSummedUp() throws {
        #expect(slots["keyfile"]?.kind.summary == "a key file")
        #expect(slots["password"]?.kind.summary == "a password, 100000 iterations")
        #expect(slots["age"]?.kind.summary == identity.recipient.text)
        #expect(PasswordSlot.listedKeys == ["iterations"] && KeyFileSlot.listedKeys.isEmpty)
        #expect(slots["age"]?.kind.listed.map(\.key) == ["recipient"])
    }

    /// A kind that offers nothing by itself.
    private struct Plain: SlotType {
        struct Draft: SlotDraft {}

        static let word = "plain"
        static let parameters: [SlotParameter<Self>] = []
        let summary = "plain"

        init?(_ draft: Draft) {}
    }

    @Test func aKindOffersNothingUnlessItSaysSo() throws {
        #expect(try Plain.offer(places, fixture.store(), fits: true) == nil)
        #expect(try Plain.missing(fixture.store()).message.hasSuffix("of the kind plain with"))
    }
}
