// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Glibc
import Testing

/// Programs of others, as Debian has them, that read secrets in every way there is.
@Suite(.serialized, .enabled(if: canMount, "needs root and /dev/fuse"), .host) struct Readers {}

/// Whether this process can mount: root, with the device.
let canMount = unsafe geteuid() == 0 && access("/dev/fuse", R_OK | W_OK) == 0

/// Lends a suite something that is made once and taken away at its end, whatever happens.
struct Lent<Thing: Sendable>: SuiteTrait, TestScoping {
    let place: TaskLocal<Thing?>
    let make: @Sendable () async throws -> Thing
    let takeAway: @Sendable (Thing) async throws -> Void

    func provideScope(
        for test: Test,
        testCase: Test.Case?,
        performing body: @concurrent @Sendable () async throws -> Void
    ) async throws {
        let thing = try await make()
        do {
            try await place.withValue(thing) { try await body() }
        } catch {
            try await takeAway(thing)
            throw error
        }
        try await takeAway(thing)
    }
}

extension Trait where Self == Lent<Host> {
    /// Two users with a store each.
    static var host: Self {
        Lent(place: Host.$lent, make: { try await Host() }, takeAway: { try await $0.expectNothingLeft() })
    }
}
