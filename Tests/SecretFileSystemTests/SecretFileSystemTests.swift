// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import FuseBridge
import SecretFileSystem
import SecretStore
import SecureFiles
import Synchronization
import SystemPackage
import Testing

@Suite struct ErrnoTableTests {
    @Test(arguments: [
        (FileSystemError.noSuchName, Int32(2)),
        (.notDirectory, 20),
        (.isDirectory, 21),
        (.stale, 116),
        (.closing, 116),
        (.refused, 13),
        (.spent, 13),
        (.expired, 127),
        (.readOnly, 30),
        (.damaged, 5),
        (.unavailable, 5),
        (.tooLarge, 22),
    ])
    func everyErrorHasItsNumber(error: FileSystemError, number: Int32) {
        #expect(errno(for: error).rawValue == number)
    }

    @Test func theTableIsComplete() {
        #expect(FileSystemError.allCases.count == 13)
    }
}

@Suite struct LayoutTests {
    @Test func filesAreWhatTheContractSays() throws {
        let served = try Served { sealer in
            [
                try sealer.item("b", [1, 2, 3], permissions: 0o440, modified: 1_700_000_001),
                try sealer.item("a", [], modified: 1_700_000_002),
            ]
        }
        let first = try served.lookup("a")
        let second = try served.lookup("b")
        #expect(
            first
                == FileAttributes(
                    inode: first.inode,
                    kind: .regular,
                    permissions: 0o400,
                    linkCount: 1,
                    size: 0,
                    user: 1000,
                    group: 100,
                    modified: 1_700_000_002
                )
        )
        #expect(second.size == 3 && second.permissions == 0o440 && second.modified == 1_700_000_001)
        #expect(first.inode != second.inode && first.inode != .root && second.inode != .root)
        #expect(try served.rules.attributes(of: second.inode) == second)
        let root = try served.rules.attributes(of: .root)
        #expect(root.kind == .directory && root.permissions == 0o500 && root.linkCount == 2 && root.user == 1000)
    }

    @Test func aManifestShowsWhatHasAValueAndHasNotExpired() throws {
        let sealer = try Sealer()
        let directory = try TemporaryDirectory()
        let location = try StoreLocation(.init(store: directory.path("store")), user: 0) { _ in nil }
        let checker = PermissionChecker(isStrict: true)
        _ = try StoreCreation.run(location, checker, secrets: [], now: Timestamp(seconds: 1)) { .keyFile }
        var manifest = try LoadedManifest(Store(location, checker: checker)).manifest
        manifest.store = sealer.keys.store
        manifest.generation = 7
        manifest.updated = Timestamp(seconds: 2)
        func entry(_ name: String, _ bytes: [UInt8]?) throws -> SecretEntry {
            let name = try #require(SecretName(name))
            var entry = SecretEntry(name: name)
            if let bytes { entry.value = .sealed(try sealer.seal(bytes, as: name)) }
            return entry
        }
        manifest.secrets = [
            try entry("z", [1]), try entry("empty", nil), try entry("gone", [2]), try entry("y", [3, 4]),
        ]
        manifest.secrets[0].mode = .ownerAndGroup
        manifest.secrets[0].rotated = Timestamp(seconds: 9)
        manifest.secrets[2].expires = Served.now
        let signature = try sealer.keys.signature(of: manifest)
        let verified = try VerifiedManifest(manifest, signature: signature, sealer.keys)
        let snapshot = Snapshot(
            SecretSet(verified.manifest.secrets, verified.keys),
            of: verified.manifest,
            now: Served.now
        )
        let rules = SecretFileSystem(
            snapshot,
            ownership: Ownership(user: 0, group: 0)
        )
        let first = rules.attributes(of: try rules.find("y".utf8.span, in: .root))
        let second = rules.attributes(of: try rules.find("z".utf8.span, in: .root))
        #expect(snapshot.generation == 7 && snapshot.names.count == 2)
        #expect(try rules.attributes(of: .root).modified == 2)
        #expect(first.permissions == 0o400 && first.modified == 1 && first.size == 2)
        #expect(second.permissions == 0o440 && second.modified == 9 && second.size == 1)
    }

    @Test func theListingGoesOnFromEveryOffset() throws {
        let names = (0..<37).map { "secret-\($0)" }
        let served = try Served { sealer in try names.map { try sealer.item($0, [0]) } }
        let all = try served.names()
        #expect(all == [".", ".."] + names.sorted())
        let listing = try served.rules.opendir(.root)
        for pageCount in 1...all.count {
            var listed: [String] = []
            var offset = DirectoryOffset.start
            pages: while true {
                for _ in 0..<pageCount {
                    guard let entry = listing.entry(at: offset) else { break pages }
                    listed.append(entry.name)
                    offset = entry.next
                }
            }
            #expect(listed == all)
        }
        #expect(listing.entry(at: DirectoryOffset(-1)) == nil && listing.entry(at: DirectoryOffset(.max)) == nil)
    }

    @Test func aListingSeesOneGeneration() throws {
        let served = try Served { sealer in [try sealer.item("a", [1]), try sealer.item("b", [2])] }
        let listing = try served.rules.opendir(.root)
        _ = served.replace([try served.sealer.item("c", [3])])
        #expect(listing.entry(at: DirectoryOffset(3))?.name == "b")
        #expect(try served.names() == [".", "..", "c"])
    }

    @Test func oddNamesAreFoundAndOthersAreNot() throws {
        let longest = String(repeating: "n", count: 255)
        let served = try Served { sealer in
            [try sealer.item("a b", [1]), try sealer.item("~", [2]), try sealer.item(longest, [3])]
        }
        for name in ["a b", "~", longest] { #expect(try served.lookup(name).size == 1) }
        for name in ["", "a", "a b ", "A b", ".", "..", longest + "n", "\u{e9}"] {
            #expect(failure { () throws(FileSystemError) in try served.lookup(name) } == .noSuchName, "\(name)")
        }
    }
}

