// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import HostChecks
import SecretStore
import SecureFiles
import SystemCalls
import SystemPackage
import Testing

extension StoreRequest {
    /// A store that is not there.
    static var nowhere: StoreRequest {
        StoreRequest(location: .failure(StoreError(.usage, "no store directory")), isNamed: false, isStrict: true)
    }
}

/// A store in a directory of its own, on a machine without git.
private final class Case {
    let directory: TemporaryDirectory
    let location: StoreLocation
    let fake: FakeHost
    var request: StoreRequest

    init(_ secrets: [SecretEntry] = [], makesStore: Bool = true, updated: Timestamp? = nil) throws {
        directory = try TemporaryDirectory()
        fake = try FakeHost(user: geteuid())
        location = try StoreLocation(.init(store: directory.path("store")), user: geteuid()) { _ in nil }
        request = StoreRequest(location: .success(location), isNamed: false, isStrict: true)
        fake.host.root = ""
        fake.host.calls.entry = { path, _ in
            (try? FileStatus.ofPath(path, followingLink: false))
                .map { HostView.Entry(kind: $0.kind, permissions: $0.permissions, owner: $0.owner) }
        }
        guard makesStore else { return }
        _ = try StoreCreation.run(
            location,
            PermissionChecker(isStrict: true),
            secrets: secrets,
            now: updated ?? fake.host.now
        ) { .keyFile }
    }

    func path(_ name: String) -> String { directory.path("store/\(name)") }

    func chmod(_ mode: UInt16, _ name: String) throws {
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path(name))
    }

    func edit(_ change: (String) -> String) throws {
        let text = String(decoding: try directory.read("store/secrets.yaml"), as: UTF8.self)
        try directory.write(change(text).utf8, to: "store/secrets.yaml")
    }

    var findings: [Finding] { StoreChecks.run(fake.host, request).findings }

    func findings(_ check: Finding.Check) -> [Finding] { findings.filter { $0.check == check } }

    func finding(_ check: Finding.Check) throws -> Finding {
        let found = findings(check)
        #expect(found.count == 1, "\(found)")
        return try #require(found.first)
    }
}

