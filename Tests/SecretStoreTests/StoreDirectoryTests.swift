// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Glibc
import SecretStore
import SecureFiles
import Synchronization
import SystemCalls
import SystemPackage
import Testing

@Suite final class StoreDirectoryTests {
    private let directory: TemporaryDirectory
    private let folder: StoreDirectory

    init() throws {
        directory = try TemporaryDirectory()
        folder = try #require(try StoreDirectory.open(directory.path))
    }

    private let checker = PermissionChecker(isStrict: true)

    private func contents(_ name: String, limit: Int = 1 << 20) throws -> FileContents? {
        try folder.contents(of: name, limit: limit, .privateFile, checker)
    }

    @Test func aReplacedFileHasExactlyItsModeAndLeavesNothingElse() throws {
        try folder.replace("f", with: "one".utf8.span)
        #expect(try contents("f")?.status.permissions == 0o600)
        try folder.replace("f", with: "two".utf8.span, mode: 0o640)
        #expect(try directory.read("f") == Array("two".utf8))
        #expect(try folder.file("f")?.status().permissions == 0o640)
        #expect(try folder.names() == ["f"])
    }

    @Test func anotherDescriptorIsOfTheSameDirectory() throws {
        let other = try folder.reopened()
        #expect(try other.status().inode == folder.descriptor.status().inode)
        #expect(other.number != folder.descriptor.number)
    }

    @Test func whatNeedNotBeDurableIsReplacedAsWholly() throws {
        try folder.replace("f", with: "one".utf8.span)
        try folder.replace("f", with: "two".utf8.span, isDurable: false)
        #expect(try directory.read("f") == Array("two".utf8))
        #expect(try contents("f")?.status.permissions == 0o600)
        #expect(try folder.names() == ["f"])
    }

    @Test func aFunctionWritesAFileThatIsThereAsAWholeOrNotAtAll() throws {
        try folder.replace("f") { file in try file.writeAll("one") }
        #expect(try directory.read("f") == Array("one".utf8))
        #expect(try contents("f")?.status.permissions == 0o600)
        let error = failure {
            try folder.replace("f") { file in
                try file.writeAll("two")
                throw StoreError(.invalid, "no")
            }
        }
        #expect(error?.code == .invalid)
        #expect(try directory.read("f") == Array("one".utf8))
        try directory.write([1], to: ".f.credfs-0123456789abcdef.tmp")
        try folder.replace("f") { file in try file.writeAll("three") }
        #expect(try folder.names() == ["f"])
    }

    @Test func entriesAreLookedAtWithoutOpeningThem() throws {
        try folder.create("f", with: "one".utf8.span)
        try FileManager.default.createSymbolicLink(atPath: directory.path("l"), withDestinationPath: "f")
        #expect(try folder.link("l") == "f")
        #expect(try folder.link("f") == nil)
        #expect(try folder.kind(of: "l") == .symbolicLink)
        #expect(try folder.kind(of: "f") == .regular)
        #expect(failure { _ = try folder.link("none") }?.code == .failed)
        #expect(failure { _ = try folder.kind(of: "none") }?.code == .failed)
    }

    @Test func aWorkTreeOfGitIsFoundAboveAndReadersAreSeen() throws {
        let below = try folder.makeFolder("a").makeFolder("b")
        #expect(try !below.isInGitWorkTree())
        try folder.create(".git", with: "gitdir: elsewhere".utf8.span)
        #expect(try below.isInGitWorkTree())
        #expect(try !below.isReadableByOthers())
        try FileManager.default.setAttributes([.posixPermissions: 0o750], ofItemAtPath: below.path)
        #expect(try below.isReadableByOthers())
    }

    @Test func whatExistsIsNotCreatedAgain() throws {
        try folder.create("f", with: "one".utf8.span)
        #expect(failure { try folder.create("f", with: "two".utf8.span) }?.code == .failed)
        #expect(try directory.read("f") == Array("one".utf8))
    }

    @Test func aFailedReplacementKeepsTheOldFileAndRemovesTheNew() throws {
        try folder.makeFolder("taken").create("x", with: "one".utf8.span)
        #expect(failure { try folder.replace("taken", with: "two".utf8.span) }?.code == .failed)
        #expect(try folder.names() == ["taken"])
    }

    @Test func onlyLeftoversOfTheFileAreRemoved() throws {
        let kept = [".f.credfs-0.tmp", ".g.credfs-0123456789abcdef.tmp", "f", ".f.credfs-0123456789abcdef", "f.tmp"]
        for name in kept + [".f.credfs-0123456789abcdef.tmp"] { try directory.write([], to: name) }
        try folder.removeLeftovers(of: "f")
        #expect(try Set(folder.names()) == Set(kept))
    }

    @Test func removingWhatIsNotThereIsNoError() throws {
        try folder.remove("f")
        try folder.makeFolder("d").create("x", with: "".utf8.span)
        #expect(failure { try folder.remove("d") }?.code == .failed)
    }

