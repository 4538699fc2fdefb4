// SPDX-License-Identifier: Apache-2.0

import HostChecks
import ProcessControl
import SystemCalls
import SystemPackage
import Testing

@Suite struct MountChecksTests {
    @Test func aHealthyHostHasNothingToMend() throws {
        let user = try FakeHost()
        #expect(user.mounting.allSatisfy { $0.status == .ok })
        #expect(user.facts.isolation == .user)
        let root = try FakeHost(user: 0)
        #expect(root.mounting.allSatisfy { $0.status == .ok })
        #expect(root.facts.isolation == .mount)
        expect(try root.finding(.helper), .ok, "not needed with CAP_SYS_ADMIN")
    }

    // MARK: The device

    @Test func aMissingDeviceIsAProblemWithTheWayThatFits() throws {
        let fake = try FakeHost()
        fake.put("/dev/fuse", nil)
        expect(try fake.finding(.fuseDevice), .problem, "there is no /dev/fuse", fix: "sudo mknod -m 0666 /dev/fuse")
        try fake.write("nodev\ttmpfs\n\text4\n\tfuseblk\n", to: "/proc/filesystems")
        expect(try fake.finding(.fuseDevice), .problem, fix: "load the module: sudo modprobe fuse")
        expect(try fake.finding(.isolation), .problem, "there is no /dev/fuse", fix: "modprobe fuse")
        fake.put("/.dockerenv", .regular)
        // What works already is not asked for.
        try fake.write("docker-default (enforce)\n", to: "/proc/self/attr/current")
        expect(try fake.finding(.fuseDevice), .problem, fix: "docker run --device /dev/fuse; or")
        fake.refuseNamespaces()
        let fix = "docker run --device /dev/fuse --cap-add SYS_ADMIN"
        expect(try fake.finding(.fuseDevice), .problem, fix: "\(fix) --security-opt apparmor=unconfined")
        try fake.write("unconfined\n", to: "/proc/self/attr/current")
        expect(try fake.finding(.fuseDevice), .problem, fix: "\(fix); or")
        // The package mends nothing there.
        fake.put("/usr/bin/fusermount3", nil)
        expect(try fake.finding(.helper), .ok, "it would need /dev/fuse, too")
        #expect(!fake.mounting.contains { $0.fix?.contains("apt-get") == true })
    }

    @Test func aContainerIsAskedForRightsOnlyWhereTheDeviceIsThere() throws {
        let fake = try FakeHost()
        fake.put("/run/.containerenv", .regular)
        fake.refuseNamespaces()
        try fake.status(capabilities: 0, bounding: 0xa804_25fb)
        expect(try fake.finding(.isolation), .problem, fix: "podman run --cap-add SYS_ADMIN; or")
        fake.put("/usr/bin/fusermount3", nil)
        expect(try fake.finding(.helper), .warning, "could have no rights", fix: "podman run --cap-add SYS_ADMIN")
    }

    @Test func behindChrootRootSharesItsMounts() throws {
        let fake = try FakeHost(user: 0)
        fake.put("/usr/bin/fusermount3", nil)
        fake.host.calls.namespaces = {
            $0 ? .init(.namespace, .notPermitted) : .init(.privacy, .invalidArgument)
        }
        expect(try fake.finding(.isolation), .warning, "none: 'run' gets a shared mount", fix: "mount --bind DIR DIR")
        #expect(MountAdvice(fake.facts, way: .shared) == nil)
        // Where mount(2) itself is refused, nothing can be shared either.
        fake.refuseNamespaces(.mount, .permissionDenied)
        expect(try fake.finding(.isolation), .problem, "mounting failed", fix: "dmesg")
    }

    @Test func withoutProcNobodyBlamesTheKernel() throws {
        let fake = try FakeHost(user: 0)
        for path in ["/proc/self/ns", "/proc/self/ns/user"] { fake.put(path, nil) }
        fake.put("/dev/fuse", nil)
        try fake.write("", to: "/proc/filesystems")
        fake.refuseNamespaces(.start, .noSuchFileOrDirectory)
        expect(try fake.finding(.fuseDevice), .problem, fix: "mknod")
        expect(try fake.finding(.isolation), .problem, "'run' and 'mount' need /proc", fix: "mount -t proc proc /proc")
        expect(try fake.finding(.processes), .problem, "/proc is not mounted", fix: "mount -t proc proc /proc")
        let unknown: [Finding.Check] = [
            .helper, .capability, .userNamespaces, .lockedMemory, .swap, .corePattern, .staleMounts,
        ]
        for check in unknown {
            expect(try fake.finding(check), .warning, "cannot be told", fix: "mount -t proc proc /proc")
        }
    }