@Suite struct ReadTests {
    @Test(arguments: [0, 1, 15, 16, 17, 31, 33, 40])
    func everyRangeOfSmallSecrets(count: Int) throws {
        let bytes = pattern(count)
        let served = try Served { sealer in [try sealer.item("s", bytes)] }
        let secret = try served.open("s")
        for start in 0...count + 2 {
            for end in start...count + 3 {
                let wanted = start < count ? Array(bytes[start..<min(end, count)]) : []
                #expect(try served.read(secret, start..<end) == wanted)
            }
        }
        #expect(served.buffers.areWiped)
    }

    @Test(arguments: [4095, 4096, 4097, 131071, 131072, 131073, 1 << 20])
    func boundariesOfLargeSecrets(count: Int) throws {
        let bytes = pattern(count, salt: count)
        let served = try Served { sealer in [try sealer.item("s", bytes)] }
        let secret = try served.open("s")
        for start in [0, 1, 15, 16, 4095, 4096, count - 17, count - 1, count, count + 1] {
            for length in [1, 15, 16, 17, 4096, 131072] {
                let wanted = start < count ? bytes[start..<min(start + length, count)] : []
                #expect(try served.read(secret, start..<start + length) == Array(wanted))
            }
        }
        var whole: [UInt8] = []
        while whole.count < count { whole += try served.read(secret, whole.count..<whole.count + 131072) }
        #expect(whole == bytes)
        #expect(try served.read(secret, .max - 1..<Int.max) == [])
    }

    @Test func moreThanTheBufferHoldsIsRefusedNotCut() throws {
        let served = try Served({ sealer in [try sealer.item("s", pattern(8192))] }, bufferByteCount: 4096)
        let secret = try served.open("s")
        #expect(failure { () throws(FileSystemError) in try served.read(secret, 0..<4097) } == .tooLarge)
        #expect(try served.read(secret, 0..<4096).count == 4096)
        #expect(try served.read(secret, 8000..<100_000).count == 192)
    }

