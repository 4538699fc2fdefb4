// SPDX-License-Identifier: Apache-2.0

import SecretSources
import Testing

/// Pauses between the starts of a process that ends again and again.
@Suite struct RestartPauseTests {
    @Test func theFirstStartWaitsForNothingAndEachNextOneTwiceAsLong() {
        var pause = RestartPause()
        var now: Int64 = 5_000_000
        #expect(pause.begin(at: now) == nil)
        for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
            #expect(pause.begin(at: now) == wait)
            #expect(pause.begin(at: now + Int64(wait) * 1000 - 1) == 1, "a refusal makes no pause longer")
            now += Int64(wait) * 1000
            #expect(pause.begin(at: now) == nil)
        }
        // Two quiet minutes, and it begins anew.
        now += 120_001
        #expect(pause.begin(at: now) == nil)
        #expect(pause.begin(at: now + 1) == 1)
    }
}