private func entry(_ name: String, expires: Timestamp?, required: Bool = false) throws -> SecretEntry {
    var entry = SecretEntry(name: try #require(SecretName(name)))
    entry.expires = expires
    entry.required = required
    return entry
}

@Suite struct StoreChecksTests {
    @Test func aGoodStoreHasNothingToMend() throws {
        let store = try Case()
        #expect(store.findings.allSatisfy { $0.status == .ok }, "\(store.findings)")
        #expect(StoreChecks.run(store.fake.host, store.request).manifest != nil)
    }

    @Test func everyCheckHasALineInItsOrder() throws {
        for made in [true, false] {
            let store = try Case(makesStore: made)
            let report = Doctor.examine(store.fake.host, store.request)
            #expect(report.findings.map(\.check) == Finding.Check.allCases)
            #expect((report.manifest != nil) == made)
        }
    }

    @Test func noStoreIsNoProblemOfTheHost() throws {
        let store = try Case(makesStore: false)
        expect(try store.finding(.store), .ok, "no store at", fix: "credfs init")
        store.request = StoreRequest(location: .success(store.location), isNamed: true, isStrict: true)
        expect(try store.finding(.store), .warning, "no store at", fix: "credfs init")
        store.request = .nowhere
        #expect(try store.finding(.store).status == .warning)
        // A directory without a manifest is none either.
        try FileManager.default.createDirectory(
            atPath: store.directory.path("store"),
            withIntermediateDirectories: false
        )
        store.request = StoreRequest(location: .success(store.location), isNamed: false, isStrict: true)
        expect(try store.finding(.store), .ok, "no store at")
    }

    @Test func aLinkInPlaceOfTheStoreIsAProblem() throws {
        let store = try Case(makesStore: false)
        try FileManager.default.createSymbolicLink(
            atPath: store.directory.path("store"),
            withDestinationPath: store.directory.path
        )
        expect(try store.finding(.store), .problem, "symbolic link", fix: "name the file itself")
    }

    // MARK: Permissions

    @Test func everyInsecureModeIsToldAndRepaired() throws {
        let store = try Case()
        try store.chmod(0o755, "")
        try store.chmod(0o644, "secrets.key")
        try store.chmod(0o640, "secrets.yaml")
        try store.chmod(0o750, "state")
        let found = store.findings(.permissions)
        #expect(found.count == 4)
        for finding in found { expect(finding, .problem, "insecure permissions", fix: "chmod 0") }
        // What was insecure is still read, so that the rest can be told.
        expect(try store.finding(.manifest), .ok)

        let repair = Doctor.repair(store.fake.host, store.request)
        #expect(repair.failures.isEmpty)
        #expect(
            repair.modes == [
                "ensured 0700 on \(store.directory.path("store"))", "ensured 0700 on \(store.path("state"))",
                "ensured 0600 on secrets.key", "ensured 0600 on secrets.yaml", "permissions verified",
            ]
        )
        expect(try store.finding(.permissions), .ok)
    }

    @Test func theReducedModeMakesWarningsOfModes() throws {
        let store = try Case()
        try store.chmod(0o644, "secrets.key")
        store.request = StoreRequest(location: .success(store.location), isNamed: false, isStrict: false)
        expect(try store.finding(.permissions), .warning, "secrets.key")
    }

    @Test func aLinkIsNeverReadThrough() throws {
        let store = try Case()
        try FileManager.default.moveItem(atPath: store.path("secrets.key"), toPath: store.directory.path("key"))
        try FileManager.default.createSymbolicLink(
            atPath: store.path("secrets.key"),
            withDestinationPath: store.directory.path("key")
        )
        store.request = StoreRequest(location: .success(store.location), isNamed: false, isStrict: false)
        #expect(store.findings(.permissions).contains { $0.status == .problem && $0.message.contains("symbolic link") })
        let repair = Doctor.repair(store.fake.host, store.request)
        #expect(repair.failures.count == 1)
    }

    @Test func whatModesCannotMendStaysToldAfterARepair() throws {
        let store = try Case()
        try FileManager.default.linkItem(atPath: store.path("secrets.key"), toPath: store.directory.path("second"))
        let repair = Doctor.repair(store.fake.host, store.request)
        #expect(repair.modes.count == 4 && !repair.modes.contains("permissions verified"))
        expect(try store.finding(.permissions), .problem, "2 hard links", fix: "find / -xdev -inum")
    }

    @Test func aRepairMakesNoStore() throws {
        let store = try Case(makesStore: false)
        #expect(Doctor.repair(store.fake.host, store.request) == Doctor.Repair())
        #expect(!FileManager.default.fileExists(atPath: store.directory.path("store")))
    }

    // MARK: The manifest

    @Test func aManifestThatIsNotRightIsAProblem() throws {
        let store = try Case()
        try store.edit { $0 + "more: 1\n" }
        expect(try store.finding(.manifest), .problem)
        expect(try store.finding(.clock), .ok)
        expect(try store.finding(.leftovers), .ok)
    }

    @Test func plaintextIsAProblemThatShowsNoValue() throws {
        let store = try Case([try entry("A", expires: nil)])
        try store.edit {
            $0.replacing("value: ''", with: "value: 'clearly'").replacing("value: \"\"", with: "value: clearly")
        }
        let finding = try store.finding(.manifest)
        #expect(finding.status == .problem && finding.fix == "seal them with: credfs encrypt")
        #expect(store.findings.allSatisfy { !$0.message.contains("clearly") && $0.fix?.contains("clearly") != true })
    }

    // MARK: Times

    @Test func aClockThatCannotBeRightIsTold() throws {
        let store = try Case()
        store.fake.host.now = Timestamp(seconds: 0)
        expect(try store.finding(.clock), .problem, "1970-01-01T00:00:00Z", fix: "timedatectl set-ntp true")
        store.fake.host.now = Timestamp(seconds: 1_800_000_000 - 301)
        expect(try store.finding(.clock), .warning, "the manifest was written at")
        store.fake.host.now = Timestamp(seconds: 1_800_000_000 - 300)
        expect(try store.finding(.clock), .ok)
        let none = try Case(makesStore: false)
        none.fake.host.now = Timestamp(seconds: 1)
        expect(try none.finding(.clock), .problem)
    }

    @Test func whatExpiresIsToldThirtyDaysBefore() throws {
        let now: Int64 = 1_800_000_000
        let month: Int64 = 30 * 86_400
        let store = try Case([
            try entry("LATER", expires: Timestamp(seconds: now + month + 1)),
            try entry("SOON", expires: Timestamp(seconds: now + month)),
            try entry("OPTIONAL GONE", expires: Timestamp(seconds: now)),
            try entry("NEEDED", expires: Timestamp(seconds: now - 1), required: true),
        ])
        let found = store.findings(.expiry)
        #expect(found.map(\.status) == [.warning, .warning, .problem], "\(found)")
        expect(try #require(found.first), .warning, "SOON expires at", fix: "credfs set SOON --expires TIME")
        #expect(found[1].message.contains("left out") && found[1].fix == "credfs set 'OPTIONAL GONE' --expires TIME")
        #expect(found[2].message.contains("NEEDED expired at"))
    }

    @Test func thousandsThatExpireAreCounted() throws {
        let time = Timestamp(seconds: 1_800_000_001)
        let store = try Case(try (1...500).map { try entry("S\($0)", expires: time) })
        let found = store.findings(.expiry)
        #expect(found.count == 21)
        #expect(found.last?.message.hasPrefix("480 more") == true)
        #expect(found.allSatisfy { $0.status == .warning })
    }

    // MARK: Leftovers and git

    @Test func whatEditorsLeaveIsNamedWithTheCommand() throws {
        let store = try Case()
        for name in ["secrets.yaml~", ".secrets.yaml.swp", "other~"] {
            try store.directory.write([], to: "store/\(name)")
        }
        let finding = try store.finding(.leftovers)
        let (first, second) = (store.path(".secrets.yaml.swp"), store.path("secrets.yaml~"))
        expect(finding, .warning, "\(first), \(second)", fix: "rm \(first) '\(second)'")
    }

    @Test func aStoreOutsideAnyWorkTreeAsksNobody() throws {
        let store = try Case()
        store.fake.host.calls.git = { _, _ in ProgramOutput(status: 128, bytes: []) }
        expect(try store.finding(.git), .ok, "nothing secret is in a git work tree")
    }

    @Test(
        arguments: [
            (nil, nil, Finding.Status.warning, "no git can be asked"), (128, nil, .warning, "does not answer"),
            (0, 0, .ok, "ignored by git"), (0, 1, .warning, "not ignored"), (0, 128, .warning, "does not answer"),
        ] as [(Int32?, Int32?, Finding.Status, String)]
    )
    func whatGitSaysIsJudged(_ listing: Int32?, _ ignoring: Int32?, _ status: Finding.Status, _ text: String) throws {
        let store = try Case()
        try FileManager.default.createDirectory(
            atPath: store.directory.path(".git"),
            withIntermediateDirectories: false
        )
        store.fake.host.calls.git = { _, arguments in
            let status = arguments.contains("ls-files") ? listing : ignoring
            return status.map { ProgramOutput(status: $0, bytes: []) }
        }
        let found = store.findings(.git)
        #expect(found.allSatisfy { $0.status == status && $0.message.contains(text) }, "\(found)")
    }

    @Test func aKeyThatIsTrackedIsAProblem() throws {
        let store = try Case()
        try FileManager.default.createDirectory(atPath: store.path(".git"), withIntermediateDirectories: false)
        store.fake.host.calls.git = { _, arguments in
            ProgramOutput(status: 0, bytes: arguments.contains("ls-files") ? Array("x\0".utf8) : [])
        }
        let found = store.findings(.git)
        #expect(found.map(\.status) == [.problem, .warning], "\(found)")
        expect(try #require(found.first), .problem, "the key is tracked by git", fix: "rm -r --cached secrets.key")
    }

    @Test func aWordIsQuotedForAShell() {
        #expect(quoted("plain/Word_1.x") == "plain/Word_1.x")
        #expect(quoted("") == "''")
        #expect(quoted("it's $HOME") == "'it'\\''s $HOME'")
    }
}