    @Test func absentFilesAndFoldersAreNil() throws {
        #expect(try folder.file("f") == nil ? true : false)
        #expect(try folder.folder("f") == nil)
        #expect(try StoreDirectory.open(directory.path("f")) == nil)
        #expect(try contents("f") == nil)
        #expect(try folder.ensureMode(0o600, of: "f") == nil)
        let secret = try folder.secret("f", limit: 10, checker)
        #expect(secret == nil ? true : false)
    }

    @Test func linksAreNotFollowed() throws {
        try directory.write(Array("x".utf8), to: "target")
        unsafe symlink("target", directory.path("link"))
        unsafe symlink(".", directory.path("directory"))
        let file = failure { try folder.file("link") }
        #expect(file?.code == .permissions)
        #expect(file?.message.hasSuffix("is a symbolic link") == true)
        #expect(failure { try folder.folder("directory") }?.code == .permissions)
        let outer = failure { try StoreDirectory.open(directory.path("directory")) }
        #expect(outer?.code == .permissions)
        #expect(outer?.message.hasSuffix("is a symbolic link") == true)
        #expect(try StoreDirectory.open(directory.path("directory"), followingLink: true) != nil)
        #expect(failure { try folder.writableFile("link") }?.code == .permissions)
        #expect(failure { try folder.lock("link") {} }?.code == .permissions)
    }

    @Test func whatIsNoDirectoryIsNotOpenedAsOne() throws {
        try directory.write([], to: "f")
        #expect(
            failure { try StoreDirectory.open(directory.path("f")) }?.message.contains("is not a directory") == true
        )
        #expect(failure { try folder.makeFolder("f") }?.code == .permissions)
    }

    @Test func otherErrorsSayWhatFailed() throws {
        let long = String(repeating: "n", count: 300)
        #expect(failure { try folder.file(long) }?.message.contains("file name too long") == true)
        #expect(failure { try folder.folder(long) }?.code == .failed)
        #expect(failure { try StoreDirectory.open(directory.path(long)) }?.code == .failed)
        #expect(failure { try folder.makeFolder(long) }?.code == .failed)
        #expect(failure { try folder.lock(long) {} }?.code == .failed)
        #expect(failure { try folder.create(long, with: "".utf8.span) }?.code == .failed)
    }

    @Test func aFIFODoesNotMakeTheReaderWait() throws {
        unsafe mkfifo(directory.path("f"), 0o600)
        let error = failure { try contents("f") }
        #expect(error?.code == .permissions)
        #expect(error?.message.hasSuffix("is not a regular file") == true)
    }

    @Test func aFileBeyondTheLimitIsRefused() throws {
        try directory.write([UInt8](repeating: 1, count: 11), to: "f")
        #expect(try contents("f", limit: 11)?.bytes.count == 11)
        #expect(failure { try contents("f", limit: 10) }?.code == .invalid)
        #expect(failure { try folder.secret("f", limit: 10, checker) }?.code == .authentication)
    }

    @Test func anEmptyFileIsEmpty() throws {
        try directory.write([], to: "f")
        #expect(try contents("f")?.bytes == [])
    }

    @Test func modesAreSetOnlyWhereTheyDiffer() throws {
        try directory.write([], to: "f", permissions: 0o644)
        #expect(try folder.ensureMode(0o600, of: "f") == true)
        #expect(try folder.ensureMode(0o600, of: "f") == false)
        #expect(try folder.ensureMode(0o750) == true)
        #expect(try folder.ensureMode(0o700) == true)
    }

    @Test func aLockIsARegularFileWithOneName() throws {
        _ = unsafe mkfifo(directory.path("fifo"), 0o600)
        try directory.write([], to: "file", permissions: 0o640)
        _ = unsafe link(directory.path("file"), directory.path("other"))
        #expect(failure { _ = try folder.lock("fifo") {} }?.code == .permissions)
        #expect(failure { _ = try folder.lock("file") {} }?.code == .permissions)
        #expect(try folder.file("file")?.status().permissions == 0o640)
    }

    @Test func aDirectoryNamedLikeALeftoverIsNoObstacle() throws {
        _ = try folder.makeFolder(".f.credfs-0123456789abcdef.tmp")
        try folder.removeLeftovers(of: "f")
        try folder.replace("f", with: "x".utf8.span)
    }

    @Test(.timeLimit(.minutes(20))) func oneHolderOfALockAtATime() async throws {
        let first = try folder.lock("lock") { Issue.record("nobody holds it") }
        let other = try #require(try StoreDirectory.open(directory.path))
        let isWaiting = Mutex(false)
        async let lock: Void = onItsOwnThread {
            _ = try other.lock("lock") { isWaiting.withLock { $0 = true } }
        }
        while !isWaiting.withLock({ $0 }) { try await Task.sleep(for: .milliseconds(2)) }
        _ = consume first
        try await lock
    }

    @Test func missingDirectoriesAreMadeForTheOwnerOnly() throws {
        let made = try StoreDirectory.make(directory.path("a/b/c/"))
        #expect(made.path == directory.path("a/b/c"))
        for path in ["a", "a/b", "a/b/c"] {
            #expect(try StoreDirectory.open(directory.path(path))?.descriptor.status().permissions == 0o700)
        }
        _ = try StoreDirectory.make(directory.path("a/b"))
    }

    @Test func pathsAreTakenApart() {
        #expect(Store.split("/a/b") == ("/a", "b"))
        #expect(Store.split("/a") == ("/", "a"))
        #expect(Store.split("a") == (".", "a"))
        #expect(Store.split("a/b") == ("a", "b"))
    }

    @Test func thePathOfANameInTheRootHasOneSlash() throws {
        #expect(try StoreDirectory.open("/")?.path(of: "a") == "/a")
    }
}

