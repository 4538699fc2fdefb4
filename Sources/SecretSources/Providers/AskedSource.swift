// SPDX-License-Identifier: Apache-2.0

internal import PlaintextDocuments
package import SecretProviders
package import SecretStore
internal import SecureMemory
internal import Synchronization
internal import SystemCalls

/// Source that is asked over time, with what it has told: sealed values, each with a time to live.
///
/// A value that was told is served beyond its time while the source fails. That there is none is never remembered as an answer:
/// whoever wants it asks again.
package final class AskedSource: Sendable {
    /// Facts for people and metrics, without a value.
    package struct Facts: Sendable {
        /// Requests for a value by how they ended: `success` or a kind of error.
        package var requests: [String: UInt64] = [:]
        /// Time of the last answer that was no failure of the source.
        package var lastSuccess: Timestamp?
        /// The last failure since then.
        package var lastError: ProviderError?
        /// Milliseconds that the last request took.
        package var latency: Int64?
        /// Values that are served.
        package var cached = 0
        /// Values that are served beyond their time since the source fails.
        package var stale = 0
        /// Milliseconds since the oldest value was told.
        package var age: Int64?

        /// Makes the facts of a source that nobody asked.
        package init() {}

        /// Adds the requests of another source, and its last answer if that is later.
        package mutating func add(_ other: Facts) {
            requests.merge(other.requests) { $0 &+ $1 }
            lastSuccess = [lastSuccess, other.lastSuccess].compactMap(\.self).max()
        }
    }

    private struct Told {
        var entry: SecretEntry
        var time: Int64
        /// Time to ask again.
        var due: Int64
        /// Failures to tell it again.
        var failures = 0
        /// The last of them.
        var error: ProviderError?
    }

    private struct Untold {
        var error: ProviderError
        var time: Int64
        var due: Int64
        var failures: Int
    }

    private struct State {
        /// Names that it is asked for where it names and lists none.
        var allowed: [SecretName] = []
        /// Names that anybody wants to know of; nil for all.
        var only: Set<SecretName>?
        /// Names that a source above has which is not asked.
        var above: Set<SecretName> = []
        /// Names to ask for: without those that an asked source above has told.
        var wanted: Set<SecretName> = []
        var formats: [SecretName: SecretEntry.Format] = [:]
        var told: [SecretName: Told] = [:]
        var untold: [SecretName: Untold] = [:]
        /// Names that the source lists.
        var listed: [SecretName]?
        /// Names that it lists and no secret can have.
        var unusable: [String] = []
        var listDue = Int64.min
        /// The source answers only for names that it is asked for.
        var listsNothing = false
        var listFailures = 0
        var listError: ProviderError?
        var bucket: TokenBucket
        /// Time before which the source wants no request.
        var pausedUntil = Int64.min
        var facts = Facts()
    }

    /// The base and the cap of pauses between attempts of one request, in milliseconds.
    private static let retryPause: (base: Int64, cap: Int64) = (100, 2000)
    /// The shortest pause after a failure before a server asks again by itself.
    private static let shortestPause: Int64 = 1000
    /// Requests without an answer in time after which a source is not asked for the rest.
    private static let patience = 2

    /// The address, as it was given.
    package let text: String
    /// The address without settings, which may name secrets.
    package var label: String { String(text.prefix { $0 != "?" }) }
    let settings: AskedSettings
    /// Held while it is asked: of several who want the same, one asks.
    private let provider: Mutex<any SecretProvider>
    private let state: Mutex<State>
    private let clock: @Sendable () -> Int64
    private let random: @Sendable () -> Double
    private let pause: @Sendable (Int64) -> Void

    /// Makes a source that nobody has asked.
    ///
    /// - Parameters:
    ///   - text: its address.
    ///   - provider: what is asked.
    ///   - settings: times and names.
    ///   - clock: milliseconds of `BootClock`.
    ///   - random: a number from 0 to 1.
    ///   - pause: waits for milliseconds.
    package init(
        _ text: String,
        _ provider: any SecretProvider,
        _ settings: AskedSettings,
        clock: @escaping @Sendable () -> Int64 = BootClock.milliseconds,
        random: @escaping @Sendable () -> Double = { Double.random(in: 0...1) },
        pause: @escaping @Sendable (Int64) -> Void
    ) {
        self.text = text
        self.settings = settings
        self.provider = Mutex(provider)
        self.clock = clock
        self.random = random
        self.pause = pause
        state = Mutex(
            State(bucket: TokenBucket(perSecond: settings.requestsPerSecond, burst: settings.burst, now: clock()))
        )
    }

    /// Sets the names that it may be asked for, where it names none itself, and the formats of their values; of `only`, where
    /// that is not nil, and of no other.
    package func allow(
        _ names: [SecretName],
        except resolved: Set<SecretName>,
        _ formats: [SecretName: SecretEntry.Format],
        only: Set<SecretName>? = nil
    ) {
        state.withLock { state in
            state.allowed = names
            state.only = only
            state.above = resolved
            state.formats = formats
        }
    }

    private func eligible(_ state: borrowing State) -> Set<SecretName> {
        let names = Set(settings.names ?? state.listed ?? state.allowed).subtracting(state.above)
        return state.only.map { names.intersection($0) } ?? names
    }

    /// Sets the names that are wanted of it: those that it may be asked for, without what sources above it have.
    ///
    /// What is not wanted is forgotten.
    func want(except resolved: Set<SecretName>) {
        state.withLock { state in
            state.wanted = eligible(state).subtracting(resolved)
            state.told = state.told.filter { state.wanted.contains($0.key) }
            state.untold = state.untold.filter { state.wanted.contains($0.key) }
        }
    }

    /// Names that it may be asked for.
    var eligible: Set<SecretName> { state.withLock { eligible($0) } }

    /// The time of its clock.
    var present: Int64 { clock() }

    /// Names that are wanted of it.
    package var wanted: Set<SecretName> { state.withLock { $0.wanted } }

    /// Names that it has a value for.
    var names: Set<SecretName> { state.withLock { Set($0.told.keys) } }

    /// Detects a name that it has a value for.
    func has(_ name: SecretName) -> Bool { state.withLock { $0.told[name] != nil } }

    /// Detects a name that is not among those that it lists.
    func lacks(_ name: SecretName) -> Bool {
        guard settings.names == nil else { return false }
        return state.withLock { $0.listed?.contains(name) == false }
    }

    /// Names that its settings or its list say it has.
    var promised: [SecretName] { settings.names ?? state.withLock { $0.listed } ?? [] }

    /// Names that it lists and no secret can have.
    package var unusable: [String] { state.withLock { $0.unusable } }

    /// Why it can never answer as it is set up; nil where it can, or was not asked.
    var setUpError: ProviderError? {
        state.withLock { state in
            if let error = state.listError, error.kind == .unusable { return error }
            return state.untold.values.first { $0.error.kind == .unusable }?.error
        }
    }

    /// Values that it has told.
    package var entries: [SecretEntry] {
        state.withLock { state in state.told.values.map(\.entry).sorted { $0.name < $1.name } }
    }

    /// Why it has no value for a wanted name; nil where it has, or was not asked.
    package func error(of name: SecretName) -> ProviderError? { state.withLock { $0.untold[name]?.error } }

    /// Why a value of before is served; nil for one that was told when it was asked for last.
    package func staleError(of name: SecretName) -> ProviderError? { state.withLock { $0.told[name]?.error } }

    /// Facts as they are now.
    package var facts: Facts {
        let now = clock()
        return state.withLock { state in
            var facts = state.facts
            facts.cached = state.told.count
            facts.stale = state.told.values.count { $0.failures > 0 }
            facts.age = state.told.values.map { now - $0.time }.max()
            return facts
        }
    }

    /// Forgets every value: what sealed them is gone.
    func forget() {
        state.withLock { state in
            state.told = [:]
            state.untold = [:]
        }
    }

    /// Time at which there is something to ask; nil for never.
    func nextDue() -> Int64? {
        state.withLock { state in
            if state.wanted.contains(where: { state.told[$0] == nil && state.untold[$0] == nil }) { return .min }
            let listing = settings.names == nil && !state.listsNothing ? [state.listDue] : []
            return (state.told.values.map(\.due) + state.untold.values.map(\.due) + listing).min()
        }
    }

    /// Names to ask for now: those that nobody asked for, and with one that is due those that soon are.
    func due() -> [SecretName] {
        let now = clock()
        return state.withLock { state in
            let soon = now + settings.timeToLive / 10
            let fresh = state.wanted.filter { state.told[$0] == nil && state.untold[$0] == nil }
            let isDue = state.told.values.contains { $0.due <= now } || state.untold.values.contains { $0.due <= now }
            guard isDue else { return fresh.sorted() }
            let old = state.told.filter { $0.value.due <= soon }.map(\.key)
            let missing = state.untold.filter { $0.value.due <= soon }.map(\.key)
            return (fresh + old + missing).sorted()
        }
    }

    /// Asks for the names that there are, where the source tells them and was not asked within their time.
    ///
    /// - Returns: whether they differ from those of before, and the error of a request that took all of its time: then values are
    ///   not asked for.
    func list(isForced: Bool) -> (hasChanged: Bool, late: ProviderError?) {
        guard settings.names == nil else { return (false, nil) }
        let now = clock()
        guard isForced || state.withLock({ $0.listDue <= now }) else { return (false, nil) }
        let answer = provider.withLock { names(of: $0) }
        let isLate = clock() - now >= settings.timeout
        return state.withLock { state in
            state.listDue = clock() + settings.timeToLive
            switch answer {
            case .success(let names):
                if state.facts.lastError == state.listError { state.facts.lastError = nil }
                state.listError = nil
                state.listFailures = 0
                state.listsNothing = names == nil
                guard let names else { return (false, nil) }
                let listed = names.compactMap { SecretName($0) }
                state.unusable = names.filter { SecretName($0) == nil }
                defer { state.listed = listed }
                return (state.listed != listed, nil)
            case .failure(let error):
                state.facts.lastError = error
                state.listError = error
                state.listFailures += 1
                state.listDue = clock() + pause(after: state.listFailures, error)
                return (false, isLate ? error : nil)
            }
        }
    }

    /// Why the source cannot tell which names there are; nil where it can, or was not asked.
    package var listError: ProviderError? { state.withLock { $0.listError } }

    /// One listing with its retries.
    private func names(of provider: any SecretProvider) -> Result<[String]?, ProviderError> {
        let deadline = clock() + settings.timeout
        var failures = 0
        while true {
            // One request in the time of a value takes nothing from the bucket, but waits where the source wants none.
            let now = clock()
            let wait = state.withLock { max(now, $0.pausedUntil) } - now
            guard now + wait < deadline else { return .failure(Self.busy(wait)) }
            if wait > 0 { self.pause(wait) }
            let began = clock()
            let answer = Result<[String]?, ProviderError> { () throws(ProviderError) in
                try provider.list(until: deadline)
            }
            guard case .failure(let error) = answer else {
                if case .success(.some) = answer { countListing(since: began) }
                return answer
            }
            failures += 1
            let longest = error.retryAfter.map { Int64($0) * 1000 }
            if let longest { state.withLock { $0.pausedUntil = clock() + longest } }
            let pause = pause(after: failures - 1, retryAfter: longest)
            guard error.canBeRepeated, failures < settings.attempts, clock() + pause < deadline else { return answer }
            self.pause(pause)
        }
    }

    /// Milliseconds before the next attempt of a request.
    private func pause(after failures: Int, retryAfter: Int64?) -> Int64 {
        let (base, cap) = Self.retryPause
        return max(retryAfter ?? 0, Backoff.milliseconds(after: failures, base: base, cap: cap, random: random()))
    }

    private func countListing(since began: Int64) {
        let latency = clock() - began
        state.withLock { state in
            state.facts.latency = latency
            state.facts.lastSuccess = Timestamp.now()
        }
    }

    /// Asks for values, whatever is known of them.
    ///
    /// - Parameters:
    ///   - names: which; those that are not wanted are left out.
    ///   - since: whoever asked after this time has asked for us, too.
    ///   - keys: seal what is told.
    ///   - reason: why it is not asked at all.
    /// - Returns: whether readers would see a difference.
    /// - Throws: class `authentication` where the keys were wiped; `failed`.
    @discardableResult
    package func ask(
        _ names: [SecretName],
        since: Int64,
        _ keys: StoreKeys,
        unless reason: ProviderError? = nil
    ) throws(StoreError) -> Bool {
        try provider.withLock { (provider) throws(StoreError) in
            let open = state.withLock { state in
                names.filter { name in
                    let time = state.told[name].flatMap { $0.failures == 0 ? $0.time : nil } ?? state.untold[name]?.time
                    return state.wanted.contains(name) && (time.map { $0 < since } ?? true)
                }
            }
            guard !open.isEmpty else { return false }
            let sealer = try ValueSealer(keys)
            let comparison = try ValueComparison(keys)
            var hasChanged = false
            var late = 0
            var rest = open[...]
            while !rest.isEmpty {
                let batch = Array(rest.prefix(max(1, provider.batchLimit)))
                rest = rest.dropFirst(batch.count)
                let answers: [SecretName: Answer]
                if let reason {
                    answers = Dictionary(uniqueKeysWithValues: batch.map { ($0, .failure(reason)) })
                } else if late < Self.patience {
                    let began = clock()
                    answers = try request(batch, of: provider, sealer)
                    let isLate = clock() - began >= settings.timeout && answers.values.allSatisfy(\.isFailure)
                    late = isLate ? late + 1 : 0
                } else {
                    let error = ProviderError(.unavailable, "not asked: it did not answer \(Self.patience) times")
                    answers = Dictionary(uniqueKeysWithValues: batch.map { ($0, .failure(error)) })
                }
                for name in batch where note(answers[name] ?? .failure(Self.silence), of: name, comparison) {
                    hasChanged = true
                }
            }
            return hasChanged
        }
    }

    private typealias Answer = Result<SealedValue, ProviderError>

    private static let silence = ProviderError(.unavailable, "there was no answer")

    /// One request with its retries.
    private func request(
        _ names: [SecretName],
        of provider: any SecretProvider,
        _ sealer: ValueSealer
    ) throws(StoreError) -> [SecretName: Answer] {
        let deadline = clock() + settings.timeout
        let formats = state.withLock { $0.formats }
        var answers: [SecretName: Answer] = [:]
        var left = names
        for attempt in 0..<max(1, settings.attempts) {
            if let error = turn(before: deadline) {
                for name in left where answers[name] == nil { answers[name] = .failure(error) }
                break
            }
            let began = clock()
            var failure: StoreError?
            let asked = Set(left)
            provider.fetch(left.map(\.text), until: deadline) { (text, result) in
                guard let name = SecretName(text), asked.contains(name) else { return }
                do throws(StoreError) { answers[name] = try Self.seal(result, name, formats[name], sealer) } catch {
                    failure = error
                }
            }
            if let failure { throw failure }
            for name in left where answers[name] == nil { answers[name] = .failure(Self.silence) }
            count(left.compactMap { answers[$0] }, since: began)
            left = left.filter { answers[$0]?.canBeRepeated == true }
            let longest = left.compactMap { answers[$0]?.retryAfter }.max()
            if let longest { state.withLock { $0.pausedUntil = clock() + longest } }
            let pause = pause(after: attempt, retryAfter: longest)
            guard !left.isEmpty, attempt + 1 < settings.attempts, clock() + pause < deadline else { break }
            self.pause(pause)
        }
        return answers
    }

    private static func seal(
        _ result: consuming Result<SecureBuffer, ProviderError>,
        _ name: SecretName,
        _ format: SecretEntry.Format?,
        _ sealer: ValueSealer
    ) throws(StoreError) -> Answer {
        switch consume result {
        case .failure(let error): return .failure(error)
        case .success(let value):
            guard value.count > 0 else { return .failure(ProviderError(.notFound, "its value is empty")) }
            if let format, !value.withBytes({ format.accepts($0) }) {
                return .failure(ProviderError(.invalid, "its value is not \(format.rawValue)"))
            }
            let text = try value.withBytes { (bytes) throws(StoreError) in
                try sealer.seal(bytes, for: ImportTarget(name))
            }
            guard let sealed = SealedValue(text) else { throw StoreError(.failed, "a value was not sealed") }
            return .success(sealed)
        }
    }

    /// Waits until the source may be asked.
    ///
    /// - Returns: why that is not before a deadline.
    private func turn(before deadline: Int64) -> ProviderError? {
        while true {
            let now = clock()
            let wait = state.withLock { state in
                state.pausedUntil > now ? state.pausedUntil - now : state.bucket.take(now: now)
            }
            guard wait > 0 else { return nil }
            guard now + wait < deadline else { return Self.busy(wait) }
            pause(wait)
        }
    }

    private static func busy(_ wait: Int64) -> ProviderError {
        let seconds = (wait + 999) / 1000
        return ProviderError(.throttled, "it takes no more requests for \(seconds) s", retryAfter: Int(seconds))
    }

    private func count(_ answers: [Answer], since began: Int64) {
        let latency = clock() - began
        state.withLock { state in
            state.facts.latency = latency
            for answer in answers {
                switch answer {
                case .success:
                    state.facts.requests["success", default: 0] &+= 1
                    state.facts.lastSuccess = Timestamp.now()
                    state.facts.lastError = nil
                case .failure(let error):
                    state.facts.requests["\(error.kind)", default: 0] &+= 1
                    // It has answered.
                    if error.kind == .notFound { state.facts.lastSuccess = Timestamp.now() }
                    state.facts.lastError = error
                }
            }
        }
    }

    /// Keeps an answer.
    ///
    /// - Returns: whether readers would see a difference.
    private func note(_ answer: Answer, of name: SecretName, _ comparison: ValueComparison) -> Bool {
        let now = clock()
        let old = state.withLock { $0.told[name] }
        switch answer {
        case .success(let value):
            let time = Double(settings.timeToLive)
            let due = now + Int64(time * (0.9 + 0.2 * random()))
            var isSame = false
            if let old, case .sealed(let before) = old.entry.value {
                isSame = (try? comparison.areSame(before, value, as: name)) == true
            }
            var entry = SecretEntry(name: name)
            entry.value = .sealed(value)
            entry.rotated = Timestamp.now()
            let told = Told(entry: isSame ? old?.entry ?? entry : entry, time: now, due: due)
            state.withLock { state in
                state.told[name] = told
                state.untold[name] = nil
            }
            return !isSame
        case .failure(let error):
            return state.withLock { state in
                let failures = (old?.failures ?? state.untold[name]?.failures ?? 0) + 1
                let due = now + pause(after: failures, error)
                guard let old, error.kind != .notFound, now - old.time <= settings.maximumStale else {
                    let before = state.untold[name]?.error.kind
                    state.told[name] = nil
                    state.untold[name] = Untold(error: error, time: now, due: due, failures: failures)
                    // That there is none, and that nobody can tell, are different errors for readers.
                    return old != nil || before.map { ($0 == .notFound) != (error.kind == .notFound) } == true
                }
                state.told[name]?.failures = failures
                state.told[name]?.error = error
                state.told[name]?.due = min(due, max(now + 1, old.time + settings.maximumStale + 1))
                return false
            }
        }
    }

    /// Milliseconds before a server asks again by itself.
    private func pause(after failures: Int, _ error: ProviderError) -> Int64 {
        if error.kind == .notFound { return max(Self.shortestPause, settings.timeToLive) }
        let pause = Backoff.milliseconds(
            after: failures,
            base: Self.shortestPause,
            cap: max(Self.shortestPause, settings.timeToLive),
            random: random()
        )
        return max(pause, Self.shortestPause, Int64(error.retryAfter ?? 0) * 1000)
    }
}

extension ProviderError {
    /// Another attempt can help.
    fileprivate var canBeRepeated: Bool { [.unavailable, .throttled].contains(kind) }
}

extension Result where Success == SealedValue, Failure == ProviderError {
    fileprivate var isFailure: Bool {
        if case .failure = self { true } else { false }
    }

    /// Another attempt can help.
    fileprivate var canBeRepeated: Bool {
        if case .failure(let error) = self { error.canBeRepeated } else { false }
    }

    /// Milliseconds that the source wants to be left alone for.
    fileprivate var retryAfter: Int64? {
        if case .failure(let error) = self { error.retryAfter.map { Int64($0) * 1000 } } else { nil }
    }
}
