// SPDX-License-Identifier: Apache-2.0

import RemoteProviders
import SecretProviders
import SecureMemory
import Synchronization
import Testing

/// Texts of AWS: files of profiles, times, ids, answers that are no success.
@Suite struct AWSFormTests {
    private func buffer(_ text: String) throws -> SecureBuffer {
        let bytes = Array(text.utf8)
        return try SecureBuffer.filled(capacity: bytes.count, orThrow: { $0 }) { (target) throws(SecureMemoryError) in
            for index in bytes.indices { target[index] = bytes[index] }
            return bytes.count
        }
    }

    private func text(_ buffer: consuming SecureBuffer?) -> String? {
        guard let buffer else { return nil }
        return buffer.withBytes { bytes in String(decoding: bytes.indices.map { bytes[$0] }, as: UTF8.self) }
    }

    @Test func aFileOfProfilesIsReadLineByLine() throws {
        let file = AWSConfigFile(
            try buffer(
                """
                lost = before any section
                [default]
                region=eu-central-1
                Output =  json \t
                # comment = 1
                ; comment = 2
                s3 =
                  region = of a service
                empty =
                [ profile   two words ]
                aws_secret_access_key = a = b # c
                region = first
                region = second
                [unclosed
                region = nobody's
                no equals sign
                [last]\r
                key = value\r
                end = without a newline
                """
            )
        )
        #expect(file.text("region", in: "default") == "eu-central-1" && file.text("output", in: "default") == "json")
        #expect(file.text("empty", in: "default") == nil && file.text("s3", in: "default") == nil)
        #expect(file.text("# comment", in: "default") == nil && file.text("lost", in: "default") == nil)
        #expect(file.has("profile two words") && !file.has("two words") && !file.has("absent"))
        #expect(file.text("region", in: "profile two words") == "second")
        let secret = text(try file.secret("aws_secret_access_key", in: "profile two words"))
        #expect(secret == "a = b # c")
        #expect(file.text("key", in: "last") == "value" && file.text("end", in: "last") == "without a newline")
        let both = AWSProfiles(
            credentials: AWSConfigFile(try buffer("[a]\nregion = of credentials\n[b]\naws_access_key_id = K\n")),
            config: AWSConfigFile(try buffer("[profile a]\nregion = x\noutput = y\n[c]\nregion = nobody's\n"))
        )
        #expect(both.text("region", of: "a") == "of credentials" && both.text("output", of: "a") == "y")
        #expect(both.has("b") && !both.has("c"))
        #expect(try both.keys(of: "b") == nil, "an id without a key")
    }

