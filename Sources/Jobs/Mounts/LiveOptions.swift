// SPDX-License-Identifier: Apache-2.0

package import SecretStore

/// Options of a mount while it lives: when it ends by itself, and what it follows.
package struct LiveOptions: Sendable {
    /// Time that the mount lasts, also while the machine sleeps.
    package var timeToLive: Duration?
    /// Time of the clock at which it ends.
    package var notAfter: Timestamp?
    /// Manifest and directories of sources whose changes let the store be read again.
    package var watched: [WatchedPlace] = []
    /// Reaction to another generation; nil for none.
    package var onChange: ChangeHook.Action?
    /// Environment of a command of a mount that belongs to no job; a job's has its own.
    package var hookEnvironment: [String] = []

    /// Makes the usual ones: a mount that lasts until it is ended.
    package init() {}

    /// The time at which a mount that begins now ends by itself, as the clock shows it.
    package func end(from now: Timestamp) -> Timestamp? {
        let end = timeToLive.map { time in
            Timestamp(seconds: min(now.seconds &+ time.components.seconds, Self.lastSecond))
        }
        return [end, notAfter].compactMap(\.self).min()
    }

    /// The last second of the year 9999.
    private static let lastSecond: Int64 = 253_402_300_799
}
