// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Glibc
import Sealing
import SecretStore
import SecureFiles
import SystemCalls
import Testing

@Suite struct StoreLocationTests {
    private static func directory(
        _ choices: StoreLocation.Choices = .init(),
        user: UInt32 = 1000,
        _ environment: [String: String] = [:]
    ) throws -> String {
        try StoreLocation(choices, user: user) { environment[$0] }.directory
    }

    @Test func flagThenVariableThenConfigurationThenHome() throws {
        let all = ["CREDFS_STORE": "/v", "XDG_CONFIG_HOME": "/c", "HOME": "/h"]
        #expect(try Self.directory(.init(store: "/f"), all) == "/f")
        #expect(try Self.directory(all) == "/v")
        #expect(try Self.directory(all.filter { $0.key != "CREDFS_STORE" }) == "/c/credfs")
        #expect(try Self.directory(["HOME": "/h"]) == "/h/.config/credfs")
        for tail in ["/", "//", "/.", "/./", "/.//."] {
            #expect(try Self.directory(.init(store: "/f" + tail), all) == "/f")
        }
        #expect(try Self.directory(.init(store: "/."), all) == "/")
        #expect(try Self.directory(.init(store: ".."), all) == "..")
        #expect(try Self.directory(["HOME": "/h", "CREDFS_STORE": ""]) == "/h/.config/credfs")
        #expect(try Self.directory(["HOME": "/h", "XDG_CONFIG_HOME": "relative"]) == "/h/.config/credfs")
    }

    @Test func rootWithoutHomeUsesTheSystemDirectory() throws {
        #expect(try Self.directory(user: 0) == "/etc/credfs")
        #expect(try Self.directory(user: 0, ["HOME": "/h"]) == "/h/.config/credfs")
        #expect(failure { try Self.directory() }?.code == .usage)
    }

    @Test func manifestAndStateCanBeElsewhere() throws {
        let environment = ["HOME": "/h", "CREDFS_MANIFEST": "/m", "CREDFS_STATE": "/s", "XDG_STATE_HOME": "/x"]
        let location = try StoreLocation(.init(), user: 1) { environment[$0] }
        #expect(location.manifest == "/m")
        #expect(location.state == "/s")
        #expect(location.stateHome == "/x/credfs")
        let flags = try StoreLocation(.init(manifest: "/n", state: "/t"), user: 1) { environment[$0] }
        #expect(flags.manifest == "/n")
        #expect(flags.state == "/t")
    }

    private static func directory(_ environment: [String: String]) throws -> String {
        try directory(.init(), environment)
    }

    private static func directory(_ choices: StoreLocation.Choices, _ environment: [String: String]) throws -> String {
        try directory(choices, user: 1000, environment)
    }
}

