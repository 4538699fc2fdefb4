// SPDX-License-Identifier: Apache-2.0

import SecretStore
import SecureJSON
import Testing

@Suite struct ContentFormatTests {
    private static func accepts(_ format: SecretEntry.Format, _ text: String) -> Bool {
        accepts(format, Array(text.utf8))
    }

    private static func accepts(_ format: SecretEntry.Format, _ content: [UInt8]) -> Bool {
        format.accepts(content.span)
    }

    @Test(arguments: [
        "{}", "[]", "0", "-0", "1.5e+10", "1E-2", "\"\"", "null", "true", "false", " [1, 2 ,3 ] \n",
        #"{"a":{"b":[null,"\u00e9\n\"\\\/\b\f\r\t"]}, "c" : 1}"#, "\"\u{1f600}\"",
    ])
    func jsonTextsAreAccepted(_ text: String) {
        #expect(Self.accepts(.json, text))
    }

    @Test(arguments: [
        "", " ", "{", "}", "[1,]", "[,1]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "01", "1.", ".5", "1e", "+1",
        "-", "nul", "truefalse", "\"", "\"\\", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "\"a\nb\"", "[1] 2", "[1", "NaN",
        "{\"a\":1", "{\"a\" 1}", "{1:2}", "'a'", #""\ud83d""#, #""\ud83dx""#, #""\ud83d\u0041""#, #""\ude00""#,
        #""\ude00\ud83d""#,
    ])
    func whatIsNoJSONTextIsRefused(_ text: String) {
        #expect(!Self.accepts(.json, text))
    }

    @Test func jsonIsUTF8AndOfBoundedDepth() {
        #expect(!Self.accepts(.json, [0x22, 0xff, 0x22]))
        let deep = { (depth: Int) in String(repeating: "[", count: depth) + String(repeating: "]", count: depth) }
        #expect(Self.accepts(.json, deep(JSONScanner.usualDepth + 1)))
        #expect(!Self.accepts(.json, deep(JSONScanner.usualDepth + 2)))
    }

    @Test func textIsUTF8WithoutNUL() {
        #expect(Self.accepts(.text, "caf\u{e9}\n"))
        #expect(Self.accepts(.text, ""))
        #expect(!Self.accepts(.text, "a\0b"))
        #expect(!Self.accepts(.text, [0xc3, 0x28]))
    }

    @Test func hex32IsThirtyTwoBytesInEitherCase() {
        let digits = String(repeating: "0aF9", count: 16)
        #expect(Self.accepts(.hex32, digits))
        #expect(Self.accepts(.hex32, digits + "\n"))
        #expect(!Self.accepts(.hex32, digits + "\n\n"))
        #expect(!Self.accepts(.hex32, String(digits.dropLast())))
        #expect(!Self.accepts(.hex32, String(digits.dropLast()) + "g"))
    }

    @Test(arguments: ["AAAA", "AA==", "AAA=", "AAAA\nAAA=\n", "+/+/"])
    func base64IsAccepted(_ text: String) {
        #expect(Self.accepts(.base64, text))
    }

    @Test(arguments: ["", "\n", "A", "AA", "AA=", "A===", "AA==AA==", "AA-_", "AA =", "===="])
    func whatIsNoBase64IsRefused(_ text: String) {
        #expect(!Self.accepts(.base64, text))
    }

    private static let block = "-----BEGIN X-----\nAAAA\n-----END X-----\n"

    @Test(arguments: [
        block, block + block, "# about it\n" + block, "-----BEGIN X-----\r\nAAAA\r\n-----END X-----\r\n",
        "-----BEGIN X-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES\n\nAAAA\n-----END X-----",
        "-----BEGIN A B-----\nAAAA\nAAA=\n-----END A B-----",
    ])
    func pemBlocksAreAccepted(_ text: String) {
        #expect(Self.accepts(.pem, text))
    }

    @Test(arguments: [
        "", "AAAA", "-----BEGIN X-----\nAAAA\n", "-----END X-----\n", "-----BEGIN X-----\nAAAA\n-----END Y-----\n",
        "-----BEGIN X-----\nAAAA\n-----END XY-----\n", "-----BEGIN X-----\n-----BEGIN X-----\nAAAA\n-----END X-----\n",
        "-----BEGIN X-----\n-----END X-----\n", "-----BEGIN X-----\nA*AA\n-----END X-----\n",
        "-----BEGIN X-----\nHeader: x\nAAAA\n-----END X-----\n", "-----BEGIN X\nAAAA\n-----END X-----\n",
        "-----BEGIN X-----\n:",
    ])
    func whatIsNoPEMIsRefused(_ text: String) {
        #expect(!Self.accepts(.pem, text))
    }
}