@Suite final class PermissionCheckerTests {
    private let directory: TemporaryDirectory
    private let folder: StoreDirectory

    init() throws {
        directory = try TemporaryDirectory()
        folder = try #require(try StoreDirectory.open(directory.path))
    }

    private func error(
        _ name: String,
        _ expectation: FileRequirement = .privateFile,
        user: UInt32 = geteuid()
    ) throws -> StoreError? {
        failure {
            guard let file = try folder.file(name) else { throw StoreError(.failed, "absent") }
            try StoreDirectory.check(file, name, expectation, PermissionChecker(isStrict: true, user: user))
        }
    }

    @Test(arguments: [0o604, 0o620, 0o660, 0o601, 0o777])
    func bitsOfGroupAndOthersAreRefusedWithTheRemedy(_ mode: Int) throws {
        try directory.write([], to: "f", permissions: mode)
        let error = try #require(try error("f"))
        #expect(error.code == .permissions)
        #expect(error.message.contains("mode 0\(String(mode, radix: 8)), expected 0600"))
        #expect(error.hint == "chmod 0600 f")
    }

    @Test func aManifestElsewhereMayBeReadableButNotWritable() throws {
        try directory.write([], to: "f", permissions: 0o644)
        #expect(try error("f", .sharedManifest) == nil)
        try directory.write([], to: "f", permissions: 0o664)
        #expect(try error("f", .sharedManifest)?.hint == "chmod 0644 f")
    }

    @Test func aSecondNameIsRefused() throws {
        try directory.write([], to: "f")
        unsafe link(directory.path("f"), directory.path("g"))
        #expect(try error("f")?.message.contains("2 hard links") == true)
    }

    @Test func theOwnerIsTheUserOrRoot() throws {
        try directory.write([], to: "f")
        #expect(try error("f", user: 12345) == nil)
        unsafe #expect(chown(directory.path("f"), 54321, 0) == 0)
        let error = try #require(try error("f", user: 12345))
        #expect(error.message.contains("owned by uid 54321, expected 12345"))
        #expect(error.hint == "chown 12345 f")
        #expect(try self.error("f", user: 54321) == nil)
    }

    @Test func reducedModeWarnsOfModesButNotOfKinds() throws {
        try directory.write([], to: "f", permissions: 0o666)
        unsafe link(directory.path("f"), directory.path("g"))
        let checker = PermissionChecker(isStrict: false)
        let file = try folder.descriptor.open("f", O_RDONLY)
        try StoreDirectory.check(file, "f", .privateFile, checker)
        #expect(checker.warnings.count == 2)
        #expect(checker.findings.first?.hint == "chmod 0600 f")
        // What is asked twice is told once.
        try StoreDirectory.check(file, "f", .privateFile, checker)
        #expect(checker.findings.map(\.message) == checker.warnings && checker.warnings.count == 2)
        #expect(
            failure { try StoreDirectory.check(file, "f", .privateDirectory, checker) }?.message
                == "f is not a directory"
        )
    }

    @Test func aPathThatCannotBeOpenedSaysWhy() {
        let codes: [(Errno, StoreError.Code, String)] = [
            (.tooManySymbolicLinkLevels, .permissions, "p is a symbolic link"),
            (.notDirectory, .permissions, "p is not a directory"),
            (.noSuchAddressOrDevice, .permissions, "p is not a regular file"),
            (.permissionDenied, .permissions, "cannot open p: permission denied"),
            (.ioError, .failed, "cannot open p: input/output error"),
        ]
        for (errno, code, message) in codes {
            let error = StoreError(.open("p", errno))
            #expect(error.code == code)
            #expect(error.message == message)
        }
    }

    @Test func aDirectoryIsNoFile() throws {
        unsafe mkdir(directory.path("d"), 0o700)
        #expect(try error("d")?.message == "d is not a regular file")
        #expect(try error("d", .privateDirectory) == nil)
    }
}
