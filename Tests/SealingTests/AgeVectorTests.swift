// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Sealing
import SecureMemory
import Testing

/// The vectors of C2SP/CCTV (Tests/Vectors/age).
@Suite struct AgeVectorTests {
    /// One vector.
    struct Vector: Decodable {
        let expect: [String]
        let payload: [String]?
        let identity: [String]?
        let passphrase: [String]?
        let armored: [String]?
    }

    @Test func everyVectorComesToWhatItSays() async throws {
        let directory = try TemporaryDirectory()
        let outcome = try await ChildProcess.run(
            "/usr/bin/python3",
            [
                "-B", PackageDirectory.root + "Tests/Scripts/unpack_age_vectors.py",
                PackageDirectory.root + "Tests/Vectors/age/cctv.tar.xz", directory.path,
            ]
        )
        try #require(outcome.status == .exited(0), "\(outcome.errorText)")
        let names = try FileManager.default.contentsOfDirectory(atPath: directory.path)
            .filter { $0.hasSuffix(".json") }.map { String($0.dropLast(5)) }.sorted()
        #expect(names.count == 143)
        var counts: [String: Int] = [:]
        var digests: [String: String] = [:]
        for name in names {
            let vector = try JSONDecoder().decode(Vector.self, from: Data(directory.read(name + ".json")))
            let result = AgeFixture.open(try directory.read(name + ".age"), vector)
            if vector.identity?.contains(where: { $0.hasPrefix("AGE-SECRET-KEY-PQ-") }) == true {
                counts["post-quantum", default: 0] += 1
                #expect(result.error == .unsupported(.postQuantum), "\(name)")
                continue
            }
            let expected = try #require(vector.expect.first)
            counts[expected, default: 0] += 1
            #expect(AgeFixture.word(result.error) == expected, "\(name): \(String(describing: result.error))")
            if let payload = vector.payload?.first {
                digests[name] = payload
                try directory.write(result.plaintext, to: name)
            } else {
                #expect(result.plaintext.isEmpty, "\(name): nothing may be released")
            }
        }
        // What was released before an error counts, too.
        let released = digests.keys.sorted()
        let sums = try await ChildProcess.run("/usr/bin/sha256sum", released.map { directory.path($0) })
        #expect(sums.status == .exited(0) && released.count == counts["success"].map { $0 + 19 })
        for (name, line) in zip(released, sums.outputText.split(separator: "\n")) {
            #expect(digests[name].map { line.hasPrefix($0) } == true, "\(name): what was released")
        }
        // None was passed over.
        #expect(counts["post-quantum"] == 19)
        #expect(counts.values.reduce(0, +) == 143)
        #expect(counts["success"] == 21)
    }
}

/// Opening vectors.
enum AgeFixture {
    struct Result: Equatable {
        var error: AgeError?
        var plaintext: [UInt8] = []
    }

    /// The word that the vectors have for an error.
    static func word(_ error: AgeError?) -> String {
        switch error {
        case nil: "success"
        case .malformedArmor: "armor failure"
        case .malformedHeader, .excessiveWork: "header failure"
        case .headerAuthentication: "HMAC failure"
        case .noMatch: "no match"
        case .payload: "payload failure"
        default: "another failure"
        }
    }

    static func open(_ bytes: [UInt8], _ vector: AgeVectorTests.Vector) -> Result {
        var result = Result()
        do throws(AgeError) {
            let file = vector.armored == ["yes"] ? try AgeArmor.decode(bytes.span) : bytes
            if let passphrase = vector.passphrase?.first {
                try AgeFile.decrypt(file.span, password: passphrase.utf8.span, orThrow: { $0 }) {
                    (chunk) throws(AgeError) in append(chunk, to: &result.plaintext)
                }
            } else {
                var identities: [AgeIdentity] = []
                for text in vector.identity ?? [] { identities.append(try AgeIdentity(text.utf8.span)) }
                try AgeFile.decrypt(file.span, for: identities, orThrow: { $0 }) { (chunk) throws(AgeError) in
                    append(chunk, to: &result.plaintext)
                }
            }
        } catch { result.error = error }
        return result
    }

    static func append(_ chunk: Span<UInt8>, to bytes: inout [UInt8]) {
        unsafe chunk.withUnsafeBufferPointer { unsafe bytes.append(contentsOf: $0) }
    }
}
