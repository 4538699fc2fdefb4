// SPDX-License-Identifier: Apache-2.0

import AuditLog
import CredfsTestSupport
import Testing

/// Whoever writes the state directory can write into the log: no shape of it costs more than its length.
@Suite struct LinearTimeTests {
    private static func entry(_ members: String) -> String {
        "{\(members)\"mac\":\"\(String(repeating: "0", count: 64))\"}"
    }

    static let lines: [GrowingText] = [
        GrowingText("members", count: 1000) { entry((0..<$0).map { "\"m\($0)\":1," }.joined()) },
        GrowingText("a list", count: 4000) { entry("\"a\":[" + String(repeating: "1,", count: $0) + "1],") },
        GrowingText("open brackets", count: 10_000) { entry("\"a\":" + String(repeating: "[", count: $0)) },
        GrowingText("a text", count: 10_000) { entry("\"a\":\"" + String(repeating: "a", count: $0) + "\",") },
        GrowingText("escapes", count: 2500) { entry("\"a\":\"" + String(repeating: "\\u0041", count: $0) + "\",") },
        GrowingText("a number", count: 10_000) { entry("\"a\":" + String(repeating: "1", count: $0) + ",") },
        GrowingText("minus signs", count: 10_000) { entry("\"a\":" + String(repeating: "-", count: $0) + ",") },
        GrowingText("white space", count: 10_000) { entry(String(repeating: " ", count: $0)) },
    ]

    @Test(arguments: lines)
    func aLineCostsWhatItsLengthIs(_ text: GrowingText) {
        #expect(text.growth { _ = AuditLine($0) } < linearGrowth)
    }

    static let logs: [GrowingText] = [
        GrowingText("lines that are none", count: 1000) { String(repeating: "{}\n", count: $0) },
        GrowingText("empty lines", count: 5000) { String(repeating: "\n", count: $0) },
        GrowingText("one line", count: 200_000) { String(repeating: "a", count: $0) },
        GrowingText("lines that are too long", count: 3) {
            String(repeating: String(repeating: "a", count: 100_000) + "\n", count: $0)
        },
    ]

    @Test(arguments: logs)
    func aLogCostsWhatItsLengthIs(_ text: GrowingText) throws {
        let fixture = try LogFixture(1)
        var failure: (any Error)?
        let factor = text.growth { bytes in
            do {
                try fixture.directory.write(bytes, to: "audit.log", permissions: 0o600)
                _ = try? fixture.verify()
            } catch { failure = error }
        }
        #expect(failure == nil)
        #expect(factor < linearGrowth)
    }
}
