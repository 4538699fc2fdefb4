// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Glibc
import Jobs
import ProcessControl
import Synchronization
import SystemCalls
import Testing

@Suite(.timeLimit(.minutes(5))) struct MountRecordTests {
    private final class End: Sendable {
        let hasCome = Atomic<Bool>(false)
    }

    private static func runtime(_ path: String) throws -> RuntimeDirectory {
        try RuntimeDirectory(user: geteuid()) { $0 == "XDG_RUNTIME_DIR" ? path : nil }
    }

    /// Whoever starts takes away what killed processes left, and must not take what another one is writing.
    @Test func aRecordIsWrittenBesideProcessesThatCleanUp() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path
        let runtime = try Self.runtime(path)
        let end = End()
        let cleaners = try (0..<3).map { _ in
            try OwnThread {
                guard let own = try? Self.runtime(path) else { return }
                while !end.hasCome.load(ordering: .relaxed) { Unmounting.clean(own) }
            }
        }
        defer {
            end.hasCome.store(true, ordering: .relaxed)
            for cleaner in cleaners { cleaner.join() }
        }
        for number in 0..<2000 {
            let mount = LiveMount(
                id: String(0x1000_0000_0000_0000 + number, radix: 16),
                kind: .run,
                path: "/nowhere",
                pid: getpid(),
                store: nil,
                generation: 0,
                auth: .authenticated,
                isolation: .mount,
                backend: .fuse
            )
            let record = try MountRecord(mount, in: runtime)
            #expect(FoundMount.all(in: runtime).contains { $0.mount.id == mount.id && $0.isLive })
            withExtendedLifetime(record) {}
        }
    }
}
