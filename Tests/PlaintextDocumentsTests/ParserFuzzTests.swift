// SPDX-License-Identifier: Apache-2.0

import PlaintextDocuments
import SecretStore
import Testing

/// Whatever a document holds, a parser answers; bytes that are near to what it reads find the most.
@Suite struct ParserFuzzTests {
    private static let documents: [(ImportRequest.Format, String)] = [
        (.dotenv, "# c\nexport A='b'\nB=\"x\\n$Y\"\nC=d # e\r\nD=`f`\n"),
        (.json, #"{"A":"b\u00e9\ud83d\ude00","S":{"B":1.5e3,"C":true},"N":null}"#),
        (.yaml, "A: b\nS:\n  B: \"x\\n\"\n  C: |\n    d\nN: ~\n"),
    ]

    @Test(arguments: 0..<3)
    func everyMutationIsReadOrRefused(number: Int) throws {
        let (format, text) = Self.documents[number]
        let document = Array(text.utf8)
        var random = SystemRandomNumberGenerator()
        for _ in 0..<3000 {
            var changed = document
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let index = Int.random(in: 0..<changed.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: changed[index] = UInt8.random(in: 0...255, using: &random)
                case 1: changed.removeSubrange(index...)
                case 2: changed.insert(document[Int.random(in: 0..<document.count, using: &random)], at: index)
                default: changed.remove(at: index)
                }
                if changed.isEmpty { break }
            }
            try readOrRefuse(changed, format)
        }
        for count in 0...document.count { try readOrRefuse(Array(document.prefix(count)), format) }
        for _ in 0..<500 {
            let count = Int.random(in: 0..<200, using: &random)
            try readOrRefuse((0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }, format)
        }
    }

    private func readOrRefuse(_ document: [UInt8], _ format: ImportRequest.Format) throws {
        do throws(StoreError) {
            let parsed = try Parsed(document, format)
            #expect(parsed.names.allSatisfy { SecretReference($0) != nil }, "\(document)")
        } catch {
            #expect(error.code == .invalid, "\(document)")
        }
    }

    @Test func requestsAndTargetsSurviveTheirWayToTheHelper() throws {
        var request = ImportRequest(.fernet)
        request.innerFormat = .yaml
        request.duplicates = .last
        request.hasFernetKey = true
        request.name = SecretReference("service/NAME")
        let back = try #require(ImportRequest(request.arguments[...]))
        #expect(back == request)
        #expect(ImportRequest(["import", "dotenv"]) == nil)
        #expect(ImportRequest(["manifest"]) == nil)
        let name = try #require(SecretName("a b"))
        let targets = [ImportTarget(name), nil, ImportTarget(name, isBase64: true), nil]
        #expect(ImportTarget.targets(ImportTarget.lines(targets)) == targets)
    }

    @Test func bytesGrowAndStayTheSame() {
        let bytes = WipedBytes(capacity: 1)
        for number in 0..<10_000 { bytes.append(UInt8(truncatingIfNeeded: number)) }
        bytes.append(Array(0..<100 as Range<UInt8>).span)
        let copy = bytes.withBytes { bytes in bytes.indices.map { bytes[$0] } }
        #expect(copy == (0..<10_000).map { UInt8(truncatingIfNeeded: $0) } + Array(0..<100))
    }
}
