// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import FuseBridge
import Glibc
import SecretFileSystem
import SecretStore
import Synchronization
import SystemPackage
import Testing

import class SystemCalls.OwnThread

/// Real mounts, one at a time: most tests measure or count something of the machine.
@Suite(.serialized, .enabled(if: canMount, "needs root and /dev/fuse"), .timeLimit(.minutes(20)))
struct MountTests {}

// SystemCalls has a type of the same name.
typealias Program = ChildProcess

extension MountTests {
    @Suite(.serialized) struct Reading {
        @Test func ordinaryProgramsReadEveryByte() async throws {
            let small = pattern(4097)
            let large = pattern(1 << 20, salt: 5)
            let fixture = try MountedFixture(["small": small, "large": large, "empty": []])
            let copies = try TemporaryDirectory()
            for (name, bytes) in [("small", small), ("large", large), ("empty", [])] {
                #expect(try await fixture.mount.shell("cat \(name)").standardOutput == bytes)
                let copy = try copies.write(bytes, to: name)
                #expect(try await fixture.mount.shell("cmp \(name) \(copy)").status == .exited(0))
            }
            for (blockSize, skip, count) in [(1, 4096, 5), (7, 13, 3), (4095, 1, 2), (300_000, 1, 2), (1 << 20, 0, 2)] {
                let script = "dd if=large bs=\(blockSize) skip=\(skip) count=\(count) status=none"
                let wanted = large.dropFirst(blockSize * skip).prefix(blockSize * count)
                #expect(try await fixture.mount.shell(script).standardOutput == Array(wanted))
            }
            for count in [0, 1, 17, 4096, 5000] {
                let outcome = try await fixture.mount.shell("tail -c \(count) small")
                #expect(outcome.standardOutput == Array(small.suffix(count)))
            }
            #expect(try await fixture.mount.shell("tar cf - . | tar xOf - ./large").standardOutput == large)
            let sparse = try await fixture.mount.shell("cp --sparse=always large \(copies.path("copy"))")
            #expect(sparse.status == .exited(0))
            #expect(try copies.read("copy") == large)
        }

        @Test func everyOffsetAndLengthAtTheBoundaries() async throws {
            let bytes = pattern(40)
            let fixture = try MountedFixture(["s": bytes])
            let outcome = try await fixture.mount.python(
                """
                wanted = bytes([\(bytes.map { String($0) }.joined(separator: ","))])
                descriptor = os.open("s", os.O_RDONLY)
                for start in range(43):
                    for count in range(1, 45):
                        assert os.pread(descriptor, count, start) == wanted[start:start + count], (start, count)
                """
            )
            #expect(outcome.status == .exited(0), "\(outcome.errorText)")
        }

        @Test func nothingStaysInTheBuffers() async throws {
            let fixture = try MountedFixture(["large": pattern(1 << 20, salt: 1), "small": pattern(64, salt: 1)])
            #expect(try await fixture.mount.shell("cat large small large small | wc -c").outputText == "2097280\n")
            // The kernel lets the reader go on before the worker has wiped.
            fixture.mount.unmount()
            fixture.mount.session.stop()
            #expect(fixture.buffers.areWiped)
        }

        @Test func privateMappingsHoldTheContentAndSharedOnesAreRefused() async throws {
            let fixture = try MountedFixture(["s": pattern(10000)])
            let outcome = try await fixture.mount.python(
                """
                import mmap
                descriptor = os.open("s", os.O_RDONLY)
                with mmap.mmap(descriptor, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ) as mapping:
                    assert mapping[:] == os.pread(descriptor, 20000, 0)
                try:
                    mmap.mmap(descriptor, 0, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)
                except OSError as error:
                    print(error.errno)
                """
            )
            #expect(outcome.outputText == "19\n", "\(outcome.errorText)")
        }

