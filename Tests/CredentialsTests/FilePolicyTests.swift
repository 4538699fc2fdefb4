// SPDX-License-Identifier: Apache-2.0

import Credentials
import Glibc
import SystemCalls
import SystemPackage
import Testing

@Suite struct FilePolicyTests {
    let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
    }

    // MARK: Permissions

    @Test(arguments: [0o400, 0o600, 0o700, 0o500] as [UInt16])
    func acceptsWhatOnlyTheOwnerReaches(mode: UInt16) throws {
        #expect(try Secret(contentsOfFile: directory.write("token", "x", mode: mode)).text == "x")
    }

    @Test(arguments: [0o644, 0o640, 0o604, 0o660, 0o601, 0o610, 0o620, 0o602, 0o440, 0o444, 0o777, 0o4640] as [UInt16])
    func refusesGroupAndOtherBits(mode: UInt16) throws {
        let path = try directory.write("token", "canary", mode: mode)
        let error = loadFailure(.file(path))
        #expect(error?.code == .permissionsTooOpen)
        #expect(error?.mode == mode)
        #expect(error?.expectedMode == 0o600)
        let digits = String(mode, radix: 8)
        let shown = String(repeating: "0", count: 4 - digits.count) + digits
        #expect(error?.description == "file permissions too open: \(path) (mode: \(shown), expected 0600)")
    }

    @Test func theGroupMayReadWhenAllowed() throws {
        let policy = FilePolicy(permissions: .groupReadable)
        for mode in [0o440, 0o640] as [UInt16] {
            let path = try directory.write("readable-\(mode)", "x", mode: mode)
            #expect(try Secret(contentsOfFile: path, policy: policy).text == "x")
        }
        for mode in [0o460, 0o450, 0o444, 0o441] as [UInt16] {
            let error = loadFailure(.file(try directory.write("open-\(mode)", "x", mode: mode)), policy: policy)
            #expect(error?.code == .permissionsTooOpen)
            #expect(error?.expectedMode == 0o640)
        }
    }

    /// An access control list as the kernel has it: tag, rights, id.
    private func setList(_ path: String, _ entries: [(UInt16, UInt16, UInt32)]) throws -> Bool {
        typealias SetAttribute =
            @convention(c) (
                UnsafePointer<CChar>, UnsafePointer<CChar>, UnsafeRawPointer, Int, Int32
            ) -> Int32
        var bytes: [UInt8] = [2, 0, 0, 0]
        for (tag, rights, id) in entries {
            for shift in [0, 8] { bytes.append(UInt8(truncatingIfNeeded: tag >> shift)) }
            for shift in [0, 8] { bytes.append(UInt8(truncatingIfNeeded: rights >> shift)) }
            for shift in [0, 8, 16, 24] as [UInt32] { bytes.append(UInt8(truncatingIfNeeded: id >> shift)) }
        }
        let set = try unsafe #require(unsafe function("setxattr", as: SetAttribute.self))
        return unsafe bytes.withUnsafeBytes { list in
            guard let start = list.baseAddress else { return false }
            return unsafe set(path, "system.posix_acl_access", start, list.count, 0) == 0
        }
    }

    private static let nobody: UInt32 = 0xffff_ffff

    @Test(.enabled(if: isRoot, "gives a file to another user"))
    func aListForUsAloneIsNotTooOpen() throws {
        // As systemd gives a unit's user its credentials: root's file, mode 0440, one entry.
        let path = try directory.write("token", "x", mode: 0o400)
        let us = geteuid()
        let list: [(UInt16, UInt16, UInt32)] = [
            (1, 4, Self.nobody), (2, 4, us), (4, 0, Self.nobody), (0x10, 4, Self.nobody), (0x20, 0, Self.nobody),
        ]
        guard try setList(path, list) else { return }
        var status = stat()
        try call { unsafe stat(path, &status) }
        #expect(status.st_mode & 0o777 == 0o440)
        #expect(try Secret(contentsOfFile: path).text == "x")
    }

    @Test(.enabled(if: isRoot, "writes lists for other users"), arguments: [0, 1, 2, 3])
    func aListForOthersIsTooOpen(which: Int) throws {
        let path = try directory.write("token", "x", mode: 0o400)
        let user: (UInt16, UInt16, UInt32) = (2, 4, which == 0 ? 4711 : geteuid())
        let group: (UInt16, UInt16, UInt32) = (4, which == 1 ? 4 : 0, Self.nobody)
        var list = [(1, 4, Self.nobody), user, group]
        if which == 2 { list.append((8, 4, 4711)) }
        list += [(0x10, 4, Self.nobody), (0x20, which == 3 ? 4 : 0, Self.nobody)]
        guard try setList(path, list) else { return }
        #expect(loadFailure(.file(path))?.code == .permissionsTooOpen)
    }

    @Test(.enabled(if: isRoot, "gives a file to another user"))
    func refusesTheFilesOfOthers() throws {
        let path = try directory.write("token", "x")
        try call { unsafe chown(path, 4711, 4711) }
        let error = loadFailure(.file(path))
        #expect(error?.code == .ownerNotAllowed)
        #expect(error?.description == "file owner not allowed: \(path) (owner: 4711, expected us or root)")
    }

    // MARK: What is not a regular file

    @Test(.timeLimit(.minutes(20))) func aFifoIsRefusedAtOnce() throws {
        try call { unsafe mkfifo(directory("fifo"), 0o600) }
        let error = loadFailure(.file(directory("fifo")))
        #expect(error?.code == .pathNotAllowed)
        #expect(error?.reason == "not a regular file")
    }

    @Test(.timeLimit(.minutes(20))) func aWriterThatWaitsAtAFifoIsNotWoken() throws {
        try call { unsafe mkfifo(directory("fifo"), 0o600) }
        _ = loadFailure(.file(directory("fifo")))
        // ENXIO: nobody has it open for reading, nor had.
        let failure = #expect(throws: Errno.self) {
            _ = try OwnedDescriptor.open(directory("fifo"), O_WRONLY | O_NONBLOCK)
        }
        #expect(failure == .noSuchAddressOrDevice)
    }

    @Test(arguments: ["/dev/zero", "/dev/null", "/dev/tty", "/tmp", "/", "."])
    func devicesAndDirectoriesAreRefused(path: String) {
        #expect(loadFailure(.file(path))?.code == .pathNotAllowed)
    }

    @Test func aSocketIsRefused() throws {
        let socket = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(socket) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let path = directory("socket")
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { bytes in
            for (index, byte) in path.utf8.enumerated() { unsafe bytes[index] = byte }
        }
        let bound = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe bind(socket, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try call { bound }
        try call { unsafe chmod(path, 0o600) }
        #expect(loadFailure(.file(path))?.code == .pathNotAllowed)
    }

    @Test(arguments: ["", "token/", "token/.", "token/x", "token\0.txt", "\0"])
    func senselessPathsAreRefused(name: String) throws {
        try directory.write("token", "x")
        #expect(loadFailure(.file(name.isEmpty ? "" : directory(name)))?.code == .pathNotAllowed)
        #expect(loadFailure(.file(name, within: directory.path))?.code == .pathNotAllowed)
    }

    @Test func pathsCannotForgeASecondLineOfALog() {
        let error = loadFailure(.file("/nowhere/a\nb\u{1b}[31m\u{202e}\u{2028}"))
        #expect(error?.description == "file not found: /nowhere/a\\u{a}b\\u{1b}[31m\\u{202e}\\u{2028}")
    }

    // MARK: Staying inside

    @Test func aLinkIsRefused() throws {
        let path = try directory.write("token", "x")
        try directory.link("absolute", to: path)
        try directory.link("relative", to: "token")
        try directory.link("dangling", to: "absent")
        try directory.link("loop", to: "loop")
        for name in ["absolute", "relative", "dangling", "loop"] {
            let error = loadFailure(.file(directory(name)))
            #expect(error?.code == .pathNotAllowed)
            #expect(error?.reason == "a symbolic link")
        }
    }

    @Test func linksOnTheWayToTheDirectoryAreFollowed() throws {
        try directory.makeDirectory("run")
        try directory.write("run/token", "x")
        try directory.link("var", to: "run")
        #expect(try Secret(contentsOfFile: directory("var/token")).text == "x")
        #expect(try Secret(from: .file("token", within: directory("var"))).text == "x")
        // The same directory by another name.
        #expect(try Secret(from: .file(directory("run/token"), within: directory("var"))).text == "x")
    }

    @Test(.enabled(if: isRoot, "gives a link to another user"))
    func linksOfOthersAreNotFollowed() throws {
        try directory.makeDirectory("run")
        try directory.write("run/token", "x")
        try directory.link("var", to: "run")
        try call { unsafe lchown(directory("var"), 4711, 4711) }
        let error = loadFailure(.file(directory("var/token")))
        #expect(error?.code == .pathNotAllowed)
        #expect(error?.reason == "a symbolic link of another user")
    }

    @Test func endlessLinksEnd() throws {
        try directory.link("a", to: "b/x")
        try directory.link("b", to: "a/x")
        #expect(loadFailure(.file(directory("a/token")))?.reason == "too many symbolic links")
    }

    @Test(arguments: ["../outside", "inner/../../outside", "./../secrets/../outside", "..", "../secrets"])
    func dotsDoNotLeadOut(path: String) throws {
        try directory.makeDirectory("secrets")
        try directory.makeDirectory("secrets/inner")
        try directory.write("outside", "canary")
        let root = directory("secrets")
        #expect(loadFailure(.file(path, within: root))?.code == .pathNotAllowed)
        #expect(loadFailure(.file("\(root)/\(path)", within: root))?.code == .pathNotAllowed)
    }

    @Test(arguments: ["token", "./token", "inner/../token", "../secrets/token", "inner//.././/token"])
    func dotsMayStayInside(path: String) throws {
        try directory.makeDirectory("secrets")
        try directory.makeDirectory("secrets/inner")
        try directory.write("secrets/token", "x")
        let root = directory("secrets")
        #expect(try Secret(from: .file(path, within: root)).text == "x")
        #expect(try Secret(from: .file("\(root)/\(path)", within: root)).text == "x")
    }

    @Test func anAbsolutePathElsewhereIsRefused() throws {
        try directory.makeDirectory("secrets")
        let path = try directory.write("outside", "x")
        let error = loadFailure(.file(path, within: directory("secrets")))
        #expect(error?.code == .pathNotAllowed)
        #expect(error?.reason == "outside its directory")
        // A name that only begins like the directory's.
        try directory.makeDirectory("secrets-too")
        let similar = try directory.write("secrets-too/token", "x")
        #expect(loadFailure(.file(similar, within: directory("secrets")))?.code == .pathNotAllowed)
    }

    @Test func directoriesThatAreLinksInsideAreRefused() throws {
        try directory.makeDirectory("secrets")
        try directory.makeDirectory("outside")
        try directory.write("outside/token", "canary")
        try directory.link("secrets/inner", to: "../outside")
        #expect(loadFailure(.file("inner/token", within: directory("secrets")))?.reason == "a symbolic link")
    }

    @Test func aSlashWithACombiningMarkIsStillASlash() throws {
        // One character to Swift, a separator to the kernel: a link behind it must not go unseen.
        try directory.makeDirectory("secrets")
        try directory.write("outside", "canary")
        try directory.makeDirectory("secrets/\u{301}x")
        try directory.link("secrets/\u{301}x/token", to: directory("outside"))
        #expect(loadFailure(.file("\u{301}x/token", within: directory("secrets")))?.reason == "a symbolic link")
        #expect(loadFailure(.file("y/\u{301}x", within: directory("secrets")))?.code == .fileNotFound)
        try directory.link("secrets/y", to: directory.path)
        #expect(loadFailure(.file("y/\u{301}x", within: directory("secrets")))?.reason == "a symbolic link")
    }

    @Test func relativePathsBeginAtTheWorkingDirectory() throws {
        // Far enough up is the root directory.
        let relative = String(repeating: "../", count: 60) + directory.path.dropFirst() + "/token"
        try directory.write("token", "x")
        #expect(try Secret(contentsOfFile: relative).text == "x")
    }

    @Test func aFileSwappedForALinkIsNeverFollowed() throws {
        try directory.makeDirectory("secrets")
        try directory.write("outside", "canary")
        try directory.write("secrets/token", "good")
        var good = 0
        var refused = 0
        try whileRepeating {
            unsafe symlink("../outside", directory("secrets/next"))
            unsafe rename(directory("secrets/next"), directory("secrets/token"))
            try directory.write("secrets/next", "good")
            unsafe rename(directory("secrets/next"), directory("secrets/token"))
        } _: {
            // Until both have been seen often, however the threads are scheduled.
            while good < 1000 || refused < 1000 {
                do throws(CredentialsError) {
                    let secret = try Secret(from: .file("token", within: directory("secrets")))
                    #expect(secret.text == "good")
                    good += 1
                } catch {
                    try #require(error.code == .pathNotAllowed)
                    refused += 1
                }
            }
        }
    }

    @Test func anotherNameOfTheSameFileIsAFile() throws {
        let path = try directory.write("token", "x")
        try call { unsafe link(path, directory("hard")) }
        #expect(try Secret(contentsOfFile: directory("hard")).text == "x")
    }
}
