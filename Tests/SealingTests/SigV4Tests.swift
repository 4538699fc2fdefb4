// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Sealing
import Testing

/// Signatures against the suite that AWS publishes (aws-sig-v4-test-suite).
@Suite struct SigV4Tests {
    private static let directory = PackageDirectory.root + ".build/vectors/sigv4/"
    /// The key of the suite, which is no key of anybody.
    private static let secretKey = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
    private static let signer = SigV4(time: "20150830T123600Z", region: "us-east-1", service: "service")

    /// A request as the suite writes it: a line, headers of which one can go on in the next line, and a body.
    private static func request(_ text: String) throws -> (request: SigV4.Request, body: [UInt8]) {
        let parts = text.components(separatedBy: "\n\n")
        var lines = parts[0].components(separatedBy: "\n")
        let first = lines.removeFirst().components(separatedBy: " ")
        let target = first[1..<(first.count - 1)].joined(separator: " ")
        let place = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        var headers: [(name: String, value: String)] = []
        for line in lines where !line.isEmpty {
            if line.hasPrefix(" "), let last = headers.popLast() {
                headers.append((last.name, last.value + "\n" + line))
                continue
            }
            let field = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            headers.append((String(field[0]), String(try #require(field.last))))
        }
        let query = place.count == 2 ? place[1] : ""
        let request = SigV4.Request(first[0], path: place[0], query: query, headers: headers)
        return (request, Array(parts.dropFirst().joined(separator: "\n\n").utf8))
    }

    @Test func everyVectorIsSignedAsAWSDoes() throws {
        func text(_ name: String) throws -> String {
            try String(contentsOfFile: Self.directory + name, encoding: .utf8).replacing("\r\n", with: "\n")
        }
        let names = try FileManager.default.contentsOfDirectory(atPath: Self.directory)
            .filter { $0.hasSuffix(".req") }.map { String($0.dropLast(4)) }.sorted()
        #expect(names.count == 34)
        for name in names {
            var asked = try text(name + ".req")
            if name == "get-vanilla-with-session-token" {
                // Its token is one of the keys of the suite, and is added by who signs.
                let lines = try text(name + ".creq").split(separator: "\n")
                asked += "\n" + (try #require(lines.first { $0.hasPrefix("x-amz-security-token:") }))
            }
            let (request, body) = try Self.request(asked)
            let canonical = try Self.signer.canonicalText(request, body: body.span)
            #expect(try canonical == text(name + ".creq"), "\(name)")
            let signed = try Self.signer.text(toSign: request, body: body.span)
            #expect(try signed == text(name + ".sts"), "\(name)")
            let value = try Self.signer.authorization(
                request,
                body: body.span,
                accessKey: "AKIDEXAMPLE",
                secretKey: Self.secretKey.utf8.span
            )
            #expect(try value == text(name + ".authz"), "\(name)")
        }
    }

    @Test func aByteOfWhatIsSignedChangesTheSignature() throws {
        func sign(_ path: String, _ query: String, _ value: String, _ body: String, _ key: String) throws -> String {
            let request = SigV4.Request("POST", path: path, query: query, headers: [("Host", "a"), ("X", value)])
            return try Self.signer.authorization(
                request,
                body: body.utf8.span,
                accessKey: "A",
                secretKey: key.utf8.span
            )
        }
        let signatures = try [
            sign("/", "", "x", "body", "key"), sign("/a", "", "x", "body", "key"), sign("/", "a", "x", "body", "key"),
            sign("/", "", "y", "body", "key"), sign("/", "", "x", "bodY", "key"), sign("/", "", "x", "body", "kez"),
            // A percent sign without digits stands for itself.
            sign("/", "a=%", "x", "body", "key"), sign("/", "a=%zz", "x", "body", "key"),
        ]
        #expect(Set(signatures).count == signatures.count)
        #expect(try sign("/", "a=%25", "x", "", "") == sign("/", "a=%", "x", "", ""))
    }
}