        @Test func theLayoutIsThatOfTheContract() async throws {
            let fixture = try MountedFixture(["a": [1, 2, 3], "group-b": [], "with space": pattern(5000)])
            let outcome = try await fixture.mount.shell(
                "stat --printf '%n %F %a %h %u:%g %s %Y\\n' . * && ls -A && find . -type f | sort | wc -l"
            )
            #expect(
                outcome.outputText == """
                    . directory 500 2 0:0 0 1700000000
                    a regular file 400 1 0:0 3 1700000003
                    group-b regular empty file 440 1 0:0 0 1700000000
                    with space regular file 400 1 0:0 5000 1700005000
                    a
                    group-b
                    with space
                    3

                    """
            )
            #expect(try await fixture.mount.shell("ls -l | tail -n +2 | cut -c1-10 | uniq -c").status == .exited(0))
            let kinds = try await fixture.mount.python(
                "for entry in os.scandir('.'): print(entry.is_file(follow_symlinks=False), entry.inode() > 1)"
            )
            #expect(kinds.outputText == String(repeating: "True True\n", count: 3))
            let mounts = try await ChildProcess.run("/bin/cat", ["/proc/self/mounts"]).outputText
            let line = try #require(mounts.split(separator: "\n").first { $0.contains(fixture.mount.name) })
            for option in ["fuse.credfs", "ro,", "nosuid", "nodev", "noexec", "default_permissions", "max_read=131072"]
            {
                #expect(line.contains(option), "\(option)")
            }
            let statistics = try await fixture.mount.shell("stat --file-system --printf '%l %b %f %c %d' .")
            #expect(statistics.outputText == "255 0 0 0 0")
            // What has no blocks is not listed, so nobody is told that it is full.
            // Its status also tells of mounts that other tests break.
            let listed = try await ChildProcess.run("/bin/df", []).outputText
            #expect(listed.contains("Filesystem") && !listed.contains(fixture.mount.name))
        }

        @Test func listingsAreCompleteWithSmallBuffers() async throws {
            let names = (0..<300).map { "name-\($0)-" + String(repeating: "x", count: $0 % 200) }
            let fixture = try MountedFixture(Dictionary(uniqueKeysWithValues: names.map { ($0, [1]) }))
            let wanted = names.sorted().joined(separator: "\n") + "\n"
            #expect(try await fixture.mount.shell("LC_ALL=C ls -1U | LC_ALL=C sort").outputText == wanted)
            // Large enough for one or two of the longest entries.
            let outcome = try await fixture.mount.python(
                """
                import ctypes
                libc = ctypes.CDLL(None, use_errno=True)
                descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
                buffer = ctypes.create_string_buffer(600)
                names = []
                while True:
                    count = libc.syscall(217 if os.uname().machine == "x86_64" else 61, descriptor, buffer, 600)
                    assert count >= 0, ctypes.get_errno()
                    if count == 0: break
                    offset = 0
                    while offset < count:
                        size = int.from_bytes(buffer.raw[offset + 16:offset + 18], "little")
                        names.append(buffer.raw[offset + 19:offset + size].split(b"\\0")[0].decode())
                        offset += size
                print("\\n".join(sorted(set(names) - {".", ".."})))
                assert len(names) == 302
                """
            )
            #expect(outcome.outputText == wanted, "\(outcome.errorText)")
        }

        @Test func sixtyFourReadersAtOnce() async throws {
            let bytes = pattern(70000)
            let fixture = try MountedFixture(["s": bytes, "t": pattern(64)])
            let outcome = try await fixture.mount.python(
                """
                import threading
                wanted = open("s", "rb").read()
                failures = []
                def work():
                    for _ in range(30):
                        if open("s", "rb").read() != wanted or len(open("t", "rb").read()) != 64: failures.append(1)
                threads = [threading.Thread(target=work) for _ in range(64)]
                for thread in threads: thread.start()
                for thread in threads: thread.join()
                assert not failures
                sys.stdout.buffer.write(wanted)
                """
            )
            #expect(outcome.standardOutput == bytes, "\(outcome.errorText)")
            #expect(fixture.mount.session.counts.failedReplies == 0)
            try await expectNoHandles(fixture)
        }

