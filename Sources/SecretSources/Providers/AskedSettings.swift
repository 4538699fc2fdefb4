// SPDX-License-Identifier: Apache-2.0

package import SecretStore

/// Settings of a source that is asked over time.
package struct AskedSettings: Sendable, Equatable {
    /// Milliseconds for which a value is used without asking again.
    package var timeToLive: Int64 = 300_000
    /// Milliseconds for which a value of before is served while the source fails.
    package var maximumStale: Int64 = 86_400_000
    /// Milliseconds for one request with its retries.
    package var timeout: Int64 = 5000
    /// Names that it is asked for; nil for those that it lists, else the secrets of the store without a value.
    package var names: [SecretName]?
    /// A newline at the end of what a program writes is part of the value.
    package var keepsNewline = false
    /// Attempts for one request.
    package var attempts = 1
    /// Requests in a second, in the long run; nil for no limit.
    package var requestsPerSecond: Double?
    /// Requests at once.
    package var burst = 20
    /// Settings of this kind of source alone, by their keys.
    package private(set) var own: [String: String] = [:]
    /// What names stand for, where a source has other names for its secrets.
    package var ids: [SecretName: String] = [:]
    /// Keys of the settings that this kind of source alone has.
    var ownKeys = ["newline"]
    /// A name can be `NAME=ID`.
    var namesHaveIDs = false

    /// Makes the usual ones.
    package init() {}

    /// Keys that follow the `?` of an address.
    private var keys: String {
        let keys = ["names", "ttl", "max-stale", "timeout"] + ownKeys
        return keys.dropLast().joined(separator: ", ") + " and " + (keys.last ?? "")
    }

    /// Reads what follows the `?` of an address: `KEY=VALUE`, several with `&` between.
    ///
    /// - Throws: class `usage`, without the text.
    mutating func read(_ text: Substring) throws(StoreError) {
        var seen: Set<Substring> = []
        for item in text.split(separator: "&", omittingEmptySubsequences: false) {
            let parts = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, seen.insert(parts[0]).inserted else { throw unknown }
            try set(String(parts[0]), String(parts[1]))
        }
    }

    /// Sets what a key says.
    ///
    /// - Throws: class `usage`, without the text.
    package mutating func set(_ key: String, _ value: String) throws(StoreError) {
        switch key {
        case "names":
            ids = [:]
            names = try value.split(separator: ",", omittingEmptySubsequences: false).map { (text) throws(StoreError) in
                try name(text)
            }
        case "ttl": timeToLive = try Self.time(key, value)
        case "max-stale": maximumStale = try Self.time(key, value)
        case "timeout":
            timeout = try Self.time(key, value)
            guard timeout > 0 else { throw StoreError(.usage, "timeout is longer than no time") }
        case "newline" where ownKeys.contains(key):
            guard let newline = SecretEntry.Newline(rawValue: value), newline != .ensure else {
                throw StoreError(.usage, "newline is exact or strip")
            }
            keepsNewline = newline == .exact
        case _ where ownKeys.contains(key):
            guard !value.isEmpty else { throw StoreError(.usage, "\(key) has no value") }
            own[key] = value
        default: throw unknown
        }
    }

    /// A name, and what it stands for if the text says so.
    private mutating func name(_ text: Substring) throws(StoreError) -> SecretName {
        let parts = namesHaveIDs ? text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false) : [text]
        guard namesHaveIDs || !text.contains("=") else {
            throw StoreError(
                .usage,
                "names has a name with '=' in it",
                hint: "the program is called with the name itself: have a script say what a name stands for"
            )
        }
        guard let name = SecretReference(String(parts[0]))?.name, parts.last?.isEmpty == false else {
            throw StoreError(.usage, "names has what is no name for a secret", hint: SecretReference.rule)
        }
        if parts.count == 2 { ids[name] = String(parts[1]) }
        return name
    }

    private static func time(_ key: String, _ text: String) throws(StoreError) -> Int64 {
        guard let time = milliseconds(text) else {
            throw StoreError(.usage, "\(key) is an integer and ms, s, m, h, d or w")
        }
        return time
    }

    /// Milliseconds of a time such as `300s`, or of a number of seconds.
    package static func milliseconds(_ text: String) -> Int64? {
        let digits = !text.isEmpty && text.utf8.allSatisfy { (0x30...0x39).contains($0) }
        return RotationRule.milliseconds(digits ? "\(text)s" : text)
    }

    private var unknown: StoreError {
        StoreError(
            .usage,
            "what follows the '?' of a source is not known",
            hint: "the keys are \(keys), with & between"
        )
    }
}
