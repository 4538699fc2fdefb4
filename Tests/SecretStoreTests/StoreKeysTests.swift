// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Sealing
import SecretStore
import SecureFiles
import SecureMemory
import SystemPackage
import Testing

@Suite struct StoreKeysTests {
    private static func keys(_ store: StoreID? = nil) throws -> StoreKeys {
        try StoreKeys(dataKey: Key256.random(), store: store ?? StoreID.random())
    }

    private static func name(_ text: String) throws -> SecretName {
        try #require(SecretName(text))
    }

    @Test func theKeyOfTheAuditLogIsOfItsOwn() throws {
        let fixture = try StoreFixture()
        let keys = try fixture.keys()
        let salt = Array(keys.store.text.utf8)
        let expected = try keys.withDataKey { key in
            try HKDFSHA256.key(from: key, salt: salt.span, info: "credfs/1/audit".utf8.span).withBytes {
                Array(copying: $0)
            }
        }
        let derived = try keys.auditKey().withBytes { Array(copying: $0) }
        #expect(derived == expected)
    }

    /// Also for whoever else holds them, after the last use has ended.
    @Test func keysThatWereForgottenOpenNothing() async throws {
        let fixture = try StoreFixture()
        let keys = try fixture.keys()
        let manifest = try LoadedManifest(file: fixture.store().readManifest()).manifest
        var cipher: ValueCipher? = try keys.valueCipher()
        let value = try #require(try cipher?.seal(secure("content"), as: Self.name("A")))
        #expect(!keys.areForgotten)
        let started = ContinuousClock.now
        async let end: Void = onItsOwnThread { keys.forget() }
        while !keys.areForgotten { await Task.yield() }
        try await Task.sleep(for: .milliseconds(50))
        cipher = nil
        try await end
        #expect(ContinuousClock.now - started > .milliseconds(40))
        var plaintext = [UInt8](repeating: 0, count: 3)
        for attempt in [
            { _ = try keys.valueCipher() }, { _ = try keys.auditKey() }, { _ = try keys.signature(of: manifest) },
            {
                var span = plaintext.mutableSpan
                try keys.decrypt(value, at: 0, into: &span)
            },
        ] {
            let error = failure { try attempt() }
            #expect(error?.code == .authentication && error?.message == "the keys were wiped")
        }
        #expect(plaintext == [0, 0, 0])
        keys.forget()
    }

    @Test func aSealedValueOpensUnderItsNameOnly() throws {
        let keys = try Self.keys()
        var cipher = try keys.valueCipher()
        let value = try cipher.seal(secure("content"), as: Self.name("A"))
        #expect(bytes(try cipher.open(value, as: Self.name("A"))) == Array("content".utf8))
        let moved = failure { try cipher.open(value, as: Self.name("B")) }
        #expect(moved?.code == .authentication)
        #expect(moved?.message.contains("'B'") == true)
    }

    @Test func aValueOfAnotherStoreWithTheSameKeyDoesNotOpen() throws {
        let key = try Key256.random()
        let one = try StoreKeys(dataKey: key.copy(), store: StoreID.random())
        let two = try StoreKeys(dataKey: key, store: StoreID.random())
        var sealing = try one.valueCipher()
        var opening = try two.valueCipher()
        let value = try sealing.seal(secure("content"), as: Self.name("A"))
        #expect(failure { try opening.open(value, as: Self.name("A")) }?.code == .authentication)
    }

