// SPDX-License-Identifier: Apache-2.0

import SystemCalls
import Testing

@Suite struct PathTextTests {
    @Test(arguments: [
        (Array("/usr/bin/cat".utf8), "/usr/bin/cat"),
        (Array("/a\\xff".utf8), "/a\\xff"),
        (Array("/\u{fc}".utf8), "/\u{fc}"),
        ([0x2f, 0xff, 0xfe, 0x70], "bytes:/\\xff\\xfep"),
        ([0x2f, 0x5c, 0x80], "bytes:/\\\\\\x80"),
        ([0x2f, 0xc3], "bytes:/\\xc3"),
        ([0x2f, 0xf0, 0x9f, 0x98, 0x80, 0x0a, 0xed], "bytes:/\u{1f600}\n\\xed"),
        ([], ""),
    ])
    func everyPathHasATextOfItsOwn(_ path: [UInt8], _ text: String) {
        #expect(PathText.text(of: path.span) == text)
    }
}
