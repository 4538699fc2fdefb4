// SPDX-License-Identifier: Apache-2.0

#if CREDFS_FAULT_HOOK
    import CredfsTestSupport
    import Foundation
    import SecretStore
    import SecureFiles
    import SystemCalls
    import SystemPackage
    import Testing

    /// ENOSPC, EIO and a short write at every system call with which a store is made or changed.
    struct StoreFaultTests {
        static let faults: [FaultPlan.Fault] = [.error(.noSpace), .error(.ioError), .shortWrite]

        @Test(arguments: faults)
        func aChangeLeavesTheOldStateOrTheNewOneWhateverFails(_ fault: FaultPlan.Fault) throws {
            let made = try StoreFixture()
            try made.fill([("KEPT", "kept"), ("ONE", "old")])
            let count = try FaultPlan.atEveryCall(fault) { plan, number in
                let what: Comment = "\(fault) at call \(number)"
                let store = try Copy(of: made)
                let failed = plan.fails { try store.set("ONE", "new") }
                #expect(!failed || number > 0 && fault != .shortWrite, what)
                #expect(try store.value("KEPT") == "kept", what)
                let one = try store.value("ONE")
                #expect(one == "new" || one == "old" && failed, what)
                // The next change cleans up.
                try store.set("AFTER", "x")
                #expect(try store.value("AFTER") == "x", what)
                #expect(try store.leftovers() == [], what)
            }
            #expect(count >= (fault == .shortWrite ? 1 : 20))
        }

        @Test(arguments: faults)
        func aStoreIsMadeOrCanBeMadeAgainWhateverFails(_ fault: FaultPlan.Fault) throws {
            let count = try FaultPlan.atEveryCall(fault) { plan, number in
                let what: Comment = "\(fault) at call \(number)"
                let store = try Copy()
                let failed = plan.fails { try store.create() }
                #expect(!failed || number > 0 && fault != .shortWrite, what)
                // It may be there as a whole, which is never made anew.
                do { try store.create() } catch { #expect(try store.hasManifest(), what) }
                try store.set("ONE", "new")
                #expect(try store.value("ONE") == "new", what)
                #expect(try store.leftovers() == [], what)
            }
            #expect(count >= (fault == .shortWrite ? 1 : 20))
        }

        @Test(arguments: faults)
        func anExportIsThereAsAWholeOrNotAtAllWhateverFails(_ fault: FaultPlan.Fault) throws {
            let count = try FaultPlan.atEveryCall(fault) { plan, number in
                let what: Comment = "\(fault) at call \(number)"
                let directory = try TemporaryDirectory()
                let folder = try #require(try StoreDirectory.open(directory.path))
                try directory.write(Array("old".utf8), to: "out")
                let failed = plan.fails { try folder.replace("out") { file in try file.writeAll("whole") } }
                #expect(!failed || number > 0 && fault != .shortWrite, what)
                let text = String(decoding: try directory.read("out"), as: UTF8.self)
                #expect(text == "whole" || text == "old" && failed, what)
                try folder.replace("out") { file in try file.writeAll("next") }
                #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == ["out"], what)
            }
            #expect(count >= (fault == .shortWrite ? 1 : 5))
        }

        /// A store in a directory of its own.
        private final class Copy {
            let directory: TemporaryDirectory
            let location: StoreLocation
            let now = Timestamp(seconds: 1_800_000_000)

            init() throws {
                directory = try TemporaryDirectory()
                location = try StoreLocation(.init(store: directory.path("store")), user: 0) { _ in nil }
            }

            convenience init(of other: StoreFixture) throws {
                try self.init()
                try FileManager.default.copyItem(
                    atPath: String(other.path("").dropLast()),
                    toPath: directory.path("store")
                )
            }

            func create() throws {
                _ = try StoreCreation.run(location, PermissionChecker(isStrict: true), secrets: [], now: now) {
                    .keyFile
                }
            }

            private func open() throws -> Store { try Store(location, checker: PermissionChecker(isStrict: true)) }

            func hasManifest() throws -> Bool { try open().hasManifest() }

            private func keys(_ store: Store) throws -> StoreKeys {
                try StoreFixture.unlock(store, LoadedManifest(store).manifest)
            }

            func set(_ name: String, _ value: String) throws {
                let store = try open()
                let keys = try keys(store)
                var cipher = try keys.valueCipher()
                try store.update(keys, now: now, waiting: {}) { manifest in
                    var secret = try manifest.secrets.first { $0.name.text == name } ?? entry(name)
                    try secret.enter(secure(value), with: &cipher, now: now)
                    manifest.secrets.removeAll { $0.name.text == name }
                    manifest.secrets.append(secret)
                }
            }

            func value(_ name: String) throws -> String? {
                let store = try open()
                let keys = try keys(store)
                let manifest = try LoadedManifest(store).verified(with: keys).manifest
                guard let secret = manifest.secrets.first(where: { $0.name.text == name }),
                    case .sealed(let sealed) = secret.value
                else { return nil }
                var cipher = try keys.valueCipher()
                return String(decoding: bytes(try cipher.open(sealed, as: secret.name)), as: UTF8.self)
            }

            /// Names that a writer uses on its way.
            func leftovers() throws -> [String] {
                try FileManager.default.subpathsOfDirectory(atPath: directory.path).filter { $0.contains(".credfs-") }
            }
        }
    }
#endif
