// SPDX-License-Identifier: Apache-2.0

import FuseBridge
import Jobs
import SecretFileSystem
import SecretStore
import Synchronization
import Testing

struct ProcessTreePolicyTests {
    private func decision(
        _ parents: [Int32: Int32],
        caller: Int32,
        supervisor: Int32 = 100
    ) throws -> AccessDecision {
        let rule = ProcessTreePolicy(supervisor: supervisor) { parents[$0] }
        return rule.decide(on: try request(caller))
    }

    private func request(_ caller: Int32) throws -> AccessRequest {
        AccessRequest(
            name: try #require(SecretName("T")),
            caller: Caller(user: 0, group: 0, thread: caller),
            generation: 1
        )
    }

    @Test func descendantsAreMembersAndOthersAreNot() throws {
        let parents: [Int32: Int32] = [103: 102, 102: 100, 100: 50, 50: 1, 1: 0, 60: 50]
        #expect(try decision(parents, caller: 103) == .allow)
        #expect(try decision(parents, caller: 100) == .allow)
        #expect(try decision(parents, caller: 60) == .refuse)
        #expect(try decision(parents, caller: 1) == .refuse)
        #expect(try decision(parents, caller: 0) == .refuse)
        #expect(try decision(parents, caller: 999) == .refuse)
    }

    @Test func theFirstProcessCanSupervise() throws {
        #expect(try decision([7: 1, 1: 0], caller: 7, supervisor: 1) == .allow)
    }

    @Test func aChainThatChangesIsLookedAtAgain() throws {
        let looks = Mutex(0)
        let rule = ProcessTreePolicy(supervisor: 100) { process in
            // The parent ends after it was named; the supervisor adopts its child.
            looks.withLock { looks in
                looks += 1
                if process == 102 { return nil }
                return looks == 1 ? 102 : 100
            }
        }
        #expect(rule.decide(on: try request(103)) == .allow)
    }

    @Test func aChainThatNeverHoldsStillIsRefused() throws {
        #expect(try decision([103: 102], caller: 103) == .refuse)
        #expect(try decision([103: 102, 102: 103], caller: 103) == .refuse)
    }
}