        // The kernel sends releases without anybody waiting for them.
        private func expectNoHandles(_ fixture: MountedFixture) async throws {
            for _ in 0..<200 where fixture.mount.session.counts.handles > 0 {
                try await Task.sleep(for: .milliseconds(10))
            }
            #expect(fixture.mount.session.counts.handles == 0)
        }
    }

    @Suite(.serialized) struct Refusing {
        @Test func everyChangeIsRefusedWithItsError() async throws {
            let fixture = try MountedFixture(["s": [1, 2, 3]])
            let outcome = try await fixture.mount.python(
                """
                import errno
                def refused(name, call):
                    try:
                        call()
                        print(name, "succeeded")
                    except OSError as error:
                        print(name, errno.errorcode[error.errno].replace("EOPNOTSUPP", "ENOTSUP"))
                refused("write", lambda: os.open("s", os.O_WRONLY))
                refused("both", lambda: os.open("s", os.O_RDWR))
                refused("append", lambda: os.open("s", os.O_WRONLY | os.O_APPEND))
                refused("truncate", lambda: os.open("s", os.O_RDONLY | os.O_TRUNC))
                refused("size", lambda: os.truncate("s", 0))
                refused("create", lambda: os.open("new", os.O_WRONLY | os.O_CREAT))
                refused("chmod", lambda: os.chmod("s", 0o777))
                refused("chown", lambda: os.chown("s", 1, 1))
                refused("utime", lambda: os.utime("s"))
                refused("rename", lambda: os.rename("s", "t"))
                refused("unlink", lambda: os.unlink("s"))
                refused("mkdir", lambda: os.mkdir("d"))
                refused("rmdir", lambda: os.rmdir("d"))
                refused("mknod", lambda: os.mknod("n"))
                refused("symlink", lambda: os.symlink("s", "l"))
                refused("link", lambda: os.link("s", "l"))
                refused("setxattr", lambda: os.setxattr("s", "user.x", b"1"))
                refused("getxattr", lambda: os.getxattr("s", "user.x"))
                refused("execute", lambda: os.execv("./s", ["s"]))
                refused("missing", lambda: os.open("missing", os.O_RDONLY))
                refused("below", lambda: os.open("s/below", os.O_RDONLY))
                refused("directory", lambda: os.open(".", os.O_WRONLY))
                import fcntl
                refused("ioctl", lambda: fcntl.ioctl(os.open("s", os.O_RDONLY), 0x5401, bytes(64)))
                """
            )
            #expect(
                outcome.outputText == """
                    write EROFS
                    both EROFS
                    append EROFS
                    truncate EROFS
                    size EROFS
                    create EROFS
                    chmod EROFS
                    chown EROFS
                    utime EROFS
                    rename EROFS
                    unlink EROFS
                    mkdir EROFS
                    rmdir EROFS
                    mknod EROFS
                    symlink EROFS
                    link EROFS
                    setxattr EROFS
                    getxattr ENOTSUP
                    execute EACCES
                    missing ENOENT
                    below ENOTDIR
                    directory EISDIR
                    ioctl ENOTTY

                    """,
                "\(outcome.errorText)"
            )
        }

        @Test(arguments: [false, true]) func anotherUserMayNotRead(allowOther: Bool) async throws {
            let fixture = try MountedFixture(["s": [1]], policy: owner(0), allowOther: allowOther)
            let program = """
                descriptor = os.open(".", os.O_PATH); os.setgroups([]); os.setgid(65534); os.setuid(65534)
                for name in ["s", "."]:
                    try:
                        os.open(name, os.O_RDONLY, dir_fd=descriptor)
                        print("opened")
                    except OSError as error:
                        print(error.errno)
                """
            let outcome = try await fixture.mount.python(program)
            #expect(outcome.outputText == "13\n13\n", "\(outcome.errorText)")
            #expect(try await fixture.mount.shell("cat s").standardOutput == [1])
        }

        private func owner(_ user: UInt32) -> AllowOwner { AllowOwner(Ownership(user: user, group: user)) { _ in nil } }

        @Test func rootIsRefusedWhereItIsNotTheOwner() async throws {
            let fixture = try MountedFixture(["s": [1]], policy: owner(65534), allowOther: true)
            let outcome = try await fixture.mount.shell("cat s")
            #expect(outcome.standardOutput == [] && outcome.errorText.contains("Permission denied"))
        }
    }

    @Suite(.serialized) struct Changing {
        /// Readers that run while generations come and go see one or another, never a mixture.
        @Test func readersNeverSeeAMixture() async throws {
            let versions = (0..<4).map { [UInt8](repeating: UInt8($0 + 1), count: 200_000 + $0 * 30_000) }
            let fixture = try MountedFixture(["s": versions[0]])
            let sizes = versions.map { String($0.count) }.joined(separator: ",")
            let reader = try Program.Running(
                "/usr/bin/env",
                [
                    "python3", "-I", "-c",
                    """
                    import sys, time
                    sizes = [\(sizes)]
                    seen = set()
                    end = time.monotonic() + 1.5
                    while time.monotonic() < end:
                        with open(sys.argv[1], "rb", buffering=0) as file:
                            content = b""
                            while part := file.read(70001): content += part
                        version = content[0]
                        assert content == bytes([version]) * sizes[version - 1], (version, len(content))
                        seen.add(version)
                    assert len(seen) > 1
                    """,
                    fixture.mount.path("s"),
                ]
            )
            for step in 1..<100 {
                try fixture.replace(["s": versions[step % 4]])
                try await Task.sleep(for: .milliseconds(15))
            }
            let outcome = try await reader.end()
            #expect(outcome.status == .exited(0), "\(outcome.errorText)")
        }

        /// No torn value, and no name of an earlier generation than one that was opened before it.
        @Test(.timeLimit(.minutes(10))) func sixtyFourReadersOverTenThousandGenerations() async throws {
            let fixture = try MountedFixture(Self.files(0))
            let progress = Progress()
            // Threads, not tasks: those could begin when everything is over.
            let readers = try (0..<64).map { reader in
                try OwnThread { [path = fixture.mount.path, progress] in
                    do {
                        while !progress.isDone.load(ordering: .acquiring) {
                            // What was complete before an open is seen by it, and so by every later one.
                            var least = progress.complete.load(ordering: .acquiring)
                            for name in ["a", "b", "c"].shuffled() {
                                let generation = try Self.generation(of: "\(path)/\(name)")
                                guard generation >= least else { throw Errno.staleNFSFileHandle }
                                least = generation
                            }
                            progress.rounds.withLock { $0[reader] += 1 }
                            if reader % 2 == 0 { usleep(UInt32.random(in: 0..<3000)) }
                        }
                    } catch { progress.failures.withLock { $0.append("\(reader): \(error)") } }
                }
            }
            let haveBegun = { progress.rounds.withLock { $0.allSatisfy { $0 > 0 } } }
            while !haveBegun() && progress.failures.withLock(\.isEmpty) { try await Task.sleep(for: .milliseconds(5)) }
            for generation in 1...10_000 {
                try fixture.replace(Self.files(generation))
                progress.complete.store(generation, ordering: .releasing)
            }
            progress.isDone.store(true, ordering: .releasing)
            for reader in readers { reader.join() }
            #expect(progress.failures.withLock { $0 } == [])
            #expect(try Self.generation(of: fixture.mount.path("a")) == 10_000)
        }

        private final class Progress: Sendable {
            let isDone = Atomic<Bool>(false)
            let complete = Atomic<Int>(0)
            let rounds = Mutex([Int](repeating: 0, count: 64))
            let failures = Mutex<[String]>([])
        }

        /// Three files of one content, which tells its generation.
        private static func files(_ generation: Int) -> [String: [UInt8]] {
            let value =
                Array("\(generation):".utf8) + [UInt8](repeating: UInt8(generation % 251), count: generation % 97)
            return ["a": value, "b": value, "c": value]
        }

        /// The generation that a whole value is of.
        private static func generation(of path: String) throws -> Int {
            let descriptor = unsafe open(path, O_RDONLY)
            guard descriptor >= 0 else { throw Errno(rawValue: errno) }
            defer { close(descriptor) }
            var bytes = [UInt8](repeating: 0, count: 200)
            // In two parts, between which generations go by.
            let first = unsafe pread(descriptor, &bytes, 3, 0)
            guard first >= 0 else { throw Errno(rawValue: errno) }
            usleep(UInt32.random(in: 0..<200))
            let all = unsafe pread(descriptor, &bytes, bytes.count, 0)
            guard all >= first else { throw Errno.ioError }
            let value = Array(bytes.prefix(all))
            let number = String(decoding: value.prefix { $0 != UInt8(ascii: ":") }, as: UTF8.self)
            guard let generation = Int(number), files(generation)["a"] == value else { throw Errno.illegalByteSequence }
            return generation
        }

        /// One message for all of them (FUSE_NOTIFY_INC_EPOCH), where the kernel knows it.
        @Test func manyNamesAreForgottenAtOnce() async throws {
            let names = (0..<3000).map { "name-\($0)" }
            let fixture = try MountedFixture(Dictionary(uniqueKeysWithValues: names.map { ($0, [1]) }))
            let old = unsafe open(fixture.mount.path("name-0"), O_RDONLY)
            defer { close(old) }
            #expect(try await fixture.mount.shell("ls -l | wc -l").outputText == "3001\n")
            let isKnown = fixture.mount.session.forgetEveryName()
            // Protocol 7.44 came with Linux 6.17.
            let release = try await Program.run("/bin/uname", ["-r"]).outputText.split { !$0.isNumber }.compactMap {
                Int($0)
            }
            #expect(isKnown == ((release[0], release[1]) >= (6, 17)))
            #expect(fixture.mount.session.forgetEveryName() == isKnown)
            try fixture.replace(["name-1": [1, 2], "new": [3]])
            for name in ["name-0", "name-2", "name-2999"] {
                var status = stat()
                #expect(unsafe stat(fixture.mount.path(name), &status) == -1 && errno == ENOENT)
            }
            #expect(try await fixture.mount.shell("ls; stat -c %s name-1").outputText == "name-1\nnew\n2\n")
            var byte: UInt8 = 0
            #expect(unsafe pread(old, &byte, 1, 0) == 1)
            // What came back is another file of the same number.
            try fixture.replace(["name-0": [7, 7, 7], "name-1": [1, 2]])
            #expect(try await fixture.mount.shell("stat -c %s name-0; ls").outputText == "3\nname-0\nname-1\n")
        }

        @Test func aLockedMountReadsNothingAndIsListed() async throws {
            let fixture = try MountedFixture(["s": pattern(100), "other": [1]])
            let old = unsafe open(fixture.mount.path("s"), O_RDONLY)
            defer { close(old) }
            var bytes = [UInt8](repeating: 0, count: 200)
            #expect(unsafe pread(old, &bytes, 200, 0) == 100)
            let keys = fixture.keys
            try fixture.replace(["s": pattern(50), "other": [1]])
            try fixture.mount.session.invalidate(fixture.rules.lock())
            #expect(keys.areForgotten && fixture.rules.isLocked)
            #expect(unsafe pread(old, &bytes, 200, 0) == -1 && errno == EACCES)
            #expect(try await fixture.mount.shell("cat other").errorText.contains("Permission denied"))
            #expect(try await fixture.mount.shell("ls; stat -c %s s").outputText == "other\ns\n50\n")
            // What is served after is opened with other keys, and what was open before stays as it is.
            try fixture.renewKeys()
            try fixture.replace(["s": pattern(60)])
            fixture.rules.unlock()
            #expect(try await fixture.mount.shell("cat s").standardOutput == pattern(60))
            #expect(unsafe pread(old, &bytes, 200, 0) == -1 && errno == EACCES)
        }

        @Test func aNewGenerationIsSeenAtOnceAndAnOldHandleKeepsItsOwn() async throws {
            let fixture = try MountedFixture(["s": pattern(100), "gone": [1]])
            #expect(try await fixture.mount.shell("cat s gone; stat -c %s s").status == .exited(0))
            let old = unsafe open(fixture.mount.path("s"), O_RDONLY)
            let path = unsafe open(fixture.mount.path("gone"), 0o1000_0000)
            defer {
                close(old)
                close(path)
            }
            try fixture.replace(["s": pattern(7000, salt: 3), "new": [5]])
            #expect(try await fixture.mount.shell("cat s").standardOutput == pattern(7000, salt: 3))
            #expect(try await fixture.mount.shell("stat -c '%s %Y' s; ls").outputText == "7000 1700007000\nnew\ns\n")
            #expect(try await fixture.mount.shell("cat gone").errorText.contains("No such file"))
            var bytes = [UInt8](repeating: 0, count: 8000)
            #expect(unsafe read(old, &bytes, 8000) == 100)
            #expect(Array(bytes.prefix(100)) == pattern(100))
            // Opened with O_PATH. A descriptor without a path to look up again shows the number as it is.
            #expect(unsafe open("/proc/self/fd/\(path)", O_RDONLY) == -1 && errno == ESTALE)
        }

        @Test func closingLeavesNothingToRead() async throws {
            let fixture = try MountedFixture(["s": pattern(100)])
            let descriptor = unsafe open(fixture.mount.path("s"), O_RDONLY)
            defer { close(descriptor) }
            var byte: UInt8 = 0
            #expect(unsafe read(descriptor, &byte, 1) == 1)
            try fixture.mount.session.invalidate(fixture.rules.close())
            #expect(unsafe read(descriptor, &byte, 1) == -1 && errno == ESTALE)
            #expect(unsafe open(fixture.mount.path("s"), O_RDONLY) == -1 && errno == ESTALE)
        }
    }
}