    @Test func aNodeWithoutADriverIsNoDevice() throws {
        let fake = try FakeHost()
        for errno in [Errno.noSuchAddressOrDevice, .operationNotSupportedByDevice] {
            fake.host.calls.openDevice = { errno }
            expect(try fake.finding(.fuseDevice), .problem, "there is no /dev/fuse")
        }
        fake.put("/dev/fuse", .regular)
        expect(try fake.finding(.fuseDevice), .problem, "not a device", fix: "sudo rm /dev/fuse")
    }

    @Test func aDeviceThatMayNotBeOpenedNamesTheRemedy() throws {
        let fake = try FakeHost()
        fake.host.calls.openDevice = { .permissionDenied }
        expect(try fake.finding(.fuseDevice), .problem, "permission denied", fix: "sudo chmod 0666 /dev/fuse")
        // The device is what is missing, not the namespaces.
        expect(try fake.finding(.isolation), .problem, "/dev/fuse cannot be opened", fix: "--backend ramfs")
        // In a container the list of devices refuses it, whatever the mode.
        fake.host.calls.openDevice = { .notPermitted }
        fake.put("/run/.containerenv", .regular)
        expect(try fake.finding(.fuseDevice), .problem, "not permitted", fix: "podman run --device /dev/fuse; or")
    }

    // MARK: fusermount3

    @Test func theHelperIsFoundWhereItIsRunFrom() throws {
        let fake = try FakeHost()
        expect(try fake.finding(.helper), .ok, "--allow-other is not allowed")
        try fake.write("# user_allow_other\n  user_allow_other \n", to: "/etc/fuse.conf")
        expect(try fake.finding(.helper), .ok, "--allow-other is allowed")
        // Not in PATH: whoever mounts does not look there either.
        fake.put("/usr/bin/fusermount3", nil)
        fake.put("/opt/bin/fusermount3", .regular, 0o4755)
        fake.set(["PATH": "/opt/bin"])
        expect(try fake.finding(.helper), .warning, "there is no fusermount3", fix: "sudo apt-get install fuse3")
        fake.put("/usr/local/bin/fusermount3", .regular, 0o4755)
        expect(try fake.finding(.helper), .ok, "/usr/local/bin/fusermount3")
    }

    @Test func aHelperWithoutPowerIsAWarning() throws {
        for (mode, owner) in [(UInt16(0o755), UInt32(0)), (0o4755, 7)] {
            let fake = try FakeHost()
            fake.put("/usr/bin/fusermount3", .regular, mode, owner: owner)
            expect(try fake.finding(.helper), .warning, "not setuid root", fix: "sudo chmod 4755 /usr/bin/fusermount3")
        }
        let fake = try FakeHost()
        try fake.write("         0          0 4294967295\n", to: "/proc/self/uid_map")
        fake.put("/usr/bin/fusermount3", .regular, 0o4755, owner: 65534)
        expect(try fake.finding(.helper), .warning, "not setuid root", fix: "chmod 4755")
        // Root is nobody in the namespace of another user.
        try fake.write("      1000       1000          1\n", to: "/proc/self/uid_map")
        expect(try fake.finding(.helper), .warning, "no power in this user namespace", fix: "--shared")
        fake.put("/usr/bin/fusermount3", .regular, 0o4755)
        try fake.status(capabilities: 0, noNewPrivileges: true)
        expect(try fake.finding(.helper), .warning, "no_new_privs", fix: "NoNewPrivileges=no")
        // In a container without the capability being setuid gives nothing.
        try fake.status(capabilities: 0, bounding: 0xa804_25fb)
        expect(try fake.finding(.helper), .warning, "cannot have CAP_SYS_ADMIN", fix: "CapabilityBoundingSet")
        fake.put("/.dockerenv", .regular)
        expect(try fake.finding(.helper), .warning, fix: "docker run --cap-add SYS_ADMIN")
        fake.refuseNamespaces()
        #expect(fake.facts.isolation == nil)
        let root = try FakeHost(user: 0)
        root.put("/usr/bin/fusermount3", nil)
        expect(try root.finding(.helper), .ok, "not needed with CAP_SYS_ADMIN")
    }

