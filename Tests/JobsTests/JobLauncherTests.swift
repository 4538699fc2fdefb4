// SPDX-License-Identifier: Apache-2.0

import Jobs
import ProcessControl
import SystemPackage
import Testing

struct JobLauncherTests {
    private let words = [
        "7", "4711", "user", "fuse", "/run/credfs/jobs", "0123", "4096", "1000", "100", "true", "false", "true",
        "/home/a b\nc", "1,13", "0", String(UInt.max), "3", "/store", "", "--",
    ]

    @Test func aRequestArrivesAsItWasSent() throws {
        let (request, count) = try #require(JobLauncherRequest.parse(words + ["program", "--", ""]))
        #expect(request.arguments == words)
        #expect(count == words.count)
        let other = try #require(JobLauncherRequest.parse(request.arguments)).request
        #expect(other == request)
    }

    @Test func whatIsMissingOrWrongIsRefused() {
        for count in 0..<words.count { #expect(JobLauncherRequest.parse(Array(words.prefix(count))) == nil) }
        for index in [0, 1, 2, 3, 6, 7, 8, 9, 10, 11, 14, 15, 16] {
            var wrong = words
            wrong[index] = "x"
            #expect(JobLauncherRequest.parse(wrong) == nil, "\(index)")
        }
        var negative = words
        negative[16] = "-1"
        #expect(JobLauncherRequest.parse(negative) == nil)
    }

    @Test func answersArriveAsTheyWereSent() {
        for answer in [JobLauncherAnswer.ready, .failed(StepFailure(.workingDirectory, .noSuchFileOrDirectory))] {
            #expect(JobLauncherAnswer(answer.bytes) == answer)
        }
        for text in ["", "ready now", "failed", "failed cover", "failed nothing 1", "failed cover x"] {
            #expect(JobLauncherAnswer(Array(text.utf8)) == nil)
        }
    }
}
