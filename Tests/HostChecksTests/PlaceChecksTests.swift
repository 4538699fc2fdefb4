// SPDX-License-Identifier: Apache-2.0

import HostChecks
import ProcessControl
import SecretStore
import SystemCalls
import SystemPackage
import Testing

@Suite struct PlaceChecksTests {
    // MARK: The runtime directory

    @Test func theVariableNamesTheRuntimeDirectory() throws {
        let fake = try FakeHost()
        fake.set(["XDG_RUNTIME_DIR": "/run/user/1000"])
        expect(try fake.finding(.runtimeDirectory), .problem, "no directory", fix: "unset XDG_RUNTIME_DIR")
        fake.put("/run/user/1000", .directory, 0o700, owner: 1000)
        expect(try fake.finding(.runtimeDirectory), .ok, "/run/user/1000")
        fake.put("/run/user/1000", .directory, 0o755, owner: 1000)
        expect(try fake.finding(.runtimeDirectory), .warning, "mode 0755", fix: "chmod 0700 /run/user/1000")
        fake.put("/run/user/1000", .directory, 0o770, owner: 1000)
        expect(try fake.finding(.runtimeDirectory), .problem, "mode 0770", fix: "chmod 0700 /run/user/1000")
        fake.put("/run/user/1000", .directory, 0o700, owner: 1001)
        expect(try fake.finding(.runtimeDirectory), .problem, "owned by uid 1001, expected 1000")
        fake.put("/run/user/1000", .regular, 0o700, owner: 1000)
        expect(try fake.finding(.runtimeDirectory), .problem, "no directory")
        fake.set(["XDG_RUNTIME_DIR": "run"])
        expect(try fake.finding(.runtimeDirectory), .warning, "is ignored: not an absolute path", fix: "unset")
        fake.put("/tmp", nil)
        expect(try fake.finding(.runtimeDirectory), .problem, "there is no /tmp")
    }

    @Test(arguments: [
        (Errno.readOnlyFileSystem, "mount -t tmpfs tmpfs"), (.noSpace, "df -i"), (.permissionDenied, "XDG_RUNTIME_DIR"),
    ])
    func aPlaceWhereNothingCanBeMadeIsAProblem(_ errno: Errno, _ fix: String) throws {
        let root = try FakeHost(user: 0)
        root.host.calls.canWrite = { $0.hasSuffix("/run") ? errno : nil }
        expect(try root.finding(.runtimeDirectory), .problem, "nothing can be made in /run", fix: fix)
        let user = try FakeHost()
        user.host.calls.canWrite = { $0.hasSuffix("/tmp") ? errno : nil }
        expect(try user.finding(.runtimeDirectory), .problem, "nothing can be made in /tmp", fix: fix)
        user.put("/a b", .directory, 0o700, owner: 1000)
        user.host.calls.canWrite = { $0.hasSuffix("/a b") ? errno : nil }
        user.set(["XDG_RUNTIME_DIR": "/a b"])
        expect(try user.finding(.runtimeDirectory), .problem, "nothing can be made in /a b")
        #expect(errno != .noSpace || Doctor.remedyOfRuntimeDirectory(user.host)?.contains("df -h '/a b'") == true)
    }

    @Test func secretsOfKnownServicesInTheEnvironmentAreNamed() throws {
        let fake = try FakeHost()
        expect(EnvironmentChecks.run(fake.host), .ok)
        fake.host.calls.isSet = { ["AWS_ACCESS_KEY_ID", "OPENAI_ORG_ID", "SUPABASE_URL", "HOME"].contains($0) }
        expect(EnvironmentChecks.run(fake.host), .ok)
        fake.host.calls.isSet = { ["OPENAI_API_KEY", "GH_TOKEN"].contains($0) }
        let fix = "credfs import --preset openai,github"
        expect(EnvironmentChecks.run(fake.host), .warning, "reads OPENAI_API_KEY, GH_TOKEN", fix: fix)
    }