    @Test func everyFlippedBitIsRefusedAndSaysNothingMore() throws {
        let keys = try Self.keys()
        var cipher = try keys.valueCipher()
        var scratch = try SecureBuffer.scratch()
        let value = try cipher.seal(secure("content"), as: Self.name("A"))
        var errors: Set<String> = []
        for index in 0..<(7 + 12 + 16) * 8 {
            var parts = value.ciphertext + value.nonce + value.tag
            parts[index / 8] ^= 1 << UInt8(index % 8)
            let changed = SealedValue(
                ciphertext: Array(parts[0..<7]),
                nonce: Array(parts[7..<19]),
                tag: Array(parts[19...])
            )
            let opened = try #require(failure { try cipher.open(changed, as: Self.name("A")) })
            let checked = try #require(
                failure { try cipher.authenticate(changed, as: Self.name("A"), scratch: &scratch) }
            )
            errors.formUnion([opened.message, checked.message])
        }
        #expect(errors.count == 1)
    }

    @Test func aPartIsThePartOfTheWhole() throws {
        let keys = try Self.keys()
        var cipher = try keys.valueCipher()
        let content = (0..<100).map { UInt8($0) }
        let value = try cipher.seal(secure(content), as: Self.name("A"))
        for offset in 0...content.count {
            var part = [UInt8](repeating: 0, count: min(33, content.count - offset))
            var span = part.mutableSpan
            try keys.decrypt(value, at: offset, into: &span)
            #expect(part == Array(content[offset..<offset + part.count]))
        }
    }

    @Test func noNonceIsUsedTwice() throws {
        var cipher = try Self.keys().valueCipher()
        let nonces = try (0..<1000).map { _ in try cipher.seal(secure("x"), as: Self.name("A")).nonce }
        #expect(Set(nonces).count == 1000)
    }

    @Test func aSignatureHoldsForItsManifestAndKeysOnly() throws {
        let fixture = try StoreFixture(["A"])
        let keys = try fixture.keys()
        let loaded = try LoadedManifest(fixture.store())
        #expect(try keys.isSignature(loaded.signature, of: loaded.manifest))
        #expect(try !keys.isSignature(String(repeating: "00", count: 32), of: loaded.manifest))
        #expect(try !keys.isSignature("", of: loaded.manifest))
        #expect(try !Self.keys(loaded.manifest.store).isSignature(loaded.signature, of: loaded.manifest))
        var changed = loaded.manifest
        changed.secrets[0].required = false
        #expect(try !keys.isSignature(loaded.signature, of: changed))
        let other = try Self.keys()
        #expect(try !other.isSignature(other.signature(of: loaded.manifest), of: loaded.manifest))
    }

    @Test func whatACallerCannotKnowBecomesAPlainMessage() {
        let memory = SealingError.memory(memoryFailure())
        #expect(StoreError.sealing(.authenticationFailure).code == .authentication)
        #expect(StoreError.sealing(.randomUnavailable).code == .failed)
        #expect(StoreError.sealing(.libraryFailure).message == "libcrypto failed")
        #expect(StoreError.sealing(memory).hint?.contains("ulimit -l") == true)
        #expect(failure { try StoreError.locking { () throws(SecureMemoryError) in throw memoryFailure() } } != nil)
        #expect(failure { try StoreError.wrapping { () throws(SealingError) in throw .libraryFailure } } != nil)
        let system = failure { try StoreError.wrapping("read", "f") { () throws(Errno) in throw .ioError } }
        #expect(system?.message == "cannot read f: input/output error")
    }
}

@Suite struct KeySlotTests {
    private static let store = StoreID("4b4e4f8d-d170-419c-ab6b-7654438ac1b1")

    private static func password(_ text: String = "a long password") throws -> KeyMaterial {
        .password(try secure(text))
    }

    /// The fewest iterations that are allowed, to keep the tests short.
    private static let kind = PasswordSlot(iterations: 100_000, salt: [UInt8](repeating: 9, count: 16))

    private static func manifest(_ slots: [String: KeySlot]) throws -> Manifest {
        let time = Timestamp(seconds: 0)
        return Manifest(
            store: try #require(store),
            generation: 1,
            created: time,
            updated: time,
            expires: nil,
            slots: slots,
            secrets: []
        )
    }

    @Test func aPasswordSlotOpensWithItsPasswordOnly() throws {
        let store = try #require(Self.store)
        let dataKey = try Key256.random()
        let slot = try KeySlot.make(
            Self.kind,
            sealing: dataKey,
            identifier: "p",
            store: store,
            material: Self.password()
        )
        let manifest = try Self.manifest(["p": slot])
        let expected = try StoreKeys(dataKey: dataKey, store: store).signature(of: manifest)
        #expect(try manifest.unlock(with: Self.password()).signature(of: manifest) == expected)
        let wrong = failure { try manifest.unlock(with: Self.password("another password")) }
        #expect(wrong?.code == .incorrectPassword)
        #expect(wrong?.message == "incorrect password")
    }