    // MARK: Namespaces

    @Test(arguments: [
        ("/proc/sys/user/max_user_namespaces", "0\n", "sudo sysctl -w user.max_user_namespaces=15000"),
        ("/proc/sys/kernel/unprivileged_userns_clone", "0\n", "sysctl -w kernel.unprivileged_userns_clone=1"),
        (
            "/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n",
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
        ),
        ("/proc/sys/user/max_user_namespaces", "15000\n", "dmesg"),
    ])
    func whatRestrictsUserNamespacesIsNamed(_ path: String, _ text: String, _ fix: String) throws {
        let fake = try FakeHost()
        try fake.write(text, to: path)
        // The trial is the truth: a switch that does not matter is not reported.
        expect(try fake.finding(.userNamespaces), .ok)
        fake.refuseNamespaces()
        expect(
            try fake.finding(.userNamespaces),
            .warning,
            "making the namespace failed: operation not permitted",
            fix: fix
        )
        expect(try fake.finding(.isolation), .warning, "none: 'run' gets a shared mount", fix: fix)
        // Without fusermount3 nothing is left.
        fake.put("/usr/bin/fusermount3", nil)
        expect(try fake.finding(.isolation), .problem, "no namespace to mount in", fix: fix)
        expect(try fake.finding(.isolation), .problem, fix: "--backend shm")
    }

    @Test func aKernelWithoutUserNamespacesNeedsTheHelper() throws {
        let fake = try FakeHost()
        fake.put("/proc/self/ns/user", nil)
        fake.refuseNamespaces(.namespace, .invalidArgument)
        expect(try fake.finding(.userNamespaces), .warning, "invalid argument", fix: "only another kernel")
        fake.put("/usr/bin/fusermount3", nil)
        expect(try fake.finding(.userNamespaces), .warning, "invalid argument", fix: "apt-get install fuse3")
    }

    @Test func everyStepOfTheTrialIsNamed() throws {
        let words = [
            "trying it failed", "making the namespace failed", "making mounts private failed", "mounting failed",
        ]
        for (step, word) in zip(NamespaceTrial.Step.allCases, words) {
            let fake = try FakeHost()
            fake.refuseNamespaces(step, .permissionDenied)
            expect(try fake.finding(.userNamespaces), .warning, "\(word): permission denied")
        }
    }

    @Test func aTrialThatCouldNotBeMadeBlamesNobody() throws {
        for user in [UInt32(0), 1000] {
            let fake = try FakeHost(user: user)
            fake.put("/.dockerenv", .regular)
            fake.refuseNamespaces(.start, .tooManyOpenFiles)
            let findings = fake.mounting.filter { $0.status == .warning }
            #expect(!findings.isEmpty)
            for finding in findings { expect(finding, .warning, fix: "ulimit -n") }
        }
    }

    @Test func rootWithoutItsCapabilityUsesAUserNamespace() throws {
        let fake = try FakeHost(user: 0)
        try fake.status(capabilities: 0)
        expect(try fake.finding(.capability), .ok, "root can mount in a user namespace only")
        #expect(fake.facts.isolation == .user)
        fake.refuseNamespaces()
        fake.put("/.dockerenv", .regular)
        fake.put("/usr/bin/fusermount3", nil)
        expect(try fake.finding(.isolation), .problem, fix: "docker run --cap-add SYS_ADMIN")
    }

    @Test func aCapabilityThatSomethingElseBlocksIsAWarning() throws {
        let fake = try FakeHost(user: 0)
        fake.host.calls.namespaces = { $0 ? nil : NamespaceTrial.Failure(.mount, .permissionDenied) }
        expect(try fake.finding(.capability), .warning, "mounting failed: permission denied", fix: "dmesg")
        #expect(fake.facts.isolation == .user)
        // Without any trouble of its own root does not care for user namespaces.
        fake.host.calls.namespaces = { $0 ? NamespaceTrial.Failure(.namespace, .notPermitted) : nil }
        expect(try fake.finding(.userNamespaces), .ok, "not needed with CAP_SYS_ADMIN")
    }

