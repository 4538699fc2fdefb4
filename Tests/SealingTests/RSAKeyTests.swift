// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Sealing
import Testing

/// Signatures of RSA against the vector that RFC 7515 publishes, and libcrypto's own command.
@Suite struct RSAKeyTests {
    /// Appendix A.2.1 of RFC 7515: n, e, d, p, q, dp, dq and qi of its key.
    private static let numbers = [
        "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt"
            + "0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSX"
            + "ndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5"
            + "IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
        "AQAB",
        "Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZx9SE-7YwVol"
            + "2NXOoAJe46sui395IW_GO-pWJ1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn43"
            + "9X0M_V51gfpRLI9JYanrC4D4qAdGcopV_0ZHHzQlBjudU2QvXt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8"
            + "bGUl_x_jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS98l2SR_RQyGWSeWjnczT0QU91p1DhOVRuOopznQ",
        "4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBdss1l58BQ3KhooKeQTa9AB0Hw_"
            + "Py5PJdTJNPY8cQn7ouZ2KKDcmnPGBY5t7yLc1QlQ5xHdwW1VhvKn-nXqhJTBgIPgtldC-KDV5z-y2XDwGUc",
        "uQPEfgmVtjL0Uyyx88GZFF1fOunH3-7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHAjLYsp1ZSe7zFYHj7C6ul7Tje"
            + "LQeZD_YwD66t62wDmpe_HlB-TnBA-njbglfIsRLtXlnDzQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdc",
        "BwKfV3Akq5_MFZDFZCnW-wzl-CCo83WoZvnLQwCTeDv8uzluRSnm71I3QCLdhrqE2e9YkxvuxdBfpT_PI7Yz-FOK"
            + "nu1R6HsJeDCjn12Sk3vmAktV2zb34MCdy7cpdTh_YVr7tss2u6vneTwrA86rZtu5Mbr1C1XsmvkxHQAdYo0",
        "h_96-mK1R_7glhsum81dZxjTnYynPbZpHziZjeeHcXYsXaaMwkOlODsWa7I9xXDoRwbKgB719rrmI2oKr6N3Do9U"
            + "0ajaHF-NKJnwgjMd2w9cjz3_-kyNlxAr2v4IKhGNpmM5iIgOS1VZnOZ68m6_pbLBSp3nssTdlqvd0tIiTHU",
        "IYd7DHOhrWvxkwPQsRM2tOgrjbcrfvtQJipd-DlcxyVuuM9sQLdgjVk2oy26F0EmpScGLq2MowX7fhd_QJQ3ydy5"
            + "cY7YIBi87w93IKLEdfnbJtoOPLUW0ITrJReOgo1cq9SbsxYawBgfp_gh6A5603k2-ZQwVK0JKSHuLFkuQ3U",
    ]
    private static let message =
        "eyJhbGciOiJSUzI1NiJ9."
        + "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    private static let signature =
        "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W"
        + "2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkS"
        + "jtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnv"
        + "Wh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"

    /// A value of DER with its tag and length.
    private static func field(_ tag: UInt8, _ content: [UInt8]) -> [UInt8] {
        let bytes = [UInt8(content.count >> 8), UInt8(content.count & 255)]
        let length = content.count < 0x80 ? [bytes[1]] : content.count < 0x100 ? [0x81, bytes[1]] : [0x82] + bytes
        return [tag] + length + content
    }

    /// The key in PEM, as PKCS #1 (RFC 8017 appendix A.1.2) writes it.
    private static func pem() throws -> String {
        let numbers = try [[0]] + numbers.map { try #require(Base64.bytes($0, .urlSafe)) }
        // None is negative.
        let fields = numbers.flatMap { field(0x02, ($0[0] < 0x80 ? [] : [0]) + $0) }
        let text = Base64.text(field(0x30, fields))
        let lines = stride(from: 0, to: text.count, by: 64).map { text.dropFirst($0).prefix(64) }
        return "-----BEGIN RSA PRIVATE KEY-----\n\(lines.joined(separator: "\n"))\n-----END RSA PRIVATE KEY-----\n"
    }

    private static func signature(of message: String, _ pem: String) throws -> String {
        let key = try RSAKey(pem: pem.utf8.span)
        var signature = [UInt8](repeating: 0, count: key.signatureByteCount)
        var span = signature.mutableSpan
        try key.sign(message.utf8.span, into: &span)
        return Base64.text(signature, .urlSafe)
    }

    @Test func theVectorOfRFC7515IsSignedAsPublished() throws {
        #expect(try Self.signature(of: Self.message, Self.pem()) == Self.signature)
        #expect(try Self.signature(of: Self.message + "x", Self.pem()) != Self.signature)
    }

    @Test func whatIsNoRSAKeyOfFittingSizeIsRefusedWithoutAQuestion() async throws {
        let whole = try Self.pem()
        var texts = ["", "\n", "x", whole.replacing("END RSA", with: "END"), String(whole.prefix(whole.count / 2))]
        texts.append(whole.replacing("RSA PRIVATE", with: "PUBLIC"))
        // A change in the frame of the text or in the head of its first number.
        texts += (0..<40).map { index in
            var bytes = Array(whole.utf8)
            bytes[index] ^= 0x41
            return String(decoding: bytes, as: UTF8.self)
        }
        let directory = try TemporaryDirectory()
        let file = try directory.write(Array(whole.utf8), to: "key")
        for words in [
            ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"],
            ["genpkey", "-algorithm", "ED25519"],
            // Encrypted: nobody is asked for its password.
            ["pkcs8", "-topk8", "-in", file, "-passout", "pass:x"],
        ] {
            let made = try await ChildProcess.run("/usr/bin/openssl", words)
            #expect(made.status == .exited(0) && made.outputText.contains("PRIVATE KEY"), "\(made.errorText)")
            texts.append(made.outputText)
        }
        for text in texts {
            #expect(throws: SealingError.authenticationFailure, "\(text.prefix(50))") {
                try Self.signature(of: Self.message, text)
            }
        }
    }

    @Test func aKeyInPKCS8SignsAsInPKCS1() async throws {
        let directory = try TemporaryDirectory()
        let file = try directory.write(Array(try Self.pem().utf8), to: "key")
        let made = try await ChildProcess.run("/usr/bin/openssl", ["pkcs8", "-topk8", "-nocrypt", "-in", file])
        #expect(made.outputText.hasPrefix("-----BEGIN PRIVATE KEY-----"))
        #expect(try Self.signature(of: Self.message, made.outputText) == Self.signature)
    }
}
