// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import SystemCalls
import Testing

@Suite struct EnvironmentVariablesTests {
    @Test func aTakenVariableIsLentOverwrittenAndGone() async {
        await #expect(processExitsWith: .success) {
            let block = EnvironmentBlock(["FIRST=1", "SECRET=value", "LAST=2"])
            #expect(EnvironmentVariables.take("SECRET") { bytes in bytes.count } == 5)
            #expect(block.memory(ofEntry: 1) == Array("SECRET=".utf8) + [0, 0, 0, 0, 0])
            #expect(EnvironmentVariables.value("SECRET") == nil)
            #expect(EnvironmentVariables.value("FIRST") == "1")
            #expect(EnvironmentVariables.value("LAST") == "2")
            #expect(EnvironmentVariables.take("SECRET") { _ in true } == nil)
        }
    }

    /// A parent can put a name twice into the block; unsetenv(3) removes both, the bytes of both must go.
    @Test func everyEntryOfATakenVariableIsOverwritten() async {
        await #expect(processExitsWith: .success) {
            let block = EnvironmentBlock(["SECRET=value", "SECRETS=kept", "SECRET=other", "SECRET="])
            let taken = EnvironmentVariables.take("SECRET") { bytes in bytes.indices.map { bytes[$0] } }
            #expect(taken == Array("value".utf8))
            #expect(block.memory(ofEntry: 0).suffix(5).allSatisfy { $0 == 0 })
            #expect(block.memory(ofEntry: 2).suffix(5).allSatisfy { $0 == 0 })
            #expect(EnvironmentVariables.value("SECRET") == nil)
            #expect(EnvironmentVariables.value("SECRETS") == "kept")
        }
    }

    @Test func aVariableIsOverwrittenAlsoWhenItsReaderFails() async {
        await #expect(processExitsWith: .success) {
            struct Refusal: Error {}
            let block = EnvironmentBlock(["SECRET=value"])
            #expect(throws: Refusal.self) {
                try EnvironmentVariables.take("SECRET") { _ throws(Refusal) in throw Refusal() }
            }
            #expect(block.memory(ofEntry: 0).suffix(5).allSatisfy { $0 == 0 })
            #expect(EnvironmentVariables.value("SECRET") == nil)
        }
    }

    @Test func anEmptyVariableIsTaken() async {
        await #expect(processExitsWith: .success) {
            _ = EnvironmentBlock(["SECRET="])
            #expect(EnvironmentVariables.take("SECRET") { $0.count } == 0)
        }
    }
}