    @Test func whatAUserNamespaceBreaksIsSaid() throws {
        let fake = try FakeHost()
        expect(try fake.finding(.isolation), .ok, "sudo", fix: "run --shared")
        #expect(try !fake.finding(.isolation).message.contains("this host has"))
        try fake.write("Host *\nInclude /etc/ssh/ssh_config.d/*.conf\n", to: "/etc/ssh/ssh_config")
        fake.put("/etc/ssh/ssh_config.d", .directory, 0o755)
        expect(try fake.finding(.isolation), .ok, "this host has that directory")
    }
}

@Suite struct MountAdviceTests {
    @Test func everyObstacleHasAMessageAndAHint() throws {
        let obstacles: [MountAdvice.Obstacle] = [
            .device(.noSuchFileOrDirectory), .device(.permissionDenied), .device(.notPermitted), .mount(.notPermitted),
            .namespace(.init(.namespace, .notPermitted)), .namespace(.init(.mount, .permissionDenied)), .helper,
        ]
        for user in [UInt32(0), 1000] {
            for container in [nil, "docker", "podman", "lxc", "wsl"] {
                let fake = try FakeHost(user: user)
                if let container { fake.set(["container": container]) }
                fake.refuseNamespaces()
                for obstacle in obstacles {
                    let advice = MountAdvice(obstacle, on: fake.facts)
                    #expect(advice.message.first?.isUppercase == false)
                    #expect(advice.message.last != "." && advice.hint.last != ".")
                    #expect(advice.hint.contains("--backend"), "\(advice)")
                    #expect(user != 0 || !advice.hint.contains("sudo "), "\(advice)")
                }
            }
        }
    }

    @Test(arguments: [
        (["container": "docker"], "docker run --device /dev/fuse"), (["container": "podman"], "podman run"),
        (["container": "lxc-libvirt"], "lxc.mount.entry"), (["container": "other"], "start the container with"),
        (["KUBERNETES_SERVICE_HOST": "10.0.0.1"], "give the pod /dev/fuse"),
    ])
    func theRemedyFitsTheContainer(_ variables: [String: String], _ hint: String) throws {
        let fake = try FakeHost(user: 0)
        fake.set(variables)
        fake.put("/dev/fuse", nil)
        #expect(MountAdvice(fake.facts)?.hint.contains(hint) == true)
    }

    @Test func systemdTellsOfTheContainerInAFile() throws {
        let fake = try FakeHost()
        #expect(Container(fake.host) == nil)
        try fake.write("lxc\n", to: "/run/systemd/container")
        #expect(Container(fake.host) == .lxc)
    }

    @Test func theWeakerBackendIsOneThatWouldWork() throws {
        let fake = try FakeHost()
        fake.put("/dev/fuse", nil)
        #expect(MountAdvice(fake.facts)?.hint.hasSuffix("--backend ramfs") == true)
        fake.refuseNamespaces()
        #expect(MountAdvice(fake.facts)?.hint.hasSuffix("--backend shm") == true)
    }

    @Test func whatWasTriedIsNotAdvised() throws {
        let fake = try FakeHost()
        fake.put("/dev/fuse", nil)
        fake.refuseNamespaces()
        // The device has nothing to do with files in memory.
        let memory = MountAdvice(fake.facts, way: .memory)
        #expect(memory?.message.contains("namespace") == true && memory?.hint.contains("--backend shm") == true)
        #expect(memory?.hint.contains("/dev/fuse") == false && memory?.hint.contains("ramfs") == false)
        #expect(MountAdvice(fake.facts, way: .files) == nil)
    }

    @Test func aSharedMountNeedsWhatFusermountNeeds() throws {
        let fake = try FakeHost()
        try fake.status(capabilities: 0, noNewPrivileges: true)
        #expect(MountAdvice(fake.facts) == nil)
        let advice = MountAdvice(fake.facts, way: .shared)
        #expect(advice?.message.contains("no_new_privs") == true)
        for words in ["NoNewPrivileges=no", "run without --shared"] {
            #expect(advice?.hint.contains(words) == true)
        }
    }

    @Test func aHostThatCanMountNeedsNoAdvice() throws {
        #expect(MountAdvice(try FakeHost().facts) == nil)
        #expect(MountAdvice(try FakeHost(user: 0).facts) == nil)
    }
}
