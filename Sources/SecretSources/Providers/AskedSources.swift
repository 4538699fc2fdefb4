// SPDX-License-Identifier: Apache-2.0

package import SecretProviders
package import SecretStore
internal import Synchronization
package import SystemCalls
package import SystemPackage

/// Sources that are asked over time, the last one on top, and the thread of a server that asks them again.
package final class AskedSources: Sendable {
    /// Failure of one name.
    package struct Failure: Sendable {
        /// The name.
        package let name: SecretName
        /// Address of the source that failed last.
        package let source: String
        /// Why.
        package let error: ProviderError
        /// The value of before is served.
        package let isServed: Bool
    }

    /// Milliseconds before what failed for want of keys is looked at again.
    private static let pause = 1000

    /// The sources, the last one on top.
    package let sources: [AskedSource]
    private let keys = Mutex<StoreKeys?>(nil)
    private let bell: Doorbell
    /// Rung to end every wait.
    private let cancel: Doorbell
    private let changes: Doorbell
    private let isEnding = Atomic<Bool>(false)
    /// Somebody wants to have it looked at what there is to ask.
    private let isWoken = Atomic<Bool>(false)
    private let thread = Mutex<OwnThread?>(nil)

    /// Makes them.
    ///
    /// - Parameters:
    ///   - sources: the sources, the last one on top.
    ///   - cancel: what their providers wait for, too.
    /// - Throws: the error of pipe2(2).
    package init(_ sources: [AskedSource], cancel: Doorbell) throws(Errno) {
        self.sources = sources
        self.cancel = cancel
        bell = try Doorbell.make()
        changes = try Doorbell.make()
    }

    /// Can be read when readers would see a difference, until `takeChange`.
    package var notice: Int32 { changes.number }

    /// Takes the notice.
    package func takeChange() { changes.wait(milliseconds: 0) }

    /// Seals with these keys from now on; values that they do not open are forgotten.
    package func use(_ keys: StoreKeys) {
        for source in sources {
            guard let entry = source.entries.first, case .sealed(let value) = entry.value else { continue }
            do { try keys.readParts(of: value, as: entry.name) { _ in } } catch { source.forget() }
        }
        self.keys.withLock { $0 = keys }
        bell.ring()
    }

    /// Asks nothing until there are keys again.
    package func forgetKeys() { keys.withLock { $0 = nil } }

    /// Lets the thread look at what there is to ask.
    func wake() {
        isWoken.store(true, ordering: .releasing)
        bell.ring()
    }

    /// Asks every source, from the top, for what it is wanted for and has not told, or is due.
    ///
    /// - Parameters:
    ///   - forced: names to ask for whatever is known of them.
    ///   - listing: whether the names that there are are asked for whatever is known of them.
    /// - Returns: whether readers would see a difference.
    /// - Throws: class `authentication` where the keys were wiped.
    @discardableResult
    package func update(forced: Set<SecretName> = [], listing: Bool = false) throws(StoreError) -> Bool {
        guard let keys = keys.withLock({ $0 }) else {
            throw StoreError(.authentication, "the keys were wiped", hint: "present them again: credfs unlock")
        }
        let since = sources.first.map { $0.present } ?? 0
        var resolved: Set<SecretName> = []
        var hasChanged = false
        for source in sources.reversed() {
            let list = source.list(isForced: listing)
            if list.hasChanged { hasChanged = true }
            source.want(except: resolved)
            let names = Set(source.due()).union(forced.intersection(source.wanted))
            if !names.isEmpty, try source.ask(names.sorted(), since: since, keys, unless: list.late) {
                hasChanged = true
            }
            resolved.formUnion(source.names)
        }
        return hasChanged
    }

    /// Asks again for names, or for every name, whatever is known of them; on any thread.
    ///
    /// - Parameter names: which; nil for all.
    /// - Returns: what failed, by the order of the names.
    /// - Throws: class `authentication` where the mount is locked, `noSuchSecret` for a name that no source is asked for.
    package func refresh(_ names: [SecretName]?) throws(StoreError) -> [Failure] {
        let wanted = sources.reduce(into: Set<SecretName>()) { $0.formUnion($1.eligible) }
        for name in names ?? [] where !wanted.contains(name) {
            throw StoreError(
                .noSuchSecret,
                "no source is asked for '\(name.shown)'",
                hint: "what is in the store or in a directory is read again by: credfs reload"
            )
        }
        let forced = names.map { Set($0) } ?? wanted
        try update(forced: forced, listing: names == nil)
        return forced.sorted().compactMap { failure(of: $0) }
    }

    /// Failure of a name that no source has told, or whose value is one of before.
    package func failure(of name: SecretName) -> Failure? {
        var failure: Failure?
        for source in sources.reversed() {
            if let error = source.staleError(of: name) {
                return Failure(name: name, source: source.text, error: error, isServed: true)
            }
            if source.has(name) { return nil }
            guard let error = source.error(of: name) else { continue }
            // That a source cannot tell says more than that another one has none.
            if failure == nil || failure?.error.kind == .notFound {
                failure = Failure(name: name, source: source.text, error: error, isServed: false)
            }
        }
        return failure
    }

    /// Starts the thread that asks again when values are due.
    ///
    /// - Throws: the error of pthread_create(3).
    package func begin() throws(Errno) {
        guard !sources.isEmpty else { return }
        let thread = try OwnThread { self.work() }
        self.thread.withLock { $0 = thread }
    }

    /// Ends the thread and every wait for an answer.
    package func end() {
        isEnding.store(true, ordering: .releasing)
        cancel.ring()
        bell.ring()
        thread.withLock { $0.take() }?.join()
    }

    private func work() {
        while !isEnding.load(ordering: .acquiring) {
            let hasKeys = keys.withLock { $0 != nil }
            let due = hasKeys ? sources.compactMap { $0.nextDue() }.min() : nil
            let now = sources.first?.present ?? 0
            let isWoken = hasKeys && isWoken.exchange(false, ordering: .acquiringAndReleasing)
            if !isWoken, due.map({ $0 > now }) ?? true {
                bell.wait(milliseconds: due.map { Int($0 - now) })
                continue
            }
            do throws(StoreError) {
                if try update() { changes.ring() }
            } catch {
                bell.wait(milliseconds: Self.pause)
            }
        }
    }
}