@Suite struct StoreTests {
    @Test func aNewStoreHasItsFilesAndModes() throws {
        let fixture = try StoreFixture(["A"])
        let folder = try #require(try StoreDirectory.open(fixture.path("")))
        #expect(try Set(folder.names()) == [".gitignore", "secrets.key", "secrets.yaml", "state"])
        #expect(try folder.descriptor.status().permissions == 0o700)
        for name in ["secrets.key", "secrets.yaml"] { #expect(try folder.file(name)?.status().permissions == 0o600) }
        #expect(try fixture.text(".gitignore").contains("/secrets.key"))
        let manifest = try LoadedManifest(fixture.store()).manifest
        #expect(manifest.generation == 1)
        #expect(manifest.secrets.map(\.required) == [true])
    }

    @Test func makingAStoreAgainOverwritesNothing() throws {
        let fixture = try StoreFixture(["A"])
        let before = try [fixture.text(), fixture.text("secrets.key")]
        unsafe chmod(fixture.path("secrets.key"), 0o644)
        unsafe chmod(fixture.path("secrets.yaml"), 0o666)
        unsafe chmod(fixture.path("state"), 0o755)
        unsafe chmod(fixture.path(""), 0o755)
        let outcome = try StoreCreation.run(
            fixture.location,
            PermissionChecker(isStrict: true),
            secrets: [],
            now: fixture.now
        ) {
            Issue.record("there is a store already")
            return .keyFile
        }
        #expect(!outcome.isNew)
        #expect(outcome.modes.notes.contains("ensured 0600 on secrets.key"))
        #expect(outcome.modes.notes.last == "permissions verified")
        #expect(try [fixture.text(), fixture.text("secrets.key")] == before)
        try fixture.store().checkPermissions()
    }

    @Test func aKeyThatAnInterruptedInitLeftIsUsed() throws {
        let fixture = try StoreFixture()
        let key = try fixture.text("secrets.key")
        unsafe unlink(fixture.path("secrets.yaml"))
        let checker = PermissionChecker(isStrict: true)
        _ = try StoreCreation.run(fixture.location, checker, secrets: [], now: fixture.now) { .keyFile }
        #expect(try fixture.text("secrets.key") == key)
        _ = try fixture.keys()
    }

    @Test func aStoreCanBeOpenedWithAGivenKeyOrAPasswordInstead() throws {
        for usesPassword in [true, false] {
            let directory = try TemporaryDirectory()
            let location = try StoreLocation(.init(store: directory.path("s")), user: 0) { _ in nil }
            let key = try Key256.random()
            let copy = try key.copy()
            _ = try StoreCreation.run(
                location,
                PermissionChecker(isStrict: true),
                secrets: [],
                now: Timestamp(seconds: 0)
            ) {
                if usesPassword { return .password(try secure("some password")) }
                return .givenKey(.keyFile(try copy.copy()))
            }
            let store = try Store(location, checker: PermissionChecker(isStrict: true))
            #expect(try !store.hasKeyFile())
            let loaded = try LoadedManifest(store)
            let material: KeyMaterial = usesPassword ? .password(try secure("some password")) : .keyFile(try key.copy())
            _ = try loaded.verified(with: try loaded.manifest.unlock(with: material))
        }
    }

    /// Whatever brings such a text into an entry: nobody could read the manifest any more.
    @Test func whatCannotBeReadBackIsNotSigned() throws {
        let fixture = try StoreFixture(["A", "B"])
        let (store, keys) = (try fixture.store(), try fixture.keys())
        let before = try fixture.text()
        let changes: [(inout Manifest) -> Void] = [
            { $0.secrets[1].rotation = RotationRule(every: "30d", command: ["a\nb"]) },
            { $0.secrets[1].rotation = RotationRule(every: "thirty days", command: ["a"]) },
            { $0.secrets[0].policy = ReadPolicy(executable: "/bin/\u{1b}x") },
            { $0.secrets[0].policy = ReadPolicy(executable: "bin/x") },
            { $0.secrets.append($0.secrets[0]) },
            { $0.secrets[0].policy = ReadPolicy(unit: "two words") },
        ]
        for change in changes {
            let error = failure { try store.update(keys, now: fixture.now, waiting: {}, change) }
            #expect(error?.code == .invalid)
            #expect(error?.message.contains("cannot be read back") == true, "\(error as Any)")
            #expect(try fixture.text() == before)
        }
        try store.update(keys, now: fixture.now, waiting: {}) {
            $0.secrets[0].policy = ReadPolicy(unit: "app.service")
            $0.secrets[1].rotation = RotationRule(every: "30d", command: ["a: #b", "'", "\\"])
        }
        let large = failure {
            try store.update(keys, now: fixture.now, waiting: {}) {
                let argument = String(repeating: "a", count: Manifest.maximumByteCount)
                $0.secrets[1].rotation = RotationRule(every: "30d", command: [argument])
            }
        }
        #expect(large?.message == "the manifest would be larger than 64 MiB")
        _ = try LoadedManifest(store).verified(with: keys)
    }

    @Test func whatIsMissingIsNoStore() throws {
        let directory = try TemporaryDirectory()
        let checker = PermissionChecker(isStrict: true)
        for choices in [
            StoreLocation.Choices(store: directory.path("absent")),
            .init(store: directory.path, manifest: directory.path("absent/m.yaml")),
        ] {
            let location = try StoreLocation(choices, user: 0) { _ in nil }
            let error = failure { try Store(location, checker: checker) }
            #expect(error?.code == .noStore)
            #expect(error?.hint?.contains("credfs init") == true)
        }
        let location = try StoreLocation(.init(store: directory.path), user: 0) { _ in nil }
        let store = try Store(location, checker: checker)
        #expect(failure { try LoadedManifest(store) }?.code == .noStore)
        #expect(failure { try store.readManifest() }?.code == .noStore)
        #expect(failure { try store.checkPermissions() }?.code == .noStore)
    }

    @Test func aManifestElsewhereNeedsNoStoreDirectory() throws {
        let fixture = try StoreFixture(["A"])
        let key = try fixture.keys()
        let path = try fixture.directory.write(Array(fixture.text().utf8), to: "manifest.yaml", permissions: 0o644)
        let location = try StoreLocation(
            .init(store: fixture.directory.path("absent"), manifest: path, state: fixture.directory.path("state")),
            user: 0
        ) { _ in nil }
        let store = try Store(location, checker: PermissionChecker(isStrict: true))
        #expect(try !store.hasKeyFile())
        let absentKey = try store.readKeyFile()
        #expect(absentKey == nil ? true : false)
        let loaded = try LoadedManifest(store)
        _ = try loaded.verified(with: key)
        try store.withLock(key.store, waiting: {}) {}
        try store.commit(loaded.manifest, signedWith: key, previous: loaded.file, now: fixture.now)
        let names = try #require(try StoreDirectory.open(fixture.directory.path)).names()
        #expect(names.contains("manifest.yaml.bak"))
        #expect(try store.readManifest().status.permissions == 0o644)
        let place = try store.manifestPlace()
        let manifest = try place.folder.writableFile(place.name)
        #expect(try store.manifestPermissions(manifest) == 0o644)
        _ = try store.commit(loaded.manifest, signedWith: key, previous: nil, now: fixture.now)
        #expect(try store.readManifest().status.permissions == 0o600)
    }

    @Test func aKeyOrPasswordFileElsewhereIsCheckedTheSameWay() throws {
        let directory = try TemporaryDirectory()
        let checker = PermissionChecker(isStrict: true)
        let path = try directory.write(Array("pass".utf8), to: "p")
        #expect(bytes(try Store.readSecretFile(path, checker)) == Array("pass".utf8))
        unsafe chmod(path, 0o640)
        #expect(failure { try Store.readSecretFile(path, checker) }?.code == .permissions)
        #expect(failure { try Store.readSecretFile(directory.path("q"), checker) }?.code == .failed)
        #expect(failure { try Store.readSecretFile(directory.path("r/q"), checker) }?.code == .failed)
    }

    @Test func aWriteKeepsTheOldManifestSealedBesideIt() throws {
        let fixture = try StoreFixture(["A"])
        let before = try fixture.text()
        try fixture.write("rubbish", to: ".secrets.yaml.credfs-0123456789abcdef.tmp")
        try fixture.fill([("A", "value")])
        #expect(try fixture.text("secrets.yaml.bak") == before)
        #expect(try fixture.text("state/signed.yaml") == fixture.text())
        let names = try #require(try StoreDirectory.open(fixture.path(""))).names()
        #expect(!names.contains { $0.hasSuffix(".tmp") })
        #expect(try LoadedManifest(fixture.store()).manifest.generation == 2)
    }

    @Test func aManifestThatWouldBeTooLargeIsNotWritten() throws {
        let fixture = try StoreFixture()
        let before = try fixture.text()
        let value = String(repeating: "x", count: 13 << 20)
        let error = failure {
            let keys = try fixture.keys()
            var manifest = try LoadedManifest(fixture.store()).manifest
            var cipher = try keys.valueCipher()
            for index in 0..<4 {
                var secret = try entry("A\(index)")
                try secret.enter(secure(value), with: &cipher, limit: 14 << 20, now: fixture.now)
                manifest.secrets.append(secret)
            }
            try fixture.store().commit(manifest, signedWith: keys, previous: nil, now: fixture.now)
        }
        #expect(error?.message.contains("larger than 64 MiB") == true)
        #expect(try fixture.text() == before)
    }

    @Test func aGenerationThatCannotGrowIsAnError() throws {
        let fixture = try StoreFixture()
        var manifest = try LoadedManifest(fixture.store()).manifest
        manifest.generation = .max
        let before = try fixture.text()
        let error = failure {
            try fixture.store().commit(manifest, signedWith: fixture.keys(), previous: nil, now: fixture.now)
        }
        #expect(error?.code == .invalid)
        #expect(try fixture.text() == before)
    }

    @Test func aDirectoryThatOthersUseIsNotMadeAStore() throws {
        let directory = try TemporaryDirectory()
        try directory.write([], to: "something")
        _ = unsafe chmod(directory.path, 0o755)
        let location = try StoreLocation(.init(store: directory.path), user: 0) { _ in nil }
        let error = failure {
            try StoreCreation.run(
                location,
                PermissionChecker(isStrict: true),
                secrets: [],
                now: Timestamp(seconds: 0)
            ) { .keyFile }
        }
        #expect(error?.code == .permissions)
        #expect(try StoreDirectory.open(directory.path)?.names() == ["something"])
        #expect(try StoreDirectory.open(directory.path)?.descriptor.status().permissions == 0o755)
    }

    @Test func theLastSignedManifestIsOnlyBelievedIfItsSignatureHolds() throws {
        let fixture = try StoreFixture(["A"])
        let keys = try fixture.keys()
        #expect(try fixture.store().lastSigned(keys)?.generation == 1)
        let text = try fixture.text("state/signed.yaml")
        try fixture.write(text.replacing("generation: 1", with: "generation: 9"), to: "state/signed.yaml")
        #expect(try fixture.store().lastSigned(keys) == nil)
        unsafe unlink(fixture.path("state/signed.yaml"))
        #expect(try fixture.store().lastSigned(keys) == nil)
    }

    @Test func stateGoesToTheUsersDirectoryWhereTheStoreCannotBeWritten() throws {
        let fixture = try StoreFixture()
        let identity = try LoadedManifest(fixture.store()).manifest.store
        // Only a manifest elsewhere: there is no store directory to write to.
        let manifest = try fixture.directory.write(Array(fixture.text().utf8), to: "m.yaml")
        let environment = ["XDG_STATE_HOME": fixture.directory.path("home"), "HOME": fixture.directory.path]
        let location = try StoreLocation(.init(store: fixture.directory.path("absent"), manifest: manifest), user: 0) {
            environment[$0]
        }
        let state = try Store(location, checker: PermissionChecker(isStrict: true)).state(for: identity)
        #expect(state.path == fixture.directory.path("home/credfs/\(identity.text)"))
        // Looking for it makes nothing, and whoever does not know the identity gets the same from the manifest.
        let store = try Store(location, checker: PermissionChecker(isStrict: true))
        #expect(try store.existingState(for: identity)?.path == state.path)
        #expect(try store.existingState(for: nil)?.path == state.path)
        #expect(try store.existingState(for: StoreID("00000000-0000-4000-8000-000000000000")) == nil)
        #expect(try fixture.store().existingState(for: identity)?.path == fixture.path("state"))
        let homeless = try StoreLocation(.init(store: fixture.directory.path("absent"), manifest: manifest), user: 0) {
            _ in nil
        }
        let error = failure {
            try Store(homeless, checker: PermissionChecker(isStrict: true)).state(for: identity)
        }
        #expect(error?.message == "no place for state")
        #expect(try Store(homeless, checker: PermissionChecker(isStrict: true)).existingState(for: nil) == nil)
    }

    @Test func aStateDirectoryThatOthersCanEnterIsRefused() throws {
        let fixture = try StoreFixture()
        unsafe chmod(fixture.path("state"), 0o750)
        let identity = try LoadedManifest(file: fixture.store().readManifest()).manifest.store
        #expect(failure { try fixture.store().withLock(identity, waiting: {}) {} }?.code == .permissions)
        #expect(failure { try fixture.store().checkPermissions() }?.code == .permissions)
    }

    @Test func writersWithDifferentStateDirectoriesWaitForEachOther() async throws {
        let fixture = try StoreFixture()
        let keys = try fixture.keys()
        let now = fixture.now
        let stores = try (0..<4).map { index in
            try StoreLocation(
                .init(store: fixture.location.directory, state: fixture.directory.path("state\(index)")),
                user: 0
            ) { _ in nil }
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<20 {
                let location = stores[index % stores.count]
                group.addTask {
                    try await onItsOwnThread {
                        let store = try Store(location, checker: PermissionChecker(isStrict: true))
                        try store.update(keys, now: now, waiting: {}) { $0.secrets.append(try entry("S\(index)")) }
                    }
                }
            }
            try await group.waitForAll()
        }
        let manifest = try LoadedManifest(fixture.store()).manifest
        #expect(manifest.secrets.count == 20)
        #expect(manifest.generation == 21)
    }

    @Test func aManifestWithoutSignatureOrWithPlaintextIsNotLoaded() throws {
        let fixture = try StoreFixture((0..<12).map { "S\($0)" })
        let text = try fixture.text()
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        try fixture.write(lines.filter { !$0.hasPrefix("signature") }.joined(separator: "\n"))
        #expect(failure { try LoadedManifest(fixture.store()) }?.message == "the manifest has no 'signature'")
        try fixture.write(text.replacing("value: \"\"", with: "value: plain"))
        let error = failure { try LoadedManifest(fixture.store()) }
        #expect(error?.code == .unsealed)
        #expect(error?.message.contains("S0 (line 14)") == true)
        #expect(error?.message.hasSuffix("and 2 more") == true)
    }

    @Test func namesAreFoundInAManifest() throws {
        let fixture = try StoreFixture(["A", "B"])
        let manifest = try LoadedManifest(fixture.store()).manifest
        #expect(manifest.index(of: try #require(SecretName("B"))) == 1)
        #expect(manifest.index(of: try #require(SecretName("C"))) == nil)
    }
}

@Suite struct ChangedNamesTests {
    @Test func namesWhatIsNewChangedOrGone() throws {
        let fixture = try StoreFixture(["A", "B", "C"])
        let before = try LoadedManifest(fixture.store()).manifest
        #expect(before.namesChanged(since: before).isEmpty)
        var after = before
        after.secrets[0].required.toggle()
        let removed = after.secrets.remove(at: 1)
        #expect(after.namesChanged(since: before).map(\.text) == ["A", "B"])
        #expect(before.namesChanged(since: after).contains(removed.name))
    }
}

extension ReadPolicy {
    fileprivate init(executable path: String) {
        self.init()
        executables = [Executable(path: path)]
    }

    fileprivate init(unit: String) {
        self.init()
        units = [unit]
    }
}
