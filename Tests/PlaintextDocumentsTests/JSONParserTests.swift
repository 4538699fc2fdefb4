// SPDX-License-Identifier: Apache-2.0

import PlaintextDocuments
import SecretStore
import Testing

@Suite struct JSONParserTests {
    @Test(arguments: [
        (#"{"A":"b"}"#, "b"), (#" { "A" : "" } "#, ""), (#"{"A":1.50e3}"#, "1.50e3"), (#"{"A":true}"#, "true"),
        (#"{"A":-0}"#, "-0"), (#"{"A":"\b\f\n\r\t\"\\\/"}"#, "\u{8}\u{c}\n\r\t\"\\/"),
        (#"{"A":"\u00e9\u0000"}"#, "\u{e9}\0"),
        (#"{"A":"\ud83d\ude00"}"#, "\u{1f600}"), (#"{"\u0041":"b"}"#, "b"),
        ("\u{feff}{\"A\":\"\u{1f600}\"}", "\u{1f600}"),
        (#"{"A":"\uD800\uDC00"}"#, "\u{10000}"), (#"{"A":"\uDBFF\uDFFF"}"#, "\u{10ffff}"),
    ])
    func valuesAreDecoded(document: String, value: String) throws {
        #expect(try only(document, .json) == value)
    }

    @Test func objectsInTheObjectAreServices() throws {
        let parsed = try Parsed(Array(#"{"A":"1","S":{"B":"2","C":3},"T":{},"N":null}"#.utf8), .json)
        #expect(parsed.texts == ["A": "1", "S/B": "2", "S/C": "3", "N": ""])
        #expect(parsed.nulls == ["N"])
        #expect(try Parsed(Array("{}".utf8), .json).names.isEmpty)
    }

    @Test(arguments: [
        ("", "an object is expected at line 1, column 1"), ("[]", "an object is expected"),
        ("{\n  \"A\": [1]}", "a list, which is no value of a secret, at line 2, column 8"),
        (#"{"A":"b","A":"c"}"#, "the name 'A' is there twice, at lines 1 and 1"),
        (#"{"A":{"B":{"C":1}}}"#, "an object in an object in the object"), (#"{"A":"b"} x"#, "text behind the object"),
        (#"{"A":"b",}"#, "a name in double quotes is expected"), (#"{"A" "b"}"#, "':' is expected"),
        (#"{"A":"b""#, "',' or '}' is expected"), (#"{"A":tru}"#, "a value is expected"),
        (#"{"A":"\ud83d"}"#, "a string with an error at line 1"),
        (#"{"A":"\ude00"}"#, "a string with an error at line 1"),
        (#"{"A":"\ud83dx\ude00"}"#, "a string with an error at line 1"),
        (#"{"A":"\ud83d\u0041"}"#, "a string with an error at line 1"),
        (#"{"A:B":"c"}"#, "bad name of a secret at line 1, column 2"), (#"{"":"c"}"#, "bad name"),
        (#"{"A":"b"#, "a string with an error"), (#"{"S":{"A/B":"c"}}"#, "bad name"), (#"{"A":01}"#, "',' or '}'"),
        ("{\"A\":\"\n\"}", "a string with an error at line 2, column 1"),
    ])
    func whatIsWrongIsSaidWithItsPlace(document: String, message: String) {
        #expect(refusal(Array(document.utf8), .json)?.contains(message) == true)
    }

    @Test func whatIsNotUTF8IsRefused() {
        #expect(refusal(Array(#"{"A":""#.utf8) + [0xff] + Array("\"}".utf8), .json) == "the document is not UTF-8")
    }

    @Test func depthIsBounded() {
        let deep = "{\"A\":" + String(repeating: "[", count: 100_000)
        #expect(refusal(Array(deep.utf8), .json)?.contains("a list") == true)
    }
}
