// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import SecretFileSystem
import SystemCalls
import Testing

@Suite struct IdentityTests {
    static let memberships: [(String, String?, String?)] = [
        ("0::/system.slice/deploy.service\n", "deploy.service", nil),
        ("0::/system.slice/system-getty.slice/getty@tty1.service\n", "getty@tty1.service", nil),
        ("0::/user.slice/user-1000.slice/session-3.scope\n", "session-3.scope", nil),
        (
            "0::/user.slice/user-1000.slice/user@1000.service/app.slice/editor.service\n",
            "user@1000.service/editor.service", nil
        ),
        // A user can make these; the unit of the system is further out.
        ("0::/user.slice/user-1000.slice/session-3.scope/deploy.service\n", "session-3.scope", nil),
        ("0::/\n", nil, nil), ("", nil, nil), ("0::/../../other\n", nil, nil),
        ("1:name=systemd:/system.slice/old.service\n0::/\n", "old.service", nil),
        ("12:pids:/x.service\n1:name=systemd:/y.service\n", "y.service", nil),
    ]

    @Test(arguments: memberships)
    func aUnitIsReadOutOfTheControlGroup(text: String, unit: String?, container: String?) {
        let group = ControlGroup(membership: text)
        #expect(group.unit == unit)
        #expect(group.container == container)
    }

    @Test(arguments: [
        "/docker/ID", "/system.slice/docker-ID.scope", "/machine.slice/libpod-ID.scope/container",
        "/kubepods.slice/kubepods-burstable.slice/kubepods-pod1.slice/cri-containerd-ID.scope",
        "/kubepods/burstable/pod1/ID",
    ])
    func aContainerIsReadOutOfTheControlGroup(path: String) {
        let identifier = String(repeating: "0a", count: 32)
        let group = ControlGroup(membership: "0::\(path.replacing("ID", with: identifier))\n")
        #expect(group.container == identifier)
    }

    @Test func aNameCanHoldWhatEndsAName() throws {
        let fields = ["S", "7"] + (5...21).map(String.init) + ["99", "23"]
        let stat = try #require(ProcessStat("12 (a) b (c\n) \(fields.joined(separator: " "))"))
        #expect(stat.name == "a) b (c\n")
        #expect(stat.parent == 7)
        #expect(stat.startTime == 99)
        #expect(ProcessStat("12 (a) S 7") == nil)
        #expect(ProcessStat("") == nil)
    }

    @Test func aProcessIsWhatTheKernelSays() throws {
        let me = getpid()
        let identity = ProcessIdentity.of(me)
        let path = try #require(identity.executable?.path)
        let status = try FileStatus.ofPath(path, followingLink: true)
        #expect(identity.executable?.device == status.device && identity.executable?.inode == status.inode)
        #expect(identity.startTime == ProcessStat.of(me)?.startTime)
        #expect(identity.ancestors.first == ProcessAttributes.executable(of: getppid()))
        #expect(identity.claims.argument == CommandLine.arguments[0].prefix(256).description)
    }

    @Test func aUserHasTheNameOfTheFile() {
        let file = "root:x:0:0:root:/root:/bin/bash\nbad\n::\nci:x:1000:1000::/home/ci:/bin/sh\n"
        #expect(UserDatabase.name(of: 0, in: file) == "root")
        #expect(UserDatabase.name(of: 1000, in: file) == "ci")
        #expect(UserDatabase.name(of: 1, in: file) == nil)
    }

    @Test func aThreadIsOfItsProcess() throws {
        let cache = IdentityCache()
        let threads = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/task").compactMap { Int32($0) }
        #expect(threads.count > 1)
        for thread in threads { #expect([0, getpid()].contains(cache.identity(of: thread).process)) }
        #expect(cache.identity(of: getpid()) == cache.identity(of: getpid()))
    }

    @Test func whoCannotBeSeenHasNoIdentity() {
        for thread in [0, -1, Int32.max] { #expect(IdentityCache().identity(of: thread).process == 0) }
        #expect(ProcessIdentity.of(0).executable == nil)
    }
}
