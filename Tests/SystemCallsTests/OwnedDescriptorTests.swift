// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Glibc
import Synchronization
import SystemCalls
import SystemPackage
import Testing

@Suite struct OwnedDescriptorTests {
    @Test func isClosedWithItsOwner() throws {
        // A number that no other test gets meanwhile.
        let number: Int32 = 700
        try #require(dup2(0, number) == number)
        do {
            let owner = OwnedDescriptor(owning: number)
            let ownFlags = fcntl(owner.number, F_GETFD)
            #expect(ownFlags == 0)
            let second = try owner.duplicate()
            let flags = fcntl(second.number, F_GETFD)
            #expect(flags == FD_CLOEXEC)
        }
        #expect(fcntl(number, F_GETFD) == -1)
    }

    @Test func aReleasedNumberStaysOpen() throws {
        let number = try OwnedDescriptor.open("/dev/null", O_RDONLY).release()
        #expect(fcntl(number, F_GETFD) == FD_CLOEXEC)
        close(number)
    }

    @Test func whatIsWrittenIsReadAndTheEndIsZero() throws {
        let directory = try TemporaryDirectory()
        let file = try OwnedDescriptor.open(directory.path("file"), O_RDWR | O_CREAT, mode: 0o600)
        try file.writeAll("some text")
        try file.seek(to: 5)
        var bytes = [UInt8](repeating: 0, count: 10)
        var span = bytes.mutableSpan
        #expect(try file.read(into: &span, from: 2) == 4)
        #expect(try file.read(into: &span, from: 6) == 0)
        #expect(bytes == [0, 0] + Array("text".utf8) + [0, 0, 0, 0])
        #expect(try directory.read("file") == Array("some text".utf8))
    }

    @Test func aFullNonBlockingPipeIsWaitedFor() throws {
        let ends = try OwnedDescriptor.pipe()
        let bytes = [UInt8](repeating: 7, count: 1 << 20)
        let (input, output) = ends.ends { (read, write) in (read.release(), write.release()) }
        for number in [input, output] { _ = fcntl(number, F_SETFL, O_NONBLOCK) }
        let count = Atomic(0)
        // A task could not start while other tests block the threads of the pool.
        let reader = try OwnThread {
            let input = OwnedDescriptor(owning: input)
            var piece = [UInt8](repeating: 0, count: 10_000)
            while true {
                var span = piece.mutableSpan
                guard let read = try? input.read(into: &span), read > 0 else { return }
                count.add(read, ordering: .relaxed)
            }
        }
        do {
            let output = OwnedDescriptor(owning: output)
            try output.writeAll(bytes.span)
        }
        reader.join()
        #expect(count.load(ordering: .relaxed) == bytes.count)
    }

    @Test func statusTellsKindModeOwnerSizeAndLinks() throws {
        let directory = try TemporaryDirectory()
        let path = try directory.write([1, 2, 3], to: "file", permissions: 0o640)
        let file = try OwnedDescriptor.open(path, O_RDONLY)
        var status = try file.status()
        #expect(status.kind == .regular)
        #expect(status.permissions == 0o640)
        #expect(status.owner == ProcessAttributes.effectiveUser)
        #expect(status.size == 3)
        #expect(status.linkCount == 1)
        try file.setPermissions(0o600)
        try #require(unsafe link(path, directory.path("second")) == 0)
        status = try file.status()
        #expect(status.permissions == 0o600)
        #expect(status.linkCount == 2)
        #expect(try OwnedDescriptor.open(directory.path, O_RDONLY).status().kind == .directory)
        #expect(try OwnedDescriptor.open("/dev/null", O_RDONLY).status().kind == .characterDevice)
    }

    @Test func aSymbolicLinkIsSeenAndNotFollowed() throws {
        let directory = try TemporaryDirectory()
        try #require(unsafe symlink("/etc/passwd", directory.path("link")) == 0)
        #expect(throws: Errno.tooManySymbolicLinkLevels) {
            _ = try OwnedDescriptor.open(directory.path("link"), O_RDONLY | O_NOFOLLOW)
        }
    }

    @Test func aDirectoryIsChangedThroughItsDescriptor() throws {
        let directory = try TemporaryDirectory()
        let parent = try OwnedDescriptor.open(directory.path, O_RDONLY | O_DIRECTORY)
        #expect(try parent.entryNames() == [])
        try parent.makeDirectory("below", mode: 0o700)
        _ = try parent.open("file", O_WRONLY | O_CREAT | O_EXCL, mode: 0o600)
        try parent.rename("file", to: "renamed")
        try parent.synchronize()
        #expect(try parent.entryNames().sorted() == ["below", "renamed"])
        try parent.unlink("renamed")
        #expect(try parent.entryNames() == ["below"])
        #expect(throws: Errno.noSuchFileOrDirectory) { try parent.unlink("renamed") }
    }

    @Test func everyNameOfALargeDirectoryIsListedOnce() throws {
        let directory = try TemporaryDirectory()
        let parent = try OwnedDescriptor.open(directory.path, O_RDONLY | O_DIRECTORY)
        let names = (0..<500).map { "\($0)" + String(repeating: "x", count: 200) }
        for name in names { _ = try parent.open(name, O_WRONLY | O_CREAT, mode: 0o600) }
        #expect(try parent.entryNames().sorted() == names.sorted())
        #expect(try parent.entryNames().count == 500)
    }

    @Test func aLockHasOneHolder() throws {
        let directory = try TemporaryDirectory()
        let path = try directory.write([], to: "lock")
        let second = try OwnedDescriptor.open(path, O_RDONLY)
        do {
            let first = try OwnedDescriptor.open(path, O_RDONLY)
            #expect(try first.lock(wait: false))
            #expect(try !second.lock(wait: false))
        }
        #expect(try second.lock(wait: true))
    }

    @Test func errorsReadInLowerCase() {
        #expect(Errno.noSuchFileOrDirectory.message == "no such file or directory")
    }
}
