// SPDX-License-Identifier: Apache-2.0

import Jobs
import ProcessControl
import SystemPackage
import Testing

struct JobLauncherTests {
    private let words = [
        "7", "4711", "user", "fuse", "/run/credfs/jobs", "0123", "4096", "1000", "100", "true", "false", "true",
        "/home/a b\nc", "4711:4712:4800,4801", "1,13", "0", String(UInt.max), "3", "/store", "", "--",
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
        for index in [0, 1, 2, 3, 6, 7, 8, 9, 10, 11, 13, 15, 16, 17] {
            var wrong = words
            wrong[index] = "x"
            #expect(JobLauncherRequest.parse(wrong) == nil, "\(index)")
        }
        var negative = words
        negative[17] = "-1"
        #expect(JobLauncherRequest.parse(negative) == nil)
        for user in ["4711", "4711:4712", "x:1:", "1:x:", "1:2:x", "1:2:3,", "1:2:,3", "1:2:3:4", "-1:2:3"] {
            var wrong = words
            wrong[13] = user
            #expect(JobLauncherRequest.parse(wrong) == nil, "\(user)")
        }
    }

    @Test(arguments: ["", "0:0:", "4711:4712:", "4294967294:0:1"]) func aUserArrivesAsItWasSent(user: String) throws {
        var sent = words
        sent[13] = user
        #expect(try #require(JobLauncherRequest.parse(sent)).request.arguments == sent)
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
