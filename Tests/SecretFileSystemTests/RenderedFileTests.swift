// SPDX-License-Identifier: Apache-2.0

import FuseBridge
import Sealing
import SecretFileSystem
import SecretStore
import SecureMemory
import Synchronization
import Testing

@Suite struct RenderedFileTests {
    private static let template = "login {{ USER }} password {{ TOKEN }}\n"

    private func library() throws -> Library {
        try Library([("USER", "octo"), ("TOKEN", "first")], files: [("NETRC", Self.template)])
    }

    private func text(_ served: Served, _ name: String) throws -> String {
        String(decoding: try served.read(served.open(name), 0..<4096), as: UTF8.self)
    }

    @Test func aFileIsRenderedAndItsSizeIsExact() throws {
        let served = try library().serve()
        let expected = "login octo password first\n"
        #expect(try text(served, "NETRC") == expected)
        #expect(try served.lookup("NETRC").size == expected.utf8.count)
        let open = try served.open("NETRC")
        for start in 0...expected.utf8.count {
            for end in start...expected.utf8.count + 1 {
                let part = Array(expected.utf8)[start..<min(end, expected.utf8.count)]
                #expect(try served.read(open, start..<end) == Array(part))
            }
        }
        #expect(served.buffers.areWiped)
    }

    /// One open sees one generation of all parts, and a size is that of the content at every moment.
    @Test func openFilesKeepTheirGeneration() throws {
        let library = try library()
        let served = try library.serve()
        let before = try served.open("NETRC")
        let inode = try served.lookup("NETRC").inode
        try library.set("TOKEN", "second value", at: 1_750_000_000)
        let invalidations = try library.reload(served)
        #expect(invalidations.inodes.contains(inode))
        #expect(try served.read(before, 0..<4096) == Array("login octo password first\n".utf8))
        #expect(try served.read(before, 12..<4096) == Array("assword first\n".utf8))
        let attributes = try served.lookup("NETRC")
        #expect(attributes.inode == inode && attributes.size == "login octo password second value\n".utf8.count)
        #expect(attributes.modified == 1_750_000_000)
        #expect(try text(served, "NETRC") == "login octo password second value\n")
        // What did not change is not forgotten.
        #expect(try library.reload(served).inodes == [.root])
    }

    @Test func aChangedTemplateIsAChangedFile() throws {
        let library = try library()
        let served = try library.serve()
        let inode = try served.lookup("NETRC").inode
        try library.change("NETRC") { $0.value = .template(try Template("nigol {{ USER }} password {{ TOKEN }}\n")) }
        #expect(try library.reload(served).inodes.contains(inode))
        #expect(try text(served, "NETRC") == "nigol octo password first\n")
    }

    @Test func partsThatAreNotShownAreRenderedAllTheSame() throws {
        let served = try library().serve(only: ["NETRC"])
        #expect(try served.names() == [".", "..", "NETRC"])
        #expect(try text(served, "NETRC") == "login octo password first\n")
        #expect(failure { () throws(FileSystemError) in try served.lookup("TOKEN") } == .noSuchName)
    }

    @Test func theTighterModeAndTheEarlierExpiryHold() throws {
        let library = try library()
        try library.change("NETRC") { $0.mode = .ownerAndGroup }
        try library.change("USER") { $0.mode = .ownerAndGroup }
        #expect(try library.serve().lookup("NETRC").permissions == 0o400)
        try library.change("TOKEN") { $0.mode = .ownerAndGroup }
        #expect(try library.serve().lookup("NETRC").permissions == 0o440)
        try library.change("TOKEN") { $0.expires = Timestamp(seconds: Served.now.seconds + 1) }
        let snapshot = try library.snapshot()
        let late = try Served(snapshot, sealer: Sealer(), now: Timestamp(seconds: Served.now.seconds + 2))
        #expect(failure { () throws(FileSystemError) in try late.open("NETRC") } == .expired)
        #expect(failure { () throws(FileSystemError) in try late.open("USER") } == nil)
    }

    /// A part whose policy refuses a caller refuses the file, shown or not.
    @Test(arguments: [nil, ["NETRC"]])
    func policiesOfThePartsHold(_ only: [String]?) throws {
        let library = try library()
        try library.policy("TOKEN") { $0.uids = [7] }
        let served = try library.serve(only: only)
        let inode = try served.lookup("NETRC").inode
        #expect(failure { () throws(FileSystemError) in try served.open(inode, user: 1000) } == .refused)
        #expect(failure { () throws(FileSystemError) in try served.open(inode, user: 7) } == nil)
        try library.policy("NETRC") { $0.uids = [8] }
        let both = try library.serve(only: only)
        let inodeOfBoth = try both.lookup("NETRC").inode
        for user: UInt32 in [7, 8, 1000] {
            #expect(failure { () throws(FileSystemError) in try both.open(inodeOfBoth, user: user) } == .refused)
        }
    }

