// SPDX-License-Identifier: Apache-2.0

import Jobs
import SecretStore
import Testing

struct FileVariablesTests {
    private func names(_ texts: String...) throws -> [SecretName] { try texts.map { try #require(SecretName($0)) } }

    @Test func aClashNamesBoth() throws {
        let names = try names("a-b", "a.b")
        let error = #expect(throws: MountError.self) { try FileVariables(names) }
        #expect(error?.code == .variables)
        #expect(error?.message == "'a-b' and 'a.b' would both have the variable A_B_FILE")
        #expect(error?.hint == "choose another for one of them: --file-var 'a.b=VARIABLE'")
    }

    @Test func aChosenVariableSettlesIt() throws {
        let names = try names("a-b", "a.b")
        let other = try #require(VariableName("OTHER"))
        let variables = try FileVariables(names, chosen: [names[1]: other])
        #expect(variables.pairs.map(\.variable.text) == ["A_B_FILE", "OTHER"])
    }

    @Test func variablesOfCredfsAreNotGivenAway() throws {
        let names = try names("credfs_key")
        #expect(throws: MountError.self) { try FileVariables(names) }
    }
}

struct JobEnvironmentTests {
    private func make(
        _ inherited: [String],
        _ names: [String] = ["token"],
        auth: AuthMode = .authenticated,
        _ change: (inout JobEnvironment.Rules) -> Void = { _ in }
    ) throws -> (entries: [String], plain: [String]) {
        var rules = JobEnvironment.Rules()
        change(&rules)
        let environment = JobEnvironment(
            inherited: inherited.map { Array($0.utf8) },
            directory: "/run/x",
            variables: try FileVariables(names.map { try #require(SecretName($0)) }),
            auth: auth,
            rules: rules
        )
        return (environment.entries.map { String(decoding: $0, as: UTF8.self) }, environment.plainNames)
    }

    @Test func everySecretHasTheVariableOfItsFile() throws {
        let made = try make(["PATH=/bin", "TOKEN_FILE=/old"])
        #expect(
            made.entries == [
                "PATH=/bin", "CREDENTIALS_DIRECTORY=/run/x", "CREDFS_AUTH_MODE=authenticated",
                "TOKEN_FILE=/run/x/token",
            ]
        )
    }

    @Test func whatOpensStoresIsNotInherited() throws {
        let secret = [
            "CREDFS_KEY=1", "CREDFS_KEY_FILE=2", "CREDFS_PASSWORD_CMD=3", "SOPS_AGE_KEY=4", "CREDFS_AGE_KEY=5",
        ]
        let made = try make(secret + ["CREDFS_STORE=/s"])
        #expect(made.entries.first == "CREDFS_STORE=/s")
        #expect(made.entries.count == 4)
    }

    @Test func anOuterDirectoryHasANameOfItsOwn() throws {
        let made = try make(["CREDENTIALS_DIRECTORY=/outer", "CREDFS_OUTER_CREDENTIALS_DIRECTORY=/older"])
        #expect(made.entries.contains("CREDFS_OUTER_CREDENTIALS_DIRECTORY=/outer"))
        #expect(made.entries.count == 4)
    }

    @Test func aPlainVariableIsKeptAndNamedOrTakenAway() throws {
        #expect(try make(["TOKEN=x"]).plain == ["TOKEN"])
        let made = try make(["TOKEN=x", "A=b"]) { $0.unsetsPlain = true }
        #expect(made.plain.isEmpty)
        #expect(made.entries.first == "A=b")
    }

    @Test func aPristineEnvironmentInheritsNothing() throws {
        let made = try make(["TOKEN=x", "A=b"]) { $0.isPristine = true }
        #expect(
            made.entries.map { $0.prefix { $0 != "=" } } == ["CREDENTIALS_DIRECTORY", "CREDFS_AUTH_MODE", "TOKEN_FILE"]
        )
    }

    @Test func anUnauthenticatedJobIsToldWhy() throws {
        let made = try make(["CREDFS_AUTH_REASON=old"], [], auth: .unauthenticated(reason: "no-store"))
        #expect(made.entries.suffix(2) == ["CREDFS_AUTH_MODE=unauthenticated", "CREDFS_AUTH_REASON=no-store"])
        #expect(made.entries.count == 3)
    }

    @Test func bytesThatAreNoTextAreKept() throws {
        let entry: [UInt8] = Array("BIN=".utf8) + [0xff, 0xfe]
        let environment = JobEnvironment(
            inherited: [entry],
            directory: "/d",
            variables: try FileVariables([]),
            auth: .authenticated,
            rules: JobEnvironment.Rules()
        )
        #expect(environment.entries.first == entry)
    }
}
