// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Glibc
import SecretStore
import SecureFiles
import Testing

@Suite struct StoreRepairTests {
    private let strict = PermissionChecker(isStrict: true)

    private func mode(_ path: String) throws -> Int {
        try #require(try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int)
    }

    @Test func everyModeIsPutRightAndNothingElseIsTouched() throws {
        let fixture = try StoreFixture(["A"])
        let text = try fixture.text()
        for name in ["", "state"] { unsafe chmod(fixture.path(name), 0o777) }
        for name in ["secrets.key", "secrets.yaml"] { unsafe chmod(fixture.path(name), 0o666) }
        let notes = try StoreCreation.repair(fixture.location, strict).notes
        for name in ["", "state"] { #expect(try mode(fixture.path(name)) == 0o700) }
        for name in ["secrets.key", "secrets.yaml"] { #expect(try mode(fixture.path(name)) == 0o600) }
        #expect(notes.count == 5 && notes.last == "permissions verified")
        #expect(try fixture.text() == text)
    }

    @Test func aSecondNameIsLeftAndNothingIsCalledVerified() throws {
        let fixture = try StoreFixture()
        unsafe link(fixture.path("secrets.key"), fixture.directory.path("second"))
        unsafe chmod(fixture.path("secrets.key"), 0o644)
        let notes = try StoreCreation.repair(fixture.location, strict).notes
        #expect(notes.last == "ensured 0600 on secrets.yaml")
        #expect(try mode(fixture.path("secrets.key")) == 0o600)
    }

    @Test func aManifestElsewhereIsLeftAlone() throws {
        let fixture = try StoreFixture()
        let elsewhere = fixture.directory.path("shared.yaml")
        try fixture.directory.write(fixture.text().utf8, to: "shared.yaml", permissions: 0o664)
        let choices = StoreLocation.Choices(store: fixture.location.directory, manifest: elsewhere)
        let location = try StoreLocation(choices, user: 0) { _ in nil }
        unsafe chmod(fixture.path("secrets.yaml"), 0o644)
        #expect(try StoreCreation.repair(location, strict).notes.last == "ensured 0600 on secrets.key")
        #expect(try mode(fixture.path("secrets.yaml")) == 0o644)
        #expect(try mode(elsewhere) == 0o664)
    }

    /// A manifest without a store directory has a state all the same; no directory is made beside it.
    @Test func aManifestWithoutAStoreDirectoryHasItsStateMended() throws {
        let fixture = try StoreFixture()
        let (shared, state) = (fixture.directory.path("shared.yaml"), fixture.directory.path("state"))
        try fixture.directory.write(fixture.text().utf8, to: "shared.yaml", permissions: 0o600)
        unsafe mkdir(state, 0o700)
        try fixture.directory.write("key".utf8, to: "state/audit.key", permissions: 0o600)
        for path in [state, state + "/audit.key"] { unsafe chmod(path, 0o755) }
        let absent = fixture.directory.path("absent")
        let location = try StoreLocation(.init(store: absent, manifest: shared, state: state), user: 0) { _ in nil }
        #expect(try !StoreCreation.isNeeded(location, strict))
        let modes = try StoreCreation.repair(location, strict)
        #expect(
            modes.notes == ["ensured 0700 on \(state)", "ensured 0600 on \(state)/audit.key", "permissions verified"]
        )
        #expect(modes.exposures.count == 1 && modes.exposures[0].contains("may have been read by others"))
        #expect(try mode(state) == 0o700 && mode(state + "/audit.key") == 0o600)
        let again = try StoreCreation.run(location, strict, secrets: [], now: fixture.now) {
            Issue.record("there is a store already")
            return .keyFile
        }
        #expect(!again.isNew && again.keys == nil && again.modes.exposures.isEmpty)
        #expect(!FileManager.default.fileExists(atPath: absent))
        unsafe unlink(shared)
        #expect(failure { try StoreCreation.repair(location, strict) }?.code == .noStore)
        #expect(try StoreCreation.isNeeded(location, strict))
    }

    @Test func whetherAStoreWouldBeMadeIsKnownBefore() throws {
        let fixture = try StoreFixture()
        #expect(try !StoreCreation.isNeeded(fixture.location, strict))
        unsafe unlink(fixture.path("secrets.yaml"))
        #expect(try StoreCreation.isNeeded(fixture.location, strict))
        // A job does not see the store that it is run with.
        let covered = "/dev/shm/credfs-covered-\(getpid())"
        unsafe mkdir(covered, 0o500)
        defer { unsafe rmdir(covered) }
        let location = try StoreLocation(.init(store: covered), user: 0) { _ in nil }
        #expect(try !StoreCreation.isNeeded(location, strict))
        #expect(Store.noStore(location).hint?.contains("--keep-store") == true)
        let absent = try StoreLocation(.init(store: fixture.directory.path("absent")), user: 0) { _ in nil }
        #expect(try StoreCreation.isNeeded(absent, strict))
        // Where the directory cannot be looked at nothing is promised.
        let file = fixture.path("secrets.key")
        let bad = try StoreLocation(.init(store: file), user: 0) { _ in nil }
        #expect(failure { try StoreCreation.isNeeded(bad, strict) } != nil)
        let below = try StoreLocation(.init(store: fixture.path(""), manifest: file + "/m.yaml"), user: 0) { _ in nil }
        #expect(failure { try StoreCreation.isNeeded(below, strict) } != nil)
    }

    @Test func aNewFileHasADirectoryAndAName() throws {
        let fixture = try StoreFixture()
        let (folder, name) = try Store.place(ofNew: fixture.path("out.html"))
        #expect(folder.path == fixture.location.directory && name == "out.html")
        for path in ["\(fixture.location.directory)/..", "/", fixture.path("absent/out.html")] {
            #expect(failure { try Store.place(ofNew: path) }?.code == .failed)
        }
    }

    @Test func nothingIsMadeWhereThereIsNoStore() throws {
        let fixture = try StoreFixture()
        try FileManager.default.removeItem(atPath: fixture.path("secrets.yaml"))
        #expect(failure { try StoreCreation.repair(fixture.location, strict) }?.code == .noStore)
        try FileManager.default.removeItem(atPath: fixture.path(""))
        #expect(failure { try StoreCreation.repair(fixture.location, strict) }?.code == .noStore)
        #expect(!FileManager.default.fileExists(atPath: fixture.path("")))
    }

    @Test func aManifestWithPlaintextCanBeReadForAReport() throws {
        let fixture = try StoreFixture(["A"])
        try fixture.edit {
            $0.replacing("value: ''", with: "value: 'plain'").replacing("value: \"\"", with: "value: plain")
        }
        #expect(failure { try LoadedManifest(fixture.store()) }?.code == .unsealed)
        let loaded = try LoadedManifest(readableIn: fixture.store())
        #expect(loaded.manifest.secrets.map(\.name.text) == ["A"])
    }

    @Test func whatEditorsLeaveIsFoundBesideTheManifest() throws {
        let fixture = try StoreFixture()
        let left = ["secrets.yaml~", "#secrets.yaml#", ".#secrets.yaml", "secrets.yaml.orig", "secrets.yaml.save"]
        let hidden = [".secrets.yaml.un~", ".secrets.yaml.swp", ".secrets.yaml.swo"]
        for name in left + hidden + ["secrets.yml~", "other.swp"] { try fixture.write("", to: name) }
        let place = try fixture.store().manifestPlace()
        #expect(try place.folder.editorLeftovers(of: place.name) == (left + hidden).map { fixture.path($0) }.sorted())
    }
}
