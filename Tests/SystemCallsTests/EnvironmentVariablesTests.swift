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

    /// Of a credential a list of entries has the name alone; a program that is started by it gets the value from the block.
    @Test func aCredentialIsHandedOnWithoutACopyAndThenOverwritten() async {
        await #expect(processExitsWith: .success) {
            let block = EnvironmentBlock(["A=1", "VAULT_TOKEN=hvs.secret", "VAULT_TOKENS=2"])
            let entries = EnvironmentVariables.entries { _ in false }
            #expect(entries == ["A=1", "VAULT_TOKEN", "VAULT_TOKENS=2"])
            #expect(EnvironmentVariables.inheritedEntries() == entries.map { Array($0.utf8) })
            let test = #"test "$A$VAULT_TOKEN$VAULT_TOKENS" = 1hvs.secret2"#
            func status(_ script: String) throws -> SystemCalls.ChildProcess.Exit {
                try SystemCalls.ChildProcess(
                    "/bin/sh",
                    arguments: ["sh", "-c", script],
                    environment: entries,
                    descriptors: [(0, 0), (1, 1), (2, 2)]
                ).wait()
            }
            #expect((try? status(test)) == .status(0))
            EnvironmentVariables.overwriteCredentials()
            #expect(block.memory(ofEntry: 1) == Array("VAULT_TOKEN=".utf8) + [UInt8](repeating: 0, count: 10))
            #expect((try? status(#"test "$A$VAULT_TOKEN$VAULT_TOKENS" = 12"#)) == .status(0))
        }
    }

    @Test func credentialsAreMovedOutOfTheBlock() async {
        await #expect(processExitsWith: .success) {
            let block = EnvironmentBlock(["VAULT_TOKEN=t", "A=1", "AZURE_CLIENT_SECRET=s"])
            var bytes = [UInt8](repeating: 1, count: EnvironmentVariables.credentialByteCount())
            var span = bytes.mutableSpan
            EnvironmentVariables.takeCredentials(into: &span)
            #expect(bytes == Array("VAULT_TOKEN=t\u{0}AZURE_CLIENT_SECRET=s\u{0}".utf8))
            #expect(EnvironmentVariables.entries { _ in false } == ["A=1"])
            #expect(block.memory(ofEntry: 2).last == 0)
        }
    }
}