    @Test func timesAreReadAsTheyAreWritten() {
        #expect(AWSTime.text(1_440_938_160) == "20150830T123600Z")
        let texts = [
            "2015-08-30T12:36:00Z", "2015-08-30T12:36:00.123Z", "2015-08-30T12:36:00+00:00",
            "2015-08-30T14:36:00+02:00",
            "2015-08-30T07:06:00-05:30", "2015-08-30T12:36:00.5+00:00",
        ]
        for text in texts { #expect(AWSTime.seconds(text) == 1_440_938_160, "\(text)") }
        for text in [
            "", "2015-08-30", "2015-08-30T12:36:00", "2015-13-30T12:36:00Z", "2015-08-30T24:36:00Z",
            "2015-08-30T12:36:00+2:00", "2015-08-30 12:36:00Z", "2015-08-30T12:36:00ZZ", "2015-08-30T12:36:00.",
            "x015-08-30T12:36:00Z", "2015-08-30T12:36:00+02:60", "2015-08-30T12:36:00+",
        ] { #expect(AWSTime.seconds(text) == nil, "\(text)") }
    }

    @Test func idsHaveVersionsAndMembers() {
        func parts(_ text: String, _ prefix: String = "") -> [String?] {
            let id = AWSSecretID(text, below: prefix)
            return [id.base, id.version, id.member]
        }
        #expect(parts("a") == ["a", nil, nil] && parts("a", "/p/") == ["/p/a", nil, nil])
        #expect(parts("/a", "/p/") == ["/a", nil, nil] && parts("a:3", "/p/") == ["/p/a", "3", nil])
        #expect(parts("db:AWSPREVIOUS#key:x#y", "prod/") == ["prod/db", "AWSPREVIOUS", "key:x#y"])
        let parameter = "arn:aws:ssm:eu-central-1:123456789012:parameter/a/b"
        #expect(
            parts(parameter, "/p/") == [parameter, nil, nil]
                && parts(parameter + ":label") == [parameter, "label", nil]
        )
        let secret = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:prod/db-AbCdEf"
        #expect(parts(secret, "p/") == [secret, nil, nil])
        #expect(parts(secret + ":AWSPENDING#key") == [secret, "AWSPENDING", "key"])
    }

    @Test func codesOfErrorsAreTakenFromAnyBody() throws {
        for (body, code) in [
            (#"{"__type":"com.amazonaws.ssm#ParameterNotFound","message":"m"}"#, "ParameterNotFound"),
            (#"{"__type":"ThrottlingException"}"#, "ThrottlingException"), (#"{"code":"A:b"}"#, "A"),
            ("<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>", "AccessDenied"),
            ("<html><Code>not <b>plain</b></Code></html>", ""), ("", ""), ("{", ""), (#"{"__type":7}"#, ""),
            (#"{"__type":"with a sentence"}"#, ""), ("<Code>", ""), ("<Code></Code>", ""),
        ] {
            #expect(AWSFailure.code(in: try buffer(body)) == code, "\(body)")
        }
        let xml = try buffer("<a><Key>outer<b>inner</b></Key><Key>plain</Key><Key>second</Key></a>")
        #expect(XMLText.element("Key", in: xml) == "plain" && XMLText.element("b", in: xml) == "inner")
        #expect(XMLText.element("none", in: xml) == nil)
    }

    @Test func documentsLendMembersAndContents() throws {
        let document = try #require(
            SecretDocument(
                try buffer(
                    #"{"a":"x\n\u00e9\ud83d\ude00","n":-1.5e3,"t":true,"o":{},"b":"AAEC","c":"AAE","d":1,"d":2}"#
                )
            )
        )
        func content(_ key: String) throws -> String? {
            guard let node = document.member(key, of: document.root) else { return "no member" }
            return text(try document.content(of: node))
        }
        #expect(try content("a") == "x\n\u{e9}\u{1f600}")
        #expect(try content("n") == "-1.5e3")
        #expect(try content("t") == "true")
        #expect(try content("o") == nil)
        #expect(try content("d") == "no member", "a key that is there twice")
        let bytes = try #require(document.member("b", of: document.root))
        let decoded = text(try document.decodedContent(of: bytes))
        #expect(decoded == "\0\u{1}\u{2}")
        let wrong = try #require(document.member("c", of: document.root))
        let none = text(try document.decodedContent(of: wrong))
        #expect(none == nil)
        for text in ["{\"a\":1", "", "[1,]"] { #expect(SecretDocument(try buffer(text)) == nil, "\(text)") }
    }

    @Test func keysAreAskedForAnewBeforeTheyEndAndKeptWhereThatFails() throws {
        let now = Mutex<Int64>(1000)
        let calls = Mutex(0)
        let failing = Mutex(false)
        let identity = AWSIdentity(clock: { now.withLock { $0 } }) { (_) throws(ProviderError) in
            calls.withLock { $0 += 1 }
            guard !failing.withLock({ $0 }) else { throw ProviderError(.unavailable, "down") }
            let key: SecureBuffer
            do throws(SecureMemoryError) { key = try SecureBuffer(count: 1) } catch {
                throw ProviderError(.invalid, "")
            }
            return try AWSKeys(accessKey: "K", secretKey: key, sessionToken: "T", end: now.withLock { $0 } + 3600)
        }
        let first = try identity.keys(until: 0)
        now.withLock { $0 = 1000 + 3299 }
        #expect(try identity.keys(until: 0) === first && calls.withLock { $0 } == 1)
        // Five minutes before their end others are asked for; a failure is not repeated for a while.
        failing.withLock { $0 = true }
        now.withLock { $0 = 1000 + 3300 }
        #expect(try identity.keys(until: 0) === first && calls.withLock { $0 } == 2)
        now.withLock { $0 += 29 }
        #expect(try identity.keys(until: 0) === first && calls.withLock { $0 } == 2)
        now.withLock { $0 += 1 }
        #expect(try identity.keys(until: 0) === first && calls.withLock { $0 } == 3)
        now.withLock { $0 = 1000 + 3600 }
        #expect(throws: ProviderError(.unavailable, "down")) { try identity.keys(until: 0) }
        failing.withLock { $0 = false }
        let second = try identity.keys(until: 0)
        #expect(second !== first)
        identity.forget(first)
        #expect(try identity.keys(until: 0) === second)
        identity.forget(second)
        #expect(try identity.keys(until: 0) !== second)
    }
}
