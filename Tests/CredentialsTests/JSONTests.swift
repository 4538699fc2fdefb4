// SPDX-License-Identifier: Apache-2.0

import Credentials
import Testing

@Suite struct JSONTests {
    private func secret(_ text: String) throws(CredentialsError) -> Secret {
        try Secret(copying: text.utf8.span)
    }

    private func error(
        _ text: String,
        _ body: (borrowing Secret) throws(CredentialsError) -> Void
    ) -> CredentialsError? {
        failure { () throws(CredentialsError) in try body(try secret(text)) }
    }

    private static let login = #"""
         { "user" : "api", "password": "p\u0061ss\"word",
           "port": 5432, "tls": true, "none": null, "debug": false,
           "hosts": [ "a", "b", {"name": "c", "": "empty key"} ], "nested": {"key": [[1]]} }
        """#

    @Test func handsOutMembers() throws {
        let secret = try secret(Self.login)
        #expect(try secret.jsonSecret("user").text == "api")
        #expect(try secret.jsonSecret("password").text == "pass\"word")
        #expect(try secret.jsonInteger("port") == 5432)
        #expect(try secret.jsonBoolean("tls"))
        #expect(try !secret.jsonBoolean("debug"))
        #expect(try secret.jsonSecret("hosts", 1).text == "b")
        #expect(try secret.jsonSecret("hosts", 2, "name").text == "c")
        #expect(try secret.jsonSecret("hosts", 2, "").text == "empty key")
        #expect(try secret.jsonInteger("nested", "key", 0, 0) == 1)
        #expect(try secret.jsonCount() == 8)
        #expect(try secret.jsonCount("hosts") == 3)
        #expect(try secret.jsonCount("hosts", 2) == 2)
        #expect(try secret.jsonContains("none"))
        #expect(try !secret.jsonContains("absent"))
        #expect(try !secret.jsonContains("hosts", 3))
        #expect(try !secret.jsonContains("hosts", -1))
        #expect(try !secret.jsonContains("hosts", "name"))
        #expect(try !secret.jsonContains("nested", 0))
        #expect(try !secret.jsonContains("user", "x"))
    }

    @Test func theWholeCanBeAnyValue() throws {
        #expect(try secret(#""token""#).jsonSecret().text == "token")
        #expect(try secret(" -12 ").jsonInteger() == -12)
        #expect(try secret("[]").jsonCount() == 0)
        #expect(try secret("{}").jsonCount() == 0)
    }

    @Test(arguments: [
        (#""""#, ""), (#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{c}\n\r\t"), (#""\u00e9\u20ac""#, "\u{e9}\u{20ac}"),
        (#""\ud83d\ude00x""#, "\u{1f600}x"), (#""\uD83D\uDE00\ud83d\ude00""#, "\u{1f600}\u{1f600}"),
        (#""\u0000""#, "\0"), ("\"\u{1f600}\u{7f}\"", "\u{1f600}\u{7f}"),
        (#""\uffff\u07ff\u0800""#, "\u{ffff}\u{7ff}\u{800}"),
        (#""\udbff\udfff""#, "\u{10ffff}"),
    ])
    func escapesAreResolved(text: String, content: String) throws {
        #expect(try secret(text).jsonSecret().text == content)
    }

    @Test func escapedKeysAreTheSameKeys() throws {
        #expect(try secret(#"{"p\u0061ss\n": "x"}"#).jsonSecret("pass\n").text == "x")
    }

    @Test(arguments: [
        "", " ", "{", "}", "[", "]", "{]", "[}", "nul", "nulll", "True", "tru", "'a'", #"{"a":1,}"#, "[1,]", "[,1]",
        "[1 2]",
        #"{"a" 1}"#, #"{"a":}"#, "{a:1}", "{1:2}", #"{"a":1 "b":2}"#, "01", "-", "+1", "1.", ".5", "1e", "1e+", "0x10",
        "NaN", "Infinity", "-Infinity", "1 2", "{} {}", #""a"#, #"""#, "\"\n\"", "\"\t\"", "\"\0\"", #""\x""#,
        #""\u12""#,
        #""\u12g4""#, #""\ud83d""#, #""\ud83dx""#, #""\ud83d\n""#, #""\ud83dA""#, #""\ude00""#, #""\ude00\ud83d""#,
        "// c\n1", "/**/1", "\u{feff}1", "1\0", "\u{a0}1", #"["a"#, #"{"a"#, #"{"a":"#, #"{"a":1"#, #"{"a":1,"#, #""\"#,
        #""\u"#,
    ])
    func whatIsNotJSONIsRefused(text: String) {
        #expect(error(text) { (secret) throws(CredentialsError) in _ = try secret.jsonCount() }?.code == .invalidFormat)
        let found = error(text) { (secret) throws(CredentialsError) in _ = try secret.jsonContains("a") }
        #expect(found?.reason == "not JSON")
    }

    @Test func bytesThatAreNotUTF8AreRefused() throws {
        let bytes: [UInt8] = [0x22, 0xff, 0x22]
        let error = failure { () throws(CredentialsError) in _ = try Secret(copying: bytes.span).jsonSecret() }
        #expect(error?.code == .invalidFormat)
    }

    @Test func everyPrefixIsRefusedWithoutATrap() throws {
        let bytes = Array(#"{"a\u00e9\ud83d\ude00": [1.5e-3, {"b": "c\n"}, true, null], "d": false}"#.utf8)
        for count in 0..<bytes.count {
            let error = failure { () throws(CredentialsError) in
                _ = try Secret(copying: bytes.span.extracting(0..<count)).jsonContains("d")
            }
            #expect(error?.code == .invalidFormat)
        }
    }

    @Test func noByteMakesItTrap() throws {
        let bytes = Array(#"{"a\u00e9": [1.5e-3, "\n"], "d": "\ud83d\ude00"}"#.utf8)
        var refused = 0
        for index in bytes.indices {
            for value in UInt8.min...UInt8.max {
                var changed = bytes
                changed[index] = value
                do throws(CredentialsError) {
                    _ = try Secret(copying: changed.span).jsonSecret("d")
                } catch {
                    #expect([.invalidFormat, .credentialNotFound].contains(error.code))
                    refused += 1
                }
            }
        }
        #expect(refused > 0)
    }

    @Test func depthIsBounded() throws {
        let deep = String(repeating: "[", count: 64) + String(repeating: "]", count: 64)
        #expect(try secret(deep).jsonCount() == 1)
        let deeper = String(repeating: "[", count: 100_000) + String(repeating: "]", count: 100_000)
        #expect(
            error(deeper) { (secret) throws(CredentialsError) in _ = try secret.jsonCount() }?.code == .invalidFormat
        )
    }

    @Test func aKeyThatIsThereTwiceIsRefused() throws {
        let twice = #"{"a": {"password": "one", "p\u0061ssword": "two"}, "b": "x"}"#
        let found = error(twice) { (secret) throws(CredentialsError) in _ = try secret.jsonSecret("a", "password") }
        #expect(found?.code == .invalidFormat)
        #expect(try secret(twice).jsonSecret("b").text == "x")
    }

    @Test func wrongKindsAreRefusedByName() throws {
        func message(_ body: (borrowing Secret) throws(CredentialsError) -> Void) -> String? {
            error(Self.login, body)?.description
        }
        #expect(
            message { (secret) throws(CredentialsError) in _ = try secret.jsonSecret("port") }
                == "invalid format: port (not a string)"
        )
        #expect(
            message { (secret) throws(CredentialsError) in _ = try secret.jsonInteger("user") }
                == "invalid format: user (not an integer)"
        )
        #expect(
            message { (secret) throws(CredentialsError) in _ = try secret.jsonBoolean("none") }
                == "invalid format: none (neither true nor false)"
        )
        #expect(
            message { (secret) throws(CredentialsError) in _ = try secret.jsonCount("user") }
                == "invalid format: user (neither an object nor an array)"
        )
        #expect(
            message { (secret) throws(CredentialsError) in _ = try secret.jsonSecret("hosts", 9) }
                == "credential not found: hosts.9"
        )
    }

    @Test(arguments: [("0", 0), ("-0", 0), ("9223372036854775807", Int.max), ("-9223372036854775808", Int.min)])
    func integersAreExact(text: String, value: Int) throws {
        #expect(try secret(text).jsonInteger() == value)
    }

    @Test(arguments: ["9223372036854775808", "-9223372036854775809", "1.0", "1e3", "99999999999999999999999999"])
    func whatIsNoIntegerIsRefused(text: String) {
        let found = error(text) { (secret) throws(CredentialsError) in _ = try secret.jsonInteger() }
        #expect(found?.reason == "not an integer")
    }
}
