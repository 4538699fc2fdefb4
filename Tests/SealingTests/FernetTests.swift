// SPDX-License-Identifier: Apache-2.0

import Sealing
import Testing

@Suite struct FernetTests {
    /// The key of every published vector.
    private static let key = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4="
    /// generate.json and verify.json of fernet/spec.
    private static let hello =
        "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA=="

    private func open(_ token: String, key: String = Self.key) throws(SealingError) -> String {
        let token = Array(token.utf8)
        let key = try Fernet.key(Array(key.utf8).span)
        var content = [UInt8](repeating: 0xaa, count: Fernet.capacity(token.count))
        var span = content.mutableSpan
        let count = try Fernet.open(token.span, key: key, into: &span)
        return String(decoding: content[..<count], as: UTF8.self)
    }

    private func error(_ token: String, key: String = Self.key) -> SealingError? {
        do throws(SealingError) {
            _ = try open(token, key: key)
            return nil
        } catch { return error }
    }

    @Test func opensThePublishedToken() throws {
        #expect(try open(Self.hello) == "hello")
        #expect(try open(String(Self.hello.dropLast(2)), key: String(Self.key.dropLast())) == "hello")
        #expect(Self.hello.hasPrefix(Fernet.opening))
    }

    /// invalid.json of fernet/spec, without the two that only a lifetime makes invalid.
    @Test(arguments: [
        "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-szkFVzXTuGb4hR8AKtwcaX1YdykQUFBQUFBQUFBQQ==",
        "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPA==",
        "%%%%%%%%%%%%%AECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-szkFVzXTuGb4hR8AKtwcaX1YdykRtfsH-p1YsUD2Q==",
        "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPOm73QeoCk9uGib28Xe5vz6oxq5nmxbx_v7mrfyudzUm",
        "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0ODz4LEpdELGQAad7aNEHbf-JkLPIpuiYRLQ3RtXatOYREu2FWke6CnJNYIbkuKNqOhw==",
        "gAAAAAAdwJ6xBQECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAkLhFLHpGtDBRLRTZeUfWgHSv49TF2AUEZ1TIvcZjK1zQ==",
    ])
    func refusesThePublishedInvalidTokens(token: String) {
        #expect(error(token) == .authenticationFailure)
    }

    /// The two of invalid.json whose time alone is wrong: there is no lifetime here to measure it against.
    @Test(arguments: [
        "gAAAAAAdwStRAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAnja1xKYyhd-Y6mSkTOyTGJmw2Xc2a6kBd-iX9b_qXQcw==",
        "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-szkFVzXTuGb4hR8AKtwcaX1YdykRtfsH-p1YsUD2Q==",
    ])
    func timesAreNotLookedAt(token: String) throws {
        #expect(try open(token) == "")
    }

    @Test func everyFlippedBitIsRefusedAndNothingIsLeft() throws {
        let bytes = try #require(Base64.bytes(String(Self.hello.dropLast(2)), .urlSafe))
        let key = try Fernet.key(Array(Self.key.utf8).span)
        for bit in 0..<bytes.count * 8 {
            var changed = bytes
            changed[bit / 8] ^= 1 << (bit % 8)
            let token = Array(Base64.text(changed, .urlSafe).utf8)
            var content = [UInt8](repeating: 0, count: Fernet.capacity(token.count))
            var span = content.mutableSpan
            let isRefused: Bool
            do throws(SealingError) {
                _ = try Fernet.open(token.span, key: key, into: &span)
                isRefused = false
            } catch { isRefused = error == .authenticationFailure }
            #expect(isRefused, "bit \(bit)")
            #expect(content.allSatisfy { $0 == 0 })
        }
    }

    @Test(arguments: [
        "", "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e", "not a key", "cw/0x689RpI+jtRR7oE8h/eQsKImvJapLeSbXpwF4e4=",
    ])
    func whatIsNoKeyIsRefused(text: String) {
        #expect(error(Self.hello, key: text) == .authenticationFailure)
        #expect(error("", key: Self.key) == .authenticationFailure)
    }
}
