// SPDX-License-Identifier: Apache-2.0

import ProcessHardening
import Testing

@testable import Jobs

struct JobEntranceTests {
    private let request = JobEntranceRequest(
        socket: 7,
        parent: 4711,
        isolation: .user,
        backend: .fuse,
        jobs: "/run/credfs/jobs",
        name: "0123",
        maximumReadByteCount: 4096,
        user: 1000,
        group: 100,
        allowsOther: true,
        allowsCore: false,
        inherited: ProcessHardening.Inherited(ignoredSignals: [1, 13], softCoreLimit: 0, hardCoreLimit: .max),
        givesPath: true,
        workingDirectory: "/home/a b\nc",
        covered: ["/store", "", "--"]
    )

    @Test func aRequestArrivesAsItWasSent() throws {
        let words = request.arguments + ["program", "--", ""]
        let (parsed, count) = try #require(JobEntranceRequest.parse(words))
        #expect(parsed == request)
        #expect(words.dropFirst(count) == ["program", "--", ""])
    }

    @Test func whatIsMissingOrWrongIsRefused() {
        let words = request.arguments
        for count in 0..<words.count { #expect(JobEntranceRequest.parse(Array(words.prefix(count))) == nil) }
        for index in [0, 1, 2, 3, 6, 7, 8, 9, 10, 12, 13, 14, 16] {
            var wrong = words
            wrong[index] = "x"
            #expect(JobEntranceRequest.parse(wrong) == nil, "\(index)")
        }
        var negative = words
        negative[16] = "-1"
        #expect(JobEntranceRequest.parse(negative) == nil)
    }

    @Test func answersArriveAsTheyWereSent() {
        for answer in [JobEntranceAnswer.ready, .failed(step: .workingDirectory, errno: 2)] {
            #expect(JobEntranceAnswer(answer.bytes) == answer)
        }
        for text in ["", "ready now", "failed", "failed cover", "failed nothing 1", "failed cover x"] {
            #expect(JobEntranceAnswer(Array(text.utf8)) == nil)
        }
    }
}
