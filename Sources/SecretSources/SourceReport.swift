// SPDX-License-Identifier: Apache-2.0

internal import SecretProviders
package import SecretStore

/// State of a source, for people: without a value.
package struct SourceReport: Sendable {
    /// The address, as it was given.
    package let source: String
    /// Why it cannot be read or asked.
    package let error: String?
    /// It answers.
    package let isReachable: Bool
    /// It lets us in, as far as it asks who we are.
    package let isAuthenticated: Bool
    /// Milliseconds that reading or the last request took.
    package let latency: Int64?
    /// Values that it has told.
    package let valueCount: Int
    /// Values among them that are served beyond their time since the source fails.
    package let staleCount: Int
    /// Milliseconds since the oldest of them was told; nil for what is read as a whole.
    package let age: Int64?

    /// It answers and lets us in.
    package var isHealthy: Bool { isReachable && isAuthenticated }

    /// Makes a report of a source that is read as a whole.
    package init(_ source: String, failure: StoreError?, latency: Int64?, valueCount: Int) {
        self.source = source
        error = failure?.message
        isReachable = failure == nil
        isAuthenticated = failure == nil
        self.latency = latency
        self.valueCount = valueCount
        staleCount = 0
        age = nil
    }

    /// Makes a report that another process has told.
    package init(
        _ source: String,
        error: String?,
        isReachable: Bool,
        isAuthenticated: Bool,
        latency: Int64?,
        valueCount: Int,
        staleCount: Int,
        age: Int64?
    ) {
        self.source = source
        self.error = error
        self.isReachable = isReachable
        self.isAuthenticated = isAuthenticated
        self.latency = latency
        self.valueCount = valueCount
        self.staleCount = staleCount
        self.age = age
    }

    /// Makes a report of a source that is asked over time.
    package init(_ source: String, _ facts: AskedSource.Facts) {
        self.source = source
        error = facts.lastError?.message
        let kind = facts.lastError?.kind
        isReachable = ![.unavailable, .invalid, .unusable].contains(kind)
        isAuthenticated = kind != .denied && isReachable
        latency = facts.latency
        valueCount = facts.cached
        staleCount = facts.stale
        age = facts.age
    }
}

/// Part of a source in the value of a name.
package struct SourceStanding: Sendable, Equatable {
    /// Part of one source.
    package enum Part: String, Sendable {
        /// It has a value, which counts.
        case wins
        /// It has a value, and one above it counts.
        case covered
        /// It has a value, which is one of before since the source fails; it counts.
        case stale
        /// It has none.
        case none
        /// It was not asked, since a source above it has a value or it is asked for other names.
        case notAsked
        /// It cannot tell.
        case failed
    }

    /// The address, `store` or `default`.
    package let source: String
    /// Its part.
    package let part: Part
    /// Why it has none, or one of before.
    package let reason: String?
}

extension SourceOverlay {
    /// States of the sources, the last one on top comes first.
    package var reports: [SourceReport] {
        states.reversed().map { state in
            if let failure = state.failure {
                return SourceReport(state.address, failure: failure, latency: state.latency, valueCount: 0)
            }
            guard let asked = state.asked else {
                return SourceReport(state.address, failure: nil, latency: state.latency, valueCount: state.names.count)
            }
            return SourceReport(state.address, asked.facts)
        }
    }

    /// Explains where the value of a name comes from.
    ///
    /// - Parameters:
    ///   - name: the name.
    ///   - inStore: whether the store has a value of it; nil where there is no store.
    /// - Returns: the part of each source, from the top to what is declared for names without a value.
    package func standings(of name: SecretName, inStore: Bool?) -> [SourceStanding] {
        var isDecided = false
        func part(_ hasValue: Bool, isStale: Bool = false) -> SourceStanding.Part {
            guard hasValue else { return .none }
            defer { isDecided = true }
            return isDecided ? .covered : isStale ? .stale : .wins
        }
        var standings = states.reversed().map { state -> SourceStanding in
            if let failure = state.failure {
                return SourceStanding(source: state.address, part: .failed, reason: failure.message)
            }
            guard let asked = state.asked else {
                return SourceStanding(source: state.address, part: part(state.names.contains(name)), reason: nil)
            }
            if asked.has(name) {
                let error = asked.staleError(of: name)
                let part = part(true, isStale: error != nil)
                return SourceStanding(source: state.address, part: part, reason: error?.message)
            }
            guard let error = asked.error(of: name) ?? asked.listError else {
                if asked.lacks(name) { return SourceStanding(source: state.address, part: .none, reason: nil) }
                return SourceStanding(source: state.address, part: .notAsked, reason: nil)
            }
            let part: SourceStanding.Part = error.kind == .notFound ? .none : .failed
            return SourceStanding(source: state.address, part: part, reason: error.message)
        }
        if let inStore { standings.append(SourceStanding(source: "store", part: part(inStore), reason: nil)) }
        if hasDefault(name) { standings.append(SourceStanding(source: "default", part: part(true), reason: nil)) }
        return standings
    }
}
