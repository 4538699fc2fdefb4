// SPDX-License-Identifier: Apache-2.0

import SecureJSON
import Testing

@Suite struct JSONValueTests {
    private func parse(_ text: String, maximumDepth: Int = 3) -> [String: JSONValue]? {
        JSONValue.members(text.utf8.span, maximumDepth: maximumDepth)
    }

    @Test func aDocumentIsLaidOutAsItAlwaysWas() {
        let document = JSONValue.object([
            "empty": .array([]), "none": .object([:]), "list": .array([.null, .object(["k": .boolean(true)])]),
            "aB": .integer(-1), "ab": .string(orNull: nil), "big": .integer(UInt64.max),
        ])
        #expect(
            document.text(.indented) == """
                {
                  "aB" : -1,
                  "ab" : null,
                  "big" : 18446744073709551615,
                  "empty" : [

                  ],
                  "list" : [
                    null,
                    {
                      "k" : true
                    }
                  ],
                  "none" : {

                  }
                }
                """
        )
        #expect(
            document.text(.line)
                == #"{"aB":-1,"ab":null,"big":18446744073709551615,"empty":[],"list":[null,{"k":true}],"none":{}}"#
        )
    }

    @Test func everyTextIsReadAgain() {
        var scalars = String.UnicodeScalarView()
        for value in 0..<UInt32(0x300) {
            if let scalar = Unicode.Scalar(value) { scalars.append(scalar) }
        }
        let text = String(scalars) + "\u{2028}\u{1f600}\u{fffd}"
        for layout in [JSONValue.Layout.line, .indented] {
            #expect(parse(JSONValue.object([text: .string(text)]).text(layout)) == [text: .string(text)])
        }
        #expect(
            JSONValue.string("\u{1}\u{8}\u{c}\u{1f}\n\r\t\"\\/\u{7f}").text(.line) == #""\u0001\b\f\u001f\n\r\t\"\\/"#
                + "\u{7f}\""
        )
    }

    @Test func whatIsReadIsAnObjectAndNothingElse() {
        let text = #" {"a" : [1, -2.5e3, true, false, null, {}], "b":"\ud83d\ude00\u00e9\/"} "#
        let list: [JSONValue] = [.number("1"), .number("-2.5e3"), .boolean(true), .boolean(false), .null, .object([:])]
        #expect(parse(text) == ["a": .array(list), "b": .string("\u{1f600}\u{e9}/")])
        for text in [
            "", "1", "[]", "{} x", "{\"a\":1,\"a\":2}", #"{"a":"\ud83d"}"#, #"{"a":"\ude00\ud83d"}"#,
            "{\"a\":[[[[]]]]}",
        ] {
            #expect(parse(text) == nil, "\(text)")
        }
        #expect(parse("{\"a\":[[]]}") != nil)
        #expect(parse("{\"a\":12}")?["a"]?.integer(UInt8.self) == 12)
        #expect(parse("{\"a\":256}")?["a"]?.integer(UInt8.self) == nil)
    }
}