    @Test func everyPartCountsAnOpen() throws {
        let library = try library()
        try library.policy("USER") { $0.maxReads = 5 }
        try library.policy("TOKEN") { $0.maxReads = 2 }
        let served = try library.serve()
        _ = try served.open("NETRC")
        _ = try served.open("TOKEN")
        for _ in 0..<4 { #expect(failure { () throws(FileSystemError) in try served.open("NETRC") } != nil) }
        // What was refused for one part counts for none.
        for _ in 0..<4 { _ = try served.open("USER") }
        #expect(failure { () throws(FileSystemError) in try served.open("USER") } != nil)
        // A new value of the part that was spent is a new count, and that of the other goes on.
        try library.set("TOKEN", "second")
        _ = try library.reload(served)
        #expect(failure { () throws(FileSystemError) in try served.open("NETRC") } != nil)
        #expect(failure { () throws(FileSystemError) in try served.open("TOKEN") } == nil)
    }

    /// A part that is not shown is counted through all generations, too.
    @Test func hiddenPartsKeepTheirCount() throws {
        let library = try library()
        try library.policy("TOKEN") { $0.maxReads = 1 }
        let served = try library.serve(only: ["NETRC"])
        _ = try served.open("NETRC")
        try library.set("USER", "other")
        _ = served.rules.replace(with: try library.snapshot(only: ["NETRC"], after: served.rules.snapshot))
        #expect(failure { () throws(FileSystemError) in try served.open("NETRC") } != nil)
    }

    /// However many open at once, no part is read more often than it may.
    @Test func countsAreExactWhoeverOpensAtOnce() async throws {
        let library = try library()
        try library.policy("USER") { $0.maxReads = 50 }
        try library.policy("TOKEN") { $0.maxReads = 40 }
        let rules = try library.serve().rules
        let inode = try rules.attributes(of: rules.find("NETRC".utf8.span, in: .root)).inode
        let granted = await withTaskGroup(of: Int.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    var count = 0
                    guard var scratch = try? SecureBuffer(count: 4096) else { return 0 }
                    for _ in 0..<20 {
                        guard let candidate = try? rules.candidate(inode, OpenFlags(changesFile: false)) else {
                            continue
                        }
                        if (try? rules.open(candidate, scratch: &scratch)) != nil { count += 1 }
                    }
                    return count
                }
            }
            return await group.reduce(0, +)
        }
        #expect(granted <= 40)
        var scratch = try SecureBuffer(count: 4096)
        var rest = 0
        for _ in 0..<60 {
            let candidate = try rules.candidate(inode, OpenFlags(changesFile: false))
            if (try? rules.open(candidate, scratch: &scratch)) != nil { rest += 1 }
        }
        #expect(granted + rest == 40)
    }

    @Test func aDamagedPartIsADamagedFile() throws {
        let library = try library()
        try library.change("TOKEN") { entry in
            guard case .sealed(let value) = entry.value else { return }
            entry.value = .sealed(
                SealedValue(ciphertext: value.ciphertext, nonce: value.nonce, tag: value.tag.map { $0 ^ 1 })
            )
        }
        let served = try library.serve()
        #expect(failure { () throws(FileSystemError) in try served.open("NETRC") } == .damaged)
        #expect(served.buffers.areWiped)
    }

    @Test func aLockedMountRendersNothing() throws {
        let served = try library().serve()
        let open = try served.open("NETRC")
        let inode = try served.lookup("NETRC").inode
        _ = served.rules.lock()
        #expect(failure { () throws(FileSystemError) in try served.read(open, 0..<10) } == .locked)
        #expect(failure { () throws(FileSystemError) in try served.open(inode) } == .locked)
        #expect(served.buffers.areWiped)
    }

    @Test func aMissingPartMakesTheFileMissing() throws {
        let library = try library()
        try library.change("TOKEN") { entry in
            entry.value = .empty
            entry.required = true
        }
        #expect(try library.serve().names() == [".", "..", "USER"])
        try library.change("TOKEN") { $0.required = false }
        #expect(try text(library.serve(), "NETRC") == "login octo password \n")
    }

    /// Every secret of a store at once, by small reads with little memory.
    @Test func allOfThemAreRendered() throws {
        let library = try Library(files: [("ENV", "{{ all | dotenv }}")])
        var expected = ""
        for number in 1000..<1500 {
            try library.set("S\(number)", "value '\(number)'")
            expected += "S\(number)=\"value '\(number)'\"\n"
        }
        let served = try library.serve(only: ["ENV"])
        #expect(try served.lookup("ENV").size == expected.utf8.count)
        let open = try served.open("ENV")
        var content: [UInt8] = []
        while content.count < expected.utf8.count {
            content += try served.read(open, content.count..<content.count + 777)
        }
        #expect(content == Array(expected.utf8))
        #expect(served.buffers.areWiped)
    }
}