    @Test func buffersFitTheLimitOfLockedMemory() {
        let limits = [
            (0, 4096), (64 << 10, 8192), (8 << 20, 1 << 20), (4 << 20, 512 << 10), (.max, 1 << 20), (100_000, 12288),
        ]
        for (limit, wanted) in limits {
            #expect(ReadBuffers.byteCount(lockableByteCount: limit, workerCount: 2) == wanted)
        }
    }
}

@Suite struct OpenTests {
    @Test func refusalsHaveTheirErrors() throws {
        let served = try Served { sealer in
            [
                try sealer.item("s", [1]),
                try sealer.item("old", [1], expires: Served.now.seconds),
                try sealer.item("young", [1], expires: Served.now.seconds + 1),
            ]
        }
        let inode = try served.lookup("s").inode
        func open(_ inode: InodeNumber, changesFile: Bool = false) -> FileSystemError? {
            failure { () throws(FileSystemError) in try served.open(inode, changesFile: changesFile) }
        }
        #expect(open(inode) == nil)
        #expect(open(inode, changesFile: true) == .readOnly)
        #expect(open(.root) == .isDirectory)
        #expect(open(.root, changesFile: true) == .readOnly)
        #expect(open(try served.lookup("old").inode) == .expired)
        #expect(open(try served.lookup("young").inode) == nil)
        for number: UInt64 in [0, 5, 1000, .max] {
            #expect(open(InodeNumber(number)) == .stale)
            #expect(failure { () throws(FileSystemError) in try served.rules.attributes(of: .init(number)) } == .stale)
            #expect(failure { () throws(FileSystemError) in try served.rules.opendir(.init(number)) } == .stale)
        }
        #expect(failure { () throws(FileSystemError) in try served.rules.opendir(inode) } == .notDirectory)
        let name = "x".utf8.span
        #expect(failure { () throws(FileSystemError) in try served.rules.find(name, in: inode) } == .notDirectory)
        #expect(failure { () throws(FileSystemError) in try served.rules.find(name, in: .init(99)) } == .stale)
    }

    @Test func aChangedValueIsRefusedAtOpen() throws {
        let served = try Served { sealer in
            let item = try sealer.item("s", pattern(100))
            let name = try #require(SecretName("t"))
            guard case .value(let value) = item.content else { return [] }
            var ciphertext = value.ciphertext
            ciphertext[50] ^= 1
            let changed = SealedValue(ciphertext: ciphertext, nonce: value.nonce, tag: value.tag)
            return [
                SnapshotItem(name: item.name, value: changed, modified: Served.now),
                // Sealed for another name.
                SnapshotItem(name: name, value: value, modified: Served.now),
            ]
        }
        for name in ["s", "t"] {
            #expect(failure { () throws(FileSystemError) in try served.open(name) } == .damaged)
        }
        #expect(served.buffers.areWiped)
    }

    @Test func theRuleIsAskedFirst() throws {
        let served = try Served(
            { sealer in
                [
                    try sealer.item("refused", [1], expires: 1),
                    try sealer.item("hidden", [1], expires: 1),
                    try sealer.item("allowed", [1]),
                ]
            },
            policy: ByName()
        )
        #expect(failure { () throws(FileSystemError) in try served.open("refused") } == .refused)
        #expect(failure { () throws(FileSystemError) in try served.open("hidden") } == .noSuchName)
        #expect(failure { () throws(FileSystemError) in try served.open("allowed") } == nil)
    }

    @Test func theOwnerRuleAdmitsOneUser() throws {
        let rule = AllowOwner(Ownership(user: 1000, group: 100)) { _ in [100] }
        let served = try Served({ sealer in [try sealer.item("s", [1])] }, policy: rule)
        let inode = try served.lookup("s").inode
        func open(user: UInt32) -> FileSystemError? {
            failure { () throws(FileSystemError) in try served.open(inode, user: user) }
        }
        #expect(open(user: 1000) == nil && open(user: 0) == .refused && open(user: 1001) == .refused)
    }