    @Test func processesThatAreHiddenAreNoProblem() throws {
        let fake = try FakeHost()
        try fake.write("22 1 0:20 / /proc rw,nosuid - proc proc rw,hidepid=invisible\n", to: "/proc/self/mountinfo")
        expect(try fake.finding(.processes), .ok, "hidepid=invisible: processes of other users")
        try fake.write("22 1 0:20 / /proc rw,nosuid - proc proc rw,hidepid=0\n", to: "/proc/self/mountinfo")
        #expect(try fake.finding(.processes).message == "/proc is mounted")
    }

    @Test func rootHasItsOwn() throws {
        let fake = try FakeHost(user: 0)
        expect(try fake.finding(.runtimeDirectory), .ok, "/run")
        fake.put("/run", .directory, 0o777)
        expect(try fake.finding(.runtimeDirectory), .problem, "by others than root", fix: "set XDG_RUNTIME_DIR")
        fake.put("/run", nil)
        expect(try fake.finding(.runtimeDirectory), .problem, "there is no /run", fix: "mkdir")
        // What sudo -E leaves: a directory whose owner could replace what is in it.
        fake.set(["XDG_RUNTIME_DIR": "/run/user/1000"])
        fake.put("/run/user/1000", .directory, 0o700, owner: 1000)
        expect(try fake.finding(.runtimeDirectory), .problem, "owned by uid 1000", fix: "unset XDG_RUNTIME_DIR")
        for shared in ["/tmp", "/dev/shm", "/run"] {
            fake.set(["XDG_RUNTIME_DIR": shared])
            fake.put(shared, .directory, shared == "/run" ? 0o755 : 0o1777)
            let finding = try fake.finding(.runtimeDirectory)
            #expect(finding.status != .ok && finding.fix == "unset XDG_RUNTIME_DIR", "\(finding)")
        }
    }

    @Test func othersHaveOneInTheTemporaryDirectory() throws {
        let fake = try FakeHost()
        expect(try fake.finding(.runtimeDirectory), .ok, "/tmp/credfs-1000, made when it is needed")
        fake.put("/tmp/credfs-1000", .directory, 0o700, owner: 1000)
        expect(try fake.finding(.runtimeDirectory), .ok, "/tmp/credfs-1000")
        // Somebody was there first.
        fake.put("/tmp/credfs-1000", .directory, 0o700, owner: 1001)
        expect(try fake.finding(.runtimeDirectory), .problem, "owned by uid 1001", fix: "set XDG_RUNTIME_DIR")
        fake.put("/tmp/credfs-1000", .symbolicLink, 0o777, owner: 1001)
        expect(try fake.finding(.runtimeDirectory), .problem, "is not a directory")
        fake.put("/tmp/credfs-1000", nil)
        fake.put("/tmp", .directory, 0o777)
        expect(try fake.finding(.runtimeDirectory), .problem, "not sticky", fix: "set XDG_RUNTIME_DIR")
        fake.put("/tmp", nil)
        expect(try fake.finding(.runtimeDirectory), .problem, "there is no /tmp")
    }

    // MARK: Mounts

    private let table = """
        22 27 0:21 / /proc rw,relatime - proc proc rw
        50 27 0:50 / /run/credfs/a ro,nosuid shared:7 master:1 - fuse.credfs credfs ro,user_id=0
        51 27 0:51 / /tmp/with\\040space\\134n ro - fuse.credfs credfs ro
        52 27 0:52 / /tmp/fuse.credfs ro - fuse.other credfs ro
        53 27 0:53 / /tmp/- - - fuse.credfs credfs ro
        short line
        54 27 0:54 / /tmp/cut ro -

        """

    @Test func mountsOfOursAreFoundByTheirType() throws {
        let fake = try FakeHost()
        #expect(VisibleMounts.paths(fake.host).isEmpty)
        expect(try fake.finding(.staleMounts), .ok, "none left behind")
        try fake.write(table, to: "/proc/self/mountinfo")
        #expect(VisibleMounts.paths(fake.host) == ["/run/credfs/a", "/tmp/with space\\n", "/tmp/-"])
        expect(try fake.finding(.staleMounts), .ok, "all that are seen are served: 3")
    }

