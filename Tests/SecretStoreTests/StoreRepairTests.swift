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