    @Test func theGroupReadsOnlyWhatIsForItWhereItWasNamed() throws {
        let name = try #require(SecretName("s"))
        func decision(
            _ caller: Caller,
            isForGroup: Bool = true,
            admitsGroup: Bool = true,
            groups: [UInt32]? = []
        ) -> AccessDecision {
            let ownership = Ownership(user: 1000, group: 100, admitsGroup: admitsGroup)
            let request = AccessRequest(name: name, caller: caller, generation: 1, isForGroup: isForGroup)
            return AllowOwner(ownership) { $0 == 7 ? groups : nil }.decide(on: request)
        }
        let member = Caller(user: 5, group: 100, thread: 7)
        let other = Caller(user: 5, group: 5, thread: 7)
        #expect(decision(member) == .allow)
        #expect(decision(other) == .refuse && decision(other, groups: [4, 100]) == .allow)
        #expect(decision(member, isForGroup: false) == .refuse && decision(member, admitsGroup: false) == .refuse)
        #expect(decision(Caller(user: 1000, group: 5, thread: 7), isForGroup: false) == .allow)
        // Root passes every permission bit; whom nothing is known of is no member.
        #expect(decision(Caller(user: 0, group: 100, thread: 7), groups: [100]) == .refuse)
        #expect(decision(other, groups: nil) == .refuse)
        #expect(decision(Caller(user: 5, group: 5, thread: 0), groups: [100]) == .refuse)
    }

    private struct ByName: AccessPolicy {
        func decide(on request: AccessRequest) -> AccessDecision {
            switch request.name.text {
            case "refused": .refuse
            case "hidden": .hide
            default: request.caller.user == 1000 && request.generation == 1 ? .allow : .refuse
            }
        }
    }
}

@Suite struct GenerationTests {
    @Test func anOpenFileKeepsItsVersion() throws {
        let served = try Served { sealer in [try sealer.item("s", pattern(50)), try sealer.item("gone", [7, 8])] }
        let old = try served.open("s")
        let gone = try served.open("gone")
        let (inode, goneInode) = (try served.lookup("s").inode, try served.lookup("gone").inode)
        _ = served.replace([try served.sealer.item("s", pattern(80, salt: 1))])
        #expect(try served.read(old, 0..<100) == pattern(50))
        #expect(try served.read(gone, 0..<100) == [7, 8])
        #expect(try served.lookup("s").inode == inode && served.lookup("s").size == 80)
        #expect(try served.read(served.open("s"), 0..<100) == pattern(80, salt: 1))
        #expect(failure { () throws(FileSystemError) in try served.open(goneInode) } == .stale)
        #expect(failure { () throws(FileSystemError) in try served.rules.attributes(of: goneInode) } == .stale)
        #expect(failure { () throws(FileSystemError) in try served.lookup("gone") } == .noSuchName)
    }

    @Test func aNameThatComesBackHasItsNumber() throws {
        let served = try Served { sealer in [try sealer.item("a", [1]), try sealer.item("b", [2])] }
        let inode = try served.lookup("b").inode
        _ = served.replace([])
        _ = served.replace([try served.sealer.item("c", [3])])
        #expect(try served.lookup("c").inode > inode)
        _ = served.replace([try served.sealer.item("b", [4])])
        #expect(try served.lookup("b").inode == inode)
    }

    @Test func onlyWhatChangedIsToBeForgotten() throws {
        let served = try Served { sealer in
            [try sealer.item("same", [1]), try sealer.item("other", [1]), try sealer.item("gone", [1])]
        }
        let kept = try served.sealer.item("same", [1])
        let (other, gone) = (try served.lookup("other").inode, try served.lookup("gone").inode)
        _ = served.replace([kept, try served.sealer.item("other", [1]), try served.sealer.item("gone", [1])])
        let invalidations = served.replace([
            kept, try served.sealer.item("other", [2]), try served.sealer.item("new", [3]),
        ])
        #expect(invalidations.names.map(\.text) == ["gone"])
        #expect(Set(invalidations.inodes) == [.root, other, gone])
    }