    @Test func everythingAboutASlotIsBoundToIt() throws {
        let store = try #require(Self.store)
        let slot = try KeySlot.make(
            Self.kind,
            sealing: Key256.random(),
            identifier: "p",
            store: store,
            material: Self.password()
        )
        let opens = { (slot: KeySlot, identifier: String, store: StoreID) throws -> Bool in
            switch try slot.open(identifier: identifier, store: store, material: Self.password()) {
            case .some: true
            case .none: false
            }
        }
        #expect(try opens(slot, "p", store))
        #expect(try !opens(slot, "q", store))
        #expect(try !opens(slot, "p", StoreID.random()))
        var changed = slot
        changed.kind = PasswordSlot(iterations: 100_001, salt: [UInt8](repeating: 9, count: 16))
        #expect(try !opens(changed, "p", store))
        changed.kind = PasswordSlot(iterations: 100_000, salt: [UInt8](repeating: 8, count: 16))
        #expect(try !opens(changed, "p", store))
        changed.kind = KeyFileSlot()
        #expect(try !opens(changed, "p", store))
        changed = slot
        changed.sealedKey = sealedValue(1)
        #expect(try !opens(changed, "p", store))
    }

    @Test func materialIsTriedOnItsKindOfSlotOnly() throws {
        let store = try #require(Self.store)
        let key = try Key256.random()
        let slot = try KeySlot.make(
            KeyFileSlot(),
            sealing: Key256.random(),
            identifier: "k",
            store: store,
            material: .keyFile(key.copy())
        )
        let manifest = try Self.manifest(["k": slot])
        _ = try manifest.unlock(with: .keyFile(key.copy()))
        _ = try manifest.unlock(with: .keyFile(key.copy()), slot: "k")
        #expect(failure { try manifest.unlock(with: .keyFile(key.copy()), slot: "x") }?.code == .authentication)
        #expect(failure { try manifest.unlock(with: .keyFile(Key256.random())) }?.code == .authentication)
        let password = failure { try manifest.unlock(with: Self.password()) }
        #expect(password?.code == .incorrectPassword)
        #expect(password?.message.contains("no slot") == true)
        #expect(failure { try Self.manifest([:]).unlock(with: .keyFile(key.copy())) }?.code == .authentication)
    }

    @Test func newPasswordSlotsHaveFreshSalts() throws {
        let kinds = try (0..<20).map { _ in try PasswordSlot.random() }
        for kind in kinds { #expect(kinds.count { $0 == kind } == 1) }
        #expect(kinds[0].iterations == PasswordSlot.usualIterations)
        #expect(kinds[0].salt.count == PasswordSlot.saltByteCount)
    }
}

@Suite struct KeyFileTests {
    @Test func theLineIsOneThatScannersFind() throws {
        let key = try Key256.random()
        let line = bytes(try KeyFile.text(key))
        #expect(line.count == KeyFile.byteCount)
        let text = String(decoding: line, as: UTF8.self)
        #expect(text.wholeMatch(of: /CREDFS-KEY-1:[A-Za-z0-9_-]{43}\n/) != nil)
        for form in [text, String(text.dropLast())] {
            let parsed = try KeyFile.parse(form.utf8.span, from: "test")
            let isSame = key.withBytes { key in parsed.withBytes { ConstantTime.equal(key, $0) } }
            #expect(isSame)
        }
    }

