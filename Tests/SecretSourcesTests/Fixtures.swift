// SPDX-License-Identifier: Apache-2.0

import Sealing
import SecretProviders
import SecretSources
import SecretStore
import SecureMemory
import Synchronization
import SystemCalls

/// Provider that says what a test wants, and counts what it is asked.
final class ScriptedProvider: SecretProvider {
    /// Answers by name; a name without one is not answered.
    let answers = Mutex<[String: Result<String, ProviderError>]>([:])
    /// The names of every request.
    let requests = Mutex<[[String]]>([])
    let names = Mutex<[String]?>(nil)
    let listFailure = Mutex<ProviderError?>(nil)
    let batchLimit: Int
    /// Called for each request.
    let onRequest: @Sendable () -> Void

    init(batchLimit: Int = 10, onRequest: @escaping @Sendable () -> Void = {}) {
        self.batchLimit = batchLimit
        self.onRequest = onRequest
    }

    func say(_ name: String, _ value: String) { answers.withLock { $0[name] = .success(value) } }

    func fail(_ name: String, _ error: ProviderError) { answers.withLock { $0[name] = .failure(error) } }

    /// The requests since the last call.
    func takeRequests() -> [[String]] {
        requests.withLock { requests in
            defer { requests = [] }
            return requests
        }
    }

    func list(until deadline: Int64) throws(ProviderError) -> [String]? {
        guard let error = listFailure.withLock({ $0 }) else { return names.withLock { $0 } }
        onRequest()
        throw error
    }

    func fetch(
        _ names: [String],
        until deadline: Int64,
        answer: (String, consuming Result<SecureBuffer, ProviderError>) -> Void
    ) {
        requests.withLock { $0.append(names) }
        onRequest()
        for name in names {
            switch answers.withLock({ $0[name] }) {
            case .success(let text):
                if let value = try? Self.buffer(text) { answer(name, .success(value)) }
            case .failure(let error): answer(name, .failure(error))
            case nil: break
            }
        }
    }

    static func buffer(_ text: String) throws -> SecureBuffer {
        let bytes = Array(text.utf8)
        var buffer = try SecureBuffer(count: bytes.count)
        buffer.withMutableBytes { target in
            for index in bytes.indices { target[index] = bytes[index] }
        }
        return buffer
    }
}

/// Clock that a test sets; pauses move it on.
final class ManualClock: Sendable {
    private let time = Mutex<Int64>(1_000_000)
    /// Every pause in milliseconds.
    let pauses = Mutex<[Int64]>([])

    var now: Int64 { time.withLock { $0 } }

    func advance(_ milliseconds: Int64) { time.withLock { $0 += milliseconds } }

    func pause(_ milliseconds: Int64) {
        pauses.withLock { $0.append(milliseconds) }
        advance(milliseconds)
    }
}

/// A source with a scripted provider, a clock and keys.
struct SourceBox {
    let provider: ScriptedProvider
    let clock: ManualClock
    let keys: StoreKeys
    let source: AskedSource

    init(
        _ change: (inout AskedSettings) -> Void = { _ in },
        batchLimit: Int = 10,
        random: Double = 0.5,
        clock: ManualClock = ManualClock(),
        onRequest: @escaping @Sendable () -> Void = {}
    ) throws {
        var settings = AskedSettings()
        change(&settings)
        self.clock = clock
        provider = ScriptedProvider(batchLimit: batchLimit, onRequest: onRequest)
        keys = try Self.makeKeys()
        source = AskedSource(
            "test:source",
            provider,
            settings,
            clock: { clock.now },
            random: { random },
            pause: { clock.pause($0) }
        )
    }

    static func makeKeys() throws -> StoreKeys {
        try StoreKeys(dataKey: try Key256.random(), store: try StoreID.random())
    }

    /// Sources with this one alone, which is asked for these names.
    func sources(_ names: String..., above: [String] = []) throws -> AskedSources {
        source.allow(names.compactMap(SecretName.init), except: Set(above.compactMap(SecretName.init)), [:])
        let sources = try AskedSources([source], cancel: try Doorbell.make())
        sources.use(keys)
        return sources
    }

    /// The values that it serves.
    var values: [String: String] {
        get throws {
            var cipher = try keys.valueCipher()
            var values: [String: String] = [:]
            for entry in source.entries {
                guard case .sealed(let value) = entry.value else { continue }
                values[entry.name.text] = try cipher.open(value, as: entry.name).withBytes { bytes in
                    String(decoding: bytes.indices.map { bytes[$0] }, as: UTF8.self)
                }
            }
            return values
        }
    }
}

extension ProviderError {
    static let none = ProviderError(.notFound, "no such secret")
    static let down = ProviderError(.unavailable, "down")
}

func name(_ text: String) -> SecretName {
    guard let name = SecretName(text) else { preconditionFailure("a name that is none") }
    return name
}