    @Test func closingRefusesAndNamesWhatWasOpened() throws {
        let served = try Served { sealer in [try sealer.item("a", [1]), try sealer.item("b", [2])] }
        let inode = try served.lookup("b").inode
        let secret = try served.open("b")
        #expect(served.rules.close().inodes == [inode])
        #expect(failure { () throws(FileSystemError) in try served.read(secret, 0..<1) } == .closing)
        #expect(failure { () throws(FileSystemError) in try served.open(inode) } == .closing)
        #expect(failure { () throws(FileSystemError) in try served.rules.opendir(.root) } == .closing)
    }

    /// Thousands of steps beside a model that holds plain dictionaries.
    @Test(arguments: 1...8) func randomStepsAgreeWithAModel(seed: UInt64) throws {
        var random = Generator(state: seed)
        let names = (0..<12).map { "n\($0)" }
        var files: [String: [UInt8]] = [:]
        var numbers: [String: InodeNumber] = [:]
        var handles: [(secret: OpenSecret, bytes: [UInt8])] = []
        var listings: [(listing: OpenListing, names: [String])] = []
        let served = try Served { _ in [] }
        for step in 0..<3000 {
            let name = names[Int.random(in: 0..<names.count, using: &random)]
            switch Int.random(in: 0..<100, using: &random) {
            case 0..<3:
                let before = files
                files = [:]
                for name in names where Bool.random(using: &random) {
                    files[name] = pattern(Int.random(in: 0..<300, using: &random), salt: step)
                }
                let invalidations = served.replace(try files.map { try served.sealer.item($0, $1) })
                #expect(invalidations.inodes.contains(.root))
                #expect(Set(invalidations.names.map(\.text)) == Set(before.keys).subtracting(files.keys))
            case 3..<30:
                let found = try? served.lookup(name)
                #expect(found?.size == files[name]?.count)
                if let found {
                    #expect(numbers[name] == nil || numbers[name] == found.inode)
                    numbers[name] = found.inode
                }
            case 30..<45:
                guard let number = numbers[name] else { break }
                let error = failure { () throws(FileSystemError) in try served.rules.attributes(of: number) }
                #expect(error == (files[name] == nil ? .stale : nil))
            case 45..<60:
                guard let number = numbers[name] else { break }
                do throws(FileSystemError) {
                    let secret = try served.open(number)
                    #expect(files[name] != nil)
                    handles.append((secret, files[name] ?? []))
                } catch { #expect(error == .stale && files[name] == nil) }
            case 60..<90:
                guard let handle = handles.randomElement(using: &random) else { break }
                let start = Int.random(in: 0..<320, using: &random)
                let end = start + Int.random(in: 0..<320, using: &random)
                let range = (start..<end).clamped(to: 0..<handle.bytes.count)
                #expect(try served.read(handle.secret, start..<end) == Array(handle.bytes[range]))
            case 90..<93:
                if !handles.isEmpty { handles.remove(at: Int.random(in: 0..<handles.count, using: &random)) }
            case 93..<96:
                listings.append((try served.rules.opendir(.root), [".", ".."] + files.keys.sorted()))
            default:
                guard let listing = listings.randomElement(using: &random) else { break }
                let offset = Int.random(in: 0..<16, using: &random)
                let entry = listing.listing.entry(at: DirectoryOffset(offset))
                #expect(entry?.name == (offset < listing.names.count ? listing.names[offset] : nil))
            }
        }
        #expect(Set(numbers.values).count == numbers.count)
        #expect(served.buffers.areWiped)
    }
}

/// The same numbers for the same seed (SplitMix64).
private struct Generator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ value >> 30) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ value >> 27) &* 0x94d0_49bb_1331_11eb
        return value ^ value >> 31
    }
}
