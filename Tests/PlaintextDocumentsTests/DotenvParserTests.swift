// SPDX-License-Identifier: Apache-2.0

import PlaintextDocuments
import SecretStore
import Testing

@Suite struct DotenvParserTests {
    @Test(arguments: [
        ("A=b", "b"), ("A=", ""), ("A= ", ""), ("A=b c ", "b c"), ("A = b", "b"), ("export A=b", "b"), ("\tA=b", "b"),
        ("export\tA=b", "b"), ("A=b # c", "b"), ("A=b#c", "b#c"), ("A=#b", "#b"), ("A= # c", ""), ("A=b=c==", "b=c=="),
        ("A=b\\n", "b\\n"), ("A=b'c", "b'c"), ("A=b\"c\"", "b\"c\""), ("A='b c'", "b c"),
        ("A='b\\n\"#$c'", "b\\n\"#$c"),
        ("A=''", ""), ("A=\"\"", ""), ("A='b' # c", "b"), ("A='b'#c", "b"),
        ("A=\"b\\nc\\td\\r\\\"\\\\\\$\"", "b\nc\td\r\"\\$"),
        ("A=\"b\\x\"", "b\\x"), ("A=\"b\nc\"", "b\nc"), ("A='b\nc'", "b\nc"), ("A=`b'\"c`", "b'\"c"),
        ("A=\"b\r\nc\"\r\n", "b\nc"), ("A=b\r\n", "b"), ("A=b\r", "b"), ("A=b\rc", "b\rc"), ("A='b\r'", "b\r"),
        ("\u{feff}A=b", "b"), ("# x\n\n  # y\nA=b\n# z", "b"), ("A=\u{1f600} \u{e9}", "\u{1f600} \u{e9}"),
        ("A=\"a'b\"", "a'b"), ("A=b\\ # c", "b\\"), ("export export=x\nA=b", "b"),
    ])
    func readsAsOthersDo(document: String, value: String) throws {
        #expect(try only(document, .dotenv) == value)
    }

    @Test func namesAndValuesComeInTheirOrder() throws {
        let parsed = try Parsed(Array("B=1\nexport=2\na.b-c_9=3\r\nA=4".utf8), .dotenv)
        #expect(parsed.names == ["B", "export", "a.b-c_9", "A"])
        #expect(parsed.values == [[49], [50], [51], [52]])
    }

    @Test(arguments: [
        ("A", "line 1, column 2"), ("A=b\nB", "line 2, column 2"), ("A b=c", "'=' is expected at line 1, column 3"),
        ("=b", "a name is expected at line 1, column 1"), ("A='b", "a quote that is not closed at line 1, column 3"),
        ("A=1\nB=\"b\n\n", "a quote that is not closed at line 2, column 3"), ("A='b'c", "text behind a closing quote"),
        ("A='b\\'c'", "text behind a closing quote"), (".A=b", "a name is expected"), ("A/B=c", "'=' is expected"),
        ("A=1\n\nA=2", "the name 'A' is there twice, at lines 1 and 3"), ("A=\0", "a zero byte at line 1, column 3"),
        ("-----BEGIN KEY-----\nQUJD=\n", "'=' is expected"), ("export A", "line 1, column 9"),
    ])
    func whatIsWrongIsSaidWithItsPlace(document: String, message: String) {
        #expect(refusal(Array(document.utf8), .dotenv)?.contains(message) == true)
    }

    @Test func aNameThatIsThereTwiceIsTakenAsIsAsked() throws {
        let document = Array("A=1\nB=2\nA=3\n".utf8)
        #expect(try Parsed(document, .dotenv, .first).texts == ["A": "1", "B": "2"])
        #expect(try Parsed(document, .dotenv, .last).texts == ["A": "3", "B": "2"])
    }

    @Test(arguments: [
        ("A=$B", true), ("A=${B}", true), ("A=\"x$(y)\"", true), ("A='$B'", false), ("A=\"\\$B\"", false),
        ("A=$", false),
        ("A=$1", false), ("A=a # $B", false),
    ])
    func whatOthersWouldExpandIsNoticed(document: String, isExpandable: Bool) throws {
        #expect(try Parsed(Array(document.utf8), .dotenv).expandable == (isExpandable ? ["A"] : []))
    }

    @Test func bytesThatAreNotUTF8AreKept() throws {
        #expect(try Parsed(Array("A=".utf8) + [0xe9, 0xff], .dotenv).values == [[0xe9, 0xff]])
    }
}
