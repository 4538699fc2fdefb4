// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import SecretProviders
import SecretSources
import SecureMemory
import Synchronization
import SystemCalls

/// credfs-remote as a process, asked through the client of credfs.
final class Remote: Sendable {
    typealias Answer = Result<[UInt8], ProviderError>

    /// The id of the process.
    let id: Int32
    private let asked: Mutex<ProviderClient?>

    /// Starts it.
    init(_ words: [String], _ environment: [String: String]) throws {
        // As credfs does; the allocator overwrites what is freed.
        let command = ProviderClient.Command(
            PackageDirectory.program("credfs-remote"),
            ["credfs-remote"] + words,
            environment: ["GLIBC_TUNABLES=glibc.malloc.perturb=165:glibc.malloc.tcache_count=0"]
        )
        let client = try ProviderClient(
            command,
            environment: environment.map { "\($0.key)=\($0.value)" } + ["PATH=/usr/bin:/bin"],
            speaks: false,
            batchLimit: 100,
            limit: 1 << 20,
            cancel: try Doorbell.make()
        )
        id = client.id
        asked = Mutex(client)
    }

    /// It ends when nobody can ask it any more.
    deinit {
        asked.withLock { $0 = nil }
        _ = try? Children.exit(of: id)
    }

    private func client() throws -> ProviderClient {
        guard let client = asked.withLock({ $0 }) else { throw CancellationError() }
        return client
    }

    /// Asks for the names that there are.
    func list(within milliseconds: Int64 = 60_000) async throws -> Result<[String]?, ProviderError> {
        let client = try client()
        return try await onItsOwnThread {
            Result { () throws(ProviderError) in try client.list(until: BootClock.milliseconds() + milliseconds) }
        }
    }

    /// Asks for values.
    func fetch(_ names: [String], within milliseconds: Int64 = 60_000) async throws -> [String: Answer] {
        let client = try client()
        return try await onItsOwnThread {
            var answers: [String: Answer] = [:]
            client.fetch(names, until: BootClock.milliseconds() + milliseconds) { (name, result) in
                switch consume result {
                case .success(let value):
                    answers[name] = .success(value.withBytes { bytes in bytes.indices.map { bytes[$0] } })
                case .failure(let error): answers[name] = .failure(error)
                }
            }
            return answers
        }
    }

    /// Asks for one value.
    func fetch(_ name: String, within milliseconds: Int64 = 60_000) async throws -> Answer {
        try await fetch([name], within: milliseconds)[name] ?? .failure(ProviderError(.invalid, "no answer"))
    }

    /// Asks for one value that has to be there, as text.
    func text(_ name: String) async throws -> String { String(decoding: try await fetch(name).get(), as: UTF8.self) }

    /// Asks for one value that cannot be had.
    func error(_ name: String, within milliseconds: Int64 = 60_000) async throws -> ProviderError? {
        if case .failure(let error) = try await fetch(name, within: milliseconds) { error } else { nil }
    }
}