    @Test(arguments: [
        "", "\n", "CREDFS-KEY-1:", "CREDFS-KEY-2:\(String(repeating: "A", count: 43))",
        "CREDFS-KEY-1:\(String(repeating: "A", count: 42))", "CREDFS-KEY-1:\(String(repeating: "A", count: 44))",
        "CREDFS-KEY-1:\(String(repeating: "A", count: 42))B", "CREDFS-KEY-1:\(String(repeating: "A", count: 42))+",
        "CREDFS-KEY-1:\(String(repeating: "A", count: 43))\n\n", " CREDFS-KEY-1:\(String(repeating: "A", count: 43))",
        "CREDFS-KEY-1:\(String(repeating: "A", count: 43))\r\n",
    ])
    func everyOtherTextIsAnAuthenticationFailureThatRepeatsNothing(_ text: String) throws {
        let error = try #require(failure { try KeyFile.parse(text.utf8.span, from: "the file") })
        #expect(error.code == .authentication)
        #expect(error.message == "the file does not hold a credfs key")
    }
}

@Suite struct EnteringTests {
    private static func entered(_ text: String, _ change: (inout SecretEntry) -> Void) throws -> [UInt8] {
        let keys = try StoreKeys(dataKey: Key256.random(), store: StoreID.random())
        var cipher = try keys.valueCipher()
        var secret = try entry("A")
        change(&secret)
        try secret.enter(secure(text), with: &cipher, now: Timestamp(seconds: 5))
        guard case .sealed(let sealed) = secret.value else { return [] }
        #expect(secret.rotated == Timestamp(seconds: 5))
        return bytes(try cipher.open(sealed, as: secret.name))
    }

    @Test(arguments: [
        (SecretEntry.Newline.exact, "a\n", "a\n"), (.exact, "a", "a"), (.exact, "", ""), (.strip, "a\n", "a"),
        (.strip, "a\n\n", "a\n"), (.strip, "a", "a"), (.strip, "\n", ""), (.ensure, "a", "a\n"),
        (.ensure, "a\n", "a\n"),
        (.ensure, "", "\n"),
    ])
    func theNewlinePolicyAppliesWhenAValueEnters(_ policy: SecretEntry.Newline, _ text: String, _ result: String) throws
    {
        #expect(try Self.entered(text) { $0.newline = policy } == Array(result.utf8))
    }

    @Test func sizeAndFormatAreCheckedAndAFailureChangesNothing() throws {
        let keys = try StoreKeys(dataKey: Key256.random(), store: StoreID.random())
        var cipher = try keys.valueCipher()
        var secret = try entry("A")
        secret.format = .hex32
        let before = secret
        let now = Timestamp(seconds: 5)
        let format = failure { try secret.enter(secure("no hex"), with: &cipher, now: now) }
        #expect(format?.message == "the value of 'A' is not hex32")
        let size = failure { try secret.enter(secure("12345"), with: &cipher, limit: 4, now: now) }
        #expect(size?.code == .invalid)
        #expect(size?.message.contains("larger than 4 bytes") == true)
        #expect(secret == before)
    }
}

struct PartsTests {
    private func parts(_ count: Int) throws -> [Int] {
        let keys = try StoreKeys(dataKey: .random(), store: .random())
        let name = try #require(SecretName("large"))
        var plaintext = try SecureBuffer(count: count)
        plaintext.withMutableBytes { bytes in
            for index in bytes.indices { bytes[index] = UInt8(truncatingIfNeeded: index &* 7) }
        }
        var cipher = try keys.valueCipher()
        let value = try cipher.seal(plaintext, as: name)
        var counts: [Int] = []
        var offset = 0
        try keys.readParts(of: value, as: name) { part in
            for index in part.indices where part[index] != UInt8(truncatingIfNeeded: (offset + index) &* 7) {
                Issue.record("byte \(offset + index) differs")
            }
            offset += part.count
            counts.append(part.count)
        }
        #expect(offset == count)
        return counts
    }

    @Test func aValueIsReadInPartsAndWhole() throws {
        #expect(try parts(0) == [])
        #expect(try parts(1) == [1])
        #expect(try parts(16384) == [16384])
        #expect(try parts(40000) == [16384, 16384, 7232])
    }

    @Test func nothingIsLentOfAValueThatDoesNotAuthenticate() throws {
        let keys = try StoreKeys(dataKey: .random(), store: .random())
        let names = try ["a", "b"].map { try #require(SecretName($0)) }
        var cipher = try keys.valueCipher()
        let value = try cipher.seal(try SecureBuffer(count: 40000), as: names[0])
        #expect(throws: StoreError.self) {
            try keys.readParts(of: value, as: names[1]) { _ in Issue.record("a part was lent") }
        }
    }
}