    @Test func whatNobodyServesIsToldAndDetached() throws {
        let fake = try FakeHost()
        try fake.write(table, to: "/proc/self/mountinfo")
        let detached = FakeHost.Box<[String]>([])
        fake.host.calls.mountState = { $0 == "/run/credfs/a" && detached.value.isEmpty ? .stale : .unknown }
        fake.host.calls.detach = { path in
            detached.value.append(path)
            return nil
        }
        #expect(VisibleMounts.stalePaths(fake.host) == ["/run/credfs/a"])
        expect(try fake.finding(.staleMounts), .warning, "/run/credfs/a", fix: "credfs doctor --fix")
        let repair = Doctor.repair(fake.host, .nowhere)
        #expect(repair.mounts == ["detached /run/credfs/a"])
        #expect(repair.failures.isEmpty && repair.modes.isEmpty)
        #expect(detached.value == ["/run/credfs/a"])
        #expect(try fake.finding(.staleMounts).status == .ok)
    }

    @Test func aMountThatCannotBeDetachedIsAFailure() throws {
        let fake = try FakeHost()
        try fake.write(table, to: "/proc/self/mountinfo")
        fake.host.calls.mountState = { _ in .stale }
        fake.host.calls.detach = { _ in .notPermitted }
        let repair = Doctor.repair(fake.host, .nowhere)
        #expect(repair.failures.count == 3)
        #expect(repair.failures.first == "cannot detach /run/credfs/a: operation not permitted")
    }

    @Test func aStoppedServerKeepsNobodyWaiting() throws {
        let fake = try FakeHost()
        try fake.write(table, to: "/proc/self/mountinfo")
        fake.host.calls.mountState = { _ in .silent }
        expect(try fake.finding(.staleMounts), .warning, "does not answer", fix: "kill -CONT")
        #expect(VisibleMounts.stalePaths(fake.host).isEmpty)
    }
}

@Suite struct HostProbeTests {
    @Test(
        arguments: [
            ("ok", nil), ("namespace 1", .init(.namespace, .notPermitted)),
            ("privacy 22", .init(.privacy, .invalidArgument)), ("mount 1", .init(.mount, .notPermitted)),
            ("", .init(.start, .ioError)), ("mount much", .init(.mount, .ioError)),
            ("a b c", .init(.start, .ioError)),
        ] as [(String, NamespaceTrial.Failure?)]
    )
    func anAnswerIsReadBack(_ text: String, _ failure: NamespaceTrial.Failure?) {
        let answer = HostProbe.Answer(ProgramOutput(status: 0, bytes: Array(text.utf8)))
        #expect(answer.failure == failure)
    }

    @Test func noAnswerIsSilenceAndAnErrorIsOne() {
        #expect(HostProbe.Answer(nil).state == .silent)
        #expect(HostProbe.Answer(ProgramOutput(status: 0, bytes: Array("ok".utf8))).state == .live)
        #expect(HostProbe.Answer(ProgramOutput(status: 0, bytes: Array("statvfs 107".utf8))).state == .stale)
        #expect(HostProbe.Answer(ProgramOutput(status: 0, bytes: Array("statvfs 13".utf8))).state == .unknown)
        #expect(HostProbe.Answer(ProgramOutput(status: 1, bytes: [])).state == .unknown)
    }

    @Test func whyNobodyCouldBeAskedIsKept() {
        let answer = HostProbe.Answer(unasked: .tooManyOpenFiles)
        #expect(answer.failure == .init(.start, .tooManyOpenFiles))
        #expect(answer.state == .unknown)
    }

    @Test func argumentsThatNobodySendsAreRefused() {
        #expect(HostProbe.main(["credfs", HostProbe.mode]) == 1)
        #expect(HostProbe.main(["credfs", HostProbe.mode, "else", "x"]) == 1)
    }
}
